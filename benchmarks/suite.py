"""The benchmark files of pyperformance: where they are, how each is started, which can't run.

The package is the one of the interpreter that runs the harness, or is installed into a cache folder
at a fixed version.  The interpreters measured need nothing: `stand_in/pyperf.py` is what the files
import.  A benchmark's own requirements go into the cache folder as well, if they are pure Python;
those that need compiled packages, or packages that don't exist for this Python, are left out.
"""

import importlib.util
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from interpreter import Interpreter

VERSION = "1.14.0"

# What says nothing about an allocator, or can't be timed by turns.
_UNFIT = {
    "async_tree_cpu_io_mixed": "mostly sleeps",
    "async_tree_cpu_io_mixed_tg": "mostly sleeps",
    "async_tree_eager_cpu_io_mixed": "mostly sleeps",
    "async_tree_eager_cpu_io_mixed_tg": "mostly sleeps",
    "async_tree_eager_io": "mostly sleeps",
    "async_tree_eager_io_tg": "mostly sleeps",
    "async_tree_io": "mostly sleeps",
    "async_tree_io_tg": "mostly sleeps",
    "hg_startup": "needs Mercurial in a virtual environment",
}


class Unavailable(Exception):
    """A benchmark can't run here; the text says why."""


@dataclass(frozen=True)
class Benchmark:
    name: str
    file: Path
    args: tuple[str, ...]
    needs: tuple[str, ...]  # the packages of its requirements.txt


def cache() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root, "goalloc-benchmarks")


def _pip(python: str, target: Path, *args: str) -> None:
    """Install into a folder of its own; Unavailable with pip's last word."""
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [*command, "--target", str(target), *args], capture_output=True, text=True
    )
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
        raise Unavailable((errors or ["ERROR: pip failed"])[-1].removeprefix("ERROR: "))


def folder() -> Path:
    """pyperformance's folder of benchmarks; the package is installed where it is missing."""
    spec = importlib.util.find_spec("pyperformance")
    if spec and spec.submodule_search_locations:
        package = Path(spec.submodule_search_locations[0])
    else:
        target = cache() / f"pyperformance-{VERSION}"
        package = target / "pyperformance"
        if not package.exists():
            _pip(sys.executable, target, "--no-deps", f"pyperformance=={VERSION}")
    return package / "data-files" / "benchmarks"


def _variants(directory: Path) -> Iterator[Benchmark]:
    """The benchmarks of one `bm_` directory: one file, started with different options."""
    script = directory / "run_benchmark.py"
    needs: tuple[str, ...] = ()
    requirements = directory / "requirements.txt"
    if requirements.exists():
        lines = (line.partition("#")[0].strip() for line in requirements.read_text().splitlines())
        needs = tuple(line for line in lines if line)
    for toml in sorted(directory.glob("*.toml")):
        settings = tomllib.loads(toml.read_text()).get("tool", {}).get("pyperformance", {})
        default = directory.name if toml.name == "pyproject.toml" else toml.stem
        name = settings.get("name", default.removeprefix("bm_"))
        yield Benchmark(name, script, tuple(settings.get("extra_opts", ())), needs)


def benchmarks() -> list[Benchmark]:
    found = [b for directory in folder().glob("bm_*") for b in _variants(directory)]
    return sorted(found, key=lambda benchmark: benchmark.name)


def _requirements(benchmark: Benchmark, python: Interpreter) -> tuple[str, ...]:
    """What pip is told: packages that are pure Python, or the folder that the benchmark brings."""
    vendor = benchmark.file.parent / "vendor"  # 2to3's, which left the standard library in 3.13
    if vendor.exists():
        return (str(vendor),) if int(python.version.split(".")[1]) >= 13 else ()
    if not benchmark.needs:
        return ()
    return ("--platform", "any", "--abi", "none", "--only-binary=:all:", *benchmark.needs)


def packages(benchmark: Benchmark, python: Interpreter) -> str:
    """The folder with what a benchmark needs, for PYTHONPATH; empty: it needs nothing.

    Raises Unavailable, with the reason: also for a benchmark that is unfit for our purpose.
    """
    if benchmark.name in _UNFIT:
        raise Unavailable(_UNFIT[benchmark.name])
    requirements = _requirements(benchmark, python)
    if not requirements:
        return ""
    target = cache() / python.label / benchmark.file.parent.name
    refused = target.with_suffix(".refused")
    if not target.exists() and not refused.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            _pip(python.path, target, *requirements)
        except Unavailable as why:
            refused.write_text(f"needs {', '.join(benchmark.needs)}: {why}\n")
    if refused.exists():
        raise Unavailable(refused.read_text().strip())
    return str(target)

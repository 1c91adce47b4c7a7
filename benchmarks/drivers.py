"""The C drivers in drivers/: built on goalloc's own sources, or on the C library for its peers.

Nothing here needs an installed goalloc or Python's headers: the drivers call the core directly.
"""

import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from contenders import PEERS, find_library
from interpreter import CC, ChildFailed, clean_environment, compile_c, run_json

HERE = Path(__file__).resolve().parent
SOURCES = HERE / "drivers"
CSRC = HERE.parent / "csrc"
# As setup.py builds the package, as far as the hot paths see.
FLAGS = (
    "-std=c11", "-D_GNU_SOURCE", "-O3", "-pthread", "-fvisibility=hidden", "-fomit-frame-pointer",
    "-fno-tree-slp-vectorize", f"-iquote{CSRC}",
)  # fmt: skip
_JOBS = 2


def core_sources() -> list[Path]:
    """The files of csrc that need no Python: the tests know which."""
    sys.path.append(str(HERE.parent / "tests"))
    sources: list[Path] = import_module("cbuild").core_sources()
    return sources


def compiler() -> str:
    """The first line of what it says about itself."""
    return subprocess.run([*CC, "--version"], capture_output=True, text=True).stdout.split("\n")[0]


def _compile(*arguments: str | Path) -> None:
    compile_c(str(arguments[0]), [*FLAGS, *map(str, arguments)])


@dataclass(frozen=True)
class Target:
    """An allocator that a driver can be run on."""

    name: str
    libc: bool = True
    env: Mapping[str, str] = field(default_factory=dict, hash=False)


def targets() -> Iterator[Target]:
    """goalloc, then the C library, then the peers that this machine has."""
    yield Target("goalloc", libc=False)
    yield Target("glibc" if platform.libc_ver()[0] == "glibc" else "libc")
    for name, stems in PEERS.items():
        library = find_library(stems)
        if library is not None:
            yield Target(name, env={"LD_PRELOAD": library})


def choose(names: list[str] | None) -> list[Target]:
    found = {target.name: target for target in targets()}
    missing = [name for name in names or () if name not in found]
    if missing:
        raise LookupError(f"no {', '.join(missing)} here; there are {', '.join(found)}")
    return [found[name] for name in names or found]


class Drivers:
    """Compiles into one directory, each thing once, and runs what it compiled."""

    def __init__(self, directory: Path):
        self.directory = directory

    @cache
    def core(self) -> list[Path]:
        def compile_object(source: Path) -> Path:
            target = self.directory / f"core-{source.stem}.o"
            _compile(source, "-c", "-o", target)
            return target

        with ThreadPoolExecutor(_JOBS) as pool:
            return list(pool.map(compile_object, core_sources()))

    @cache
    def program(self, name: str, libc: bool = False) -> Path:
        target = self.directory / (f"{name}-libc" if libc else name)
        rest = ["-DBENCH_LIBC"] if libc else self.core()
        # All symbols bound at once: a first call must not cost more than the others.
        _compile(SOURCES / f"{name}.c", *rest, "-lm", "-Wl,-z,now", "-o", target)
        return target

    def execute(self, *command: str) -> None:
        """Run a command that says nothing; ChildFailed with its last line when it ends badly."""
        done = subprocess.run(
            command, env=clean_environment(), cwd=self.directory, capture_output=True, text=True
        )
        if done.returncode != 0:
            last = done.stderr.strip().splitlines()[-1:] or ["no output"]
            raise ChildFailed(f"exit status {done.returncode}: {last[0]}")

    def run(
        self, name: str, *arguments: int | str, target: Target | None = None
    ) -> dict[str, Any]:
        """The JSON that a driver prints; ChildFailed when it ends badly."""
        libc = target is not None and target.libc
        command = [str(self.program(name, libc)), *map(str, arguments)]
        env = clean_environment() | (dict(target.env) if target else {})
        result: dict[str, Any] = run_json(command, env, self.directory)
        return result

"""A Python interpreter under measurement: what it is, and the `_pairs` extension built for it."""

import json
import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
CHILD = HERE / "child.py"
CC = shlex.split(os.environ.get("CC") or "cc")

# What would change the allocator behind a contender's back.
_ALLOCATOR_VARIABLES = ("PYTHONMALLOC", "LD_PRELOAD", "GLIBC_TUNABLES")
_ALLOCATOR_PREFIXES = ("GOALLOC_", "MALLOC_", "MIMALLOC_", "TCMALLOC_")


DOMAINS = {
    "obj": ("PyObject_Malloc", "PyObject_Free"),
    "mem": ("PyMem_Malloc", "PyMem_Free"),
    "raw": ("PyMem_RawMalloc", "PyMem_RawFree"),
}


class ChildFailed(Exception):
    """A measuring process ended badly; the text says how.  Results keep it: home is `~` in it."""

    def __init__(self, text: str) -> None:
        super().__init__(text.replace(os.path.join(os.path.expanduser("~"), ""), "~/"))


def clean_environment() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if name not in _ALLOCATOR_VARIABLES and not name.startswith(_ALLOCATOR_PREFIXES)
    }


def run_json(command: list[str], env: dict[str, str], cwd: Path) -> Any:
    """Run a command whose last line of output is JSON.

    The working directory is the build directory: a `goalloc` folder where the harness was started
    must not pass for the installed package.
    """
    done = subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    if done.returncode != 0 or not lines:
        reason = done.stderr.strip().splitlines()[-1:] or ["no output"]
        raise ChildFailed(f"exit status {done.returncode}: {reason[0]}")
    return json.loads(lines[-1])


@dataclass(frozen=True)
class Interpreter:
    path: str
    build_dir: Path  # holds _pairs for this interpreter
    version: str
    shared: bool  # libpython is a shared library, not linked into the executable
    goalloc: dict[str, Any] | None  # None when goalloc isn't installed there

    @property
    def label(self) -> str:
        return f"{self.version}-{'shared' if self.shared else 'linked-in'}"

    def job(self, **job: Any) -> str:
        return json.dumps({"build_dir": str(self.build_dir), **job})


def compile_c(what: str, arguments: list[str]) -> None:
    """Run the C compiler, or ChildFailed with what it was to build."""
    done = subprocess.run([*CC, *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise ChildFailed(f"cannot build {what}:\n{done.stderr.strip()}")


def compile_shared(arguments: list[str], output: Path) -> None:
    """A shared object from C; arguments are the compiler's, sources and libraries among them."""
    compile_c(output.name, ["-O2", "-shared", "-fPIC", *arguments, "-o", str(output)])


def prepare(path: str, build_dir: Path, domain: str, touch: bool) -> Interpreter:
    """Look at the interpreter and build `_pairs` for it in build_dir."""
    # Absolute, for the children run elsewhere; links stay: a venv's python is one.
    path = os.path.abspath(shutil.which(path) or path)
    build_dir.mkdir(parents=True)
    facts = run_json([path, str(CHILD), "--describe"], clean_environment(), build_dir)
    malloc, free = DOMAINS[domain]
    arguments = [f"-DPAIRS_MALLOC={malloc}", f"-DPAIRS_FREE={free}", f"-DPAIRS_TOUCH={int(touch)}"]
    arguments += [f"-I{include}" for include in facts["includes"]]
    arguments += [str(HERE / "pairs" / "_pairs.c")]
    compile_shared(arguments, build_dir / f"_pairs{facts['suffix']}")
    return Interpreter(path, build_dir, facts["version"], facts["shared"], facts["goalloc"])

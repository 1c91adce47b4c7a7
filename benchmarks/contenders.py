"""The allocators compared: each one is a way to start a Python process."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from interpreter import HERE, ChildFailed, Interpreter, clean_environment, compile_shared

# name of the contender -> stems of the shared library, the first found is taken
PEERS = {
    "mimalloc": ("libmimalloc.so",),
    "jemalloc": ("libjemalloc.so",),
    "tcmalloc": ("libtcmalloc_minimal.so", "libtcmalloc.so"),
}
# bounds of what an allocator can cost -> how floor/floor.c is compiled
_FLOORS: dict[str, tuple[str, ...]] = {"floor": (), "floor-checked": ("-DFLOOR_CHECKED",)}
_LIBRARY_DIRS = ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib")


@dataclass(frozen=True)
class Contender:
    name: str
    env: Mapping[str, str] = field(default_factory=dict)
    args: tuple[str, ...] = ()  # between the interpreter and the script
    library: str | None = None  # must be mapped while measuring
    install: str | None = None  # the mode that the script calls goalloc.install() with
    mode: str | None = None  # what goalloc.mode() must say
    on_request: bool = False  # only measured when asked for by name

    def command(self, python: Interpreter, script: Path, job: str) -> list[str]:
        return [python.path, *self.args, str(script), job]

    def environment(self) -> dict[str, str]:
        return {**clean_environment(), **self.env}

    def requirements(self) -> dict[str, Any]:
        return {"library": self.library, "install": self.install, "mode": self.mode}


def find_library(stems: tuple[str, ...]) -> str | None:
    """Where a shared library is, after the linker's cache and then the usual directories."""
    try:
        cache = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True).stdout
    except OSError:
        cache = ""
    cached = [line.split(" => ")[-1].strip() for line in cache.splitlines() if " => " in line]
    for stem in stems:
        found = [path for path in cached if Path(path).name.startswith(stem)]
        for directory in _LIBRARY_DIRS:
            found += map(str, sorted(Path(directory).glob(f"{stem}*")))
            found += map(str, sorted(Path(directory).glob(f"*-linux-gnu/{stem}*")))
        if found:
            return found[0]
    return None


def _goalloc(python: Interpreter) -> list[Contender]:
    if python.goalloc is None:
        return []
    launch = python.goalloc["launch"]
    args = ("-m", "goalloc", "run") if launch is None else ()
    env = launch or {}
    linear = {**env, "GOALLOC_LAYOUT": "linear"}
    unprofiled = {**env, "GOALLOC_PROFILE_RATE": "0"}
    guarded = {**env, "GOALLOC_GUARD": "5000"}
    return [
        Contender("goalloc", env, args, mode="launch"),
        Contender("goalloc-linear", linear, args, mode="launch"),
        Contender("goalloc-unprofiled", unprofiled, args, mode="launch", on_request=True),
        Contender("goalloc-guarded", guarded, args, mode="launch", on_request=True),
        Contender("goalloc-import", install="import", mode="import"),
        Contender("goalloc-wrap", install="wrap", mode="wrap", on_request=True),
    ]


def _floor(python: Interpreter, name: str) -> Contender:
    """Built when asked for; see floor/floor.c."""
    library = python.build_dir / f"lib{name}.so"
    if not library.exists():
        arguments = [str(HERE / "floor" / "floor.c"), f"-iquote{HERE.parent / 'csrc'}", "-ldl"]
        try:
            compile_shared([*_FLOORS[name], *arguments], library)
        except ChildFailed as error:
            raise LookupError(f"{name}: {error}") from None
    return Contender(name, {"LD_PRELOAD": str(library)}, library=str(library), on_request=True)


def available(python: Interpreter) -> list[Contender]:
    """The contenders this machine and this interpreter can run; stock comes first."""
    # Against itself: what chance does to a result.
    found = [Contender("stock"), Contender("stock-again", on_request=True), *_goalloc(python)]
    for name, stems in PEERS.items():
        library = find_library(stems)
        if library is not None:
            env = {"PYTHONMALLOC": "malloc", "LD_PRELOAD": library}
            found.append(Contender(name, env, library=library))
    found.append(Contender("glibc", {"PYTHONMALLOC": "malloc"}))
    return found


def choose(python: Interpreter, names: list[str] | None, baseline: str) -> list[Contender]:
    """The contenders asked for, with the baseline always among them and first."""
    found = {contender.name: contender for contender in available(python)}
    found |= {name: _floor(python, name) for name in _FLOORS if name in (names or ())}
    usual = [name for name, contender in found.items() if not contender.on_request]
    wanted = dict.fromkeys([baseline, *(usual if names is None else names)])
    missing = [name for name in wanted if name not in found]
    if missing:
        raise LookupError(
            f"{python.path} can't run {', '.join(missing)}; it can run {', '.join(found)}"
        )
    return [found[name] for name in wanted]

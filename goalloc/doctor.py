"""Which modes work in this interpreter, found out by trying, and what here has a say in it."""

from __future__ import annotations

import sys

from . import launch

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

_WARNING = "goalloc: warning: "


def diagnose() -> Iterator[tuple[str, str | None]]:
    """Pairs of a mode and one sentence why it doesn't work here, or None."""
    for mode, obstacle in _OBSTACLES.items():
        yield mode, obstacle()


def circumstances() -> Iterator[str]:
    """Of what is special in how this interpreter was built or started: what it means, in a line."""
    import os

    malloc = os.environ.get("PYTHONMALLOC", "") * (not sys.flags.ignore_environment)
    hooks = "launch goes below the debug hooks, install() wraps above them"
    if "t" in sys.abiflags:
        yield "a free-threaded build: it needs its own allocator, so that install() only wraps"
    if hasattr(sys, "gettotalrefcount"):
        yield f"a debug build: {hooks}"
    elif malloc in ("debug", "pymalloc_debug"):
        yield f"PYTHONMALLOC={malloc}: {hooks}"
    elif sys.flags.dev_mode and malloc == "":
        yield f"development mode: {hooks}"
    if malloc.startswith(("malloc", "mimalloc")):
        yield f"PYTHONMALLOC={malloc}: that allocator stays, install() wraps it"
    if _tracemalloc_is_tracing():
        yield (
            "tracemalloc is tracing: launch goes below it, install() wraps; its stop() takes a "
            "wrapping goalloc along, mode() is None then, and install() may be called again"
        )
    if (launch.preload_path() or "no path") in os.environ.get("LD_PRELOAD", "").replace(":", " ").split():
        yield "LD_PRELOAD has goalloc: child Pythons are launched on it"
    yield from _warnings(_child("import goalloc; goalloc.install()").stderr)


def _tracemalloc_is_tracing() -> bool:
    import tracemalloc

    return tracemalloc.is_tracing()


def _launch_obstacle() -> str | None:
    why_not = launch.obstacle()
    if why_not is not None:
        return why_not
    code = "import goalloc; print(goalloc.mode())"
    return _child_obstacle("launch", code, launch.environment(warn=True))


def _wrap_obstacle() -> str | None:
    # Out first: the child may have been launched on goalloc, as this process.
    code = "import goalloc; goalloc.uninstall(); print(goalloc.install('wrap'))"
    return _child_obstacle("wrap", code, None)


def _child(code: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs code in a child with this interpreter's options."""
    import os
    import subprocess

    # This very goalloc, and not what lies in the current folder: that may be its sources.
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    code = f"import sys; sys.path.append({home!r}); {code}"
    options = launch.interpreter_options(sys.orig_argv)
    return subprocess.run(
        [sys.executable, *options, "-P", "-c", code], env=env, capture_output=True, text=True
    )


def _warnings(stderr: str) -> list[str]:
    """What goalloc complains of, without a word in front: variables that make no sense, too."""
    return [line.removeprefix(_WARNING) for line in stderr.splitlines() if line.startswith(_WARNING)]


def _child_obstacle(mode: str, code: str, env: dict[str, str] | None) -> str | None:
    """code prints the mode that it came to."""
    child = _child(code, env)
    if child.stdout.strip() == mode:
        return None
    warnings = _warnings(child.stderr)
    if warnings:
        return warnings[0]
    last = (child.stderr or "no message").strip().splitlines()[-1]
    return f"a child python came up without it (exit status {child.returncode}): {last}"


def _import_obstacle() -> str | None:
    from . import _core

    return _core.obstacle()


_OBSTACLES = {"launch": _launch_obstacle, "import": _import_obstacle, "wrap": _wrap_obstacle}

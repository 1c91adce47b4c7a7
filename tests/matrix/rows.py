"""The rows of the matrix: the ways in which CPython is used, each a program that tells its result."""

from __future__ import annotations

import importlib.util
import sys
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
CASES = HERE / "cases"
PROGRAMS = HERE.parent / "programs"
MODES = ("launch", "import", "wrap")
# The program puts goalloc in place itself, in all modes that there are.
BY_ITSELF = ("by itself",)
DEBUG_BUILD = hasattr(sys, "gettotalrefcount")
FREE_THREADED = "t" in sys.abiflags

Need = Callable[[], "str | None"]


def module(name: str) -> Need:
    return lambda: None if importlib.util.find_spec(name) else f"{name} is not there"


def since(*version: int, why: str) -> Need:
    return lambda: None if sys.version_info >= version else why


def shared_library() -> str | None:
    library = sysconfig.get_config_var("LDLIBRARY") or ""
    found = ".so" in library or any(Path(sysconfig.get_config_var("LIBDIR")).glob("libpython*.so"))
    return None if found else "no shared libpython to embed"


@dataclass(frozen=True)
class Row:
    name: str
    group: str
    title: str
    script: str  # of cases/ or of tests/programs
    args: tuple[str, ...] = ()
    options: tuple[str, ...] = ()  # of python
    env: Mapping[str, str] = field(default_factory=dict)
    before: str = ""  # runs before goalloc comes
    needs: Need = lambda: None  # one line why it can't be here, or None
    modes: tuple[str, ...] = MODES
    stays: bool = True  # at the exit the mode is what it was
    embed: bool = False  # run by a C program
    quick: bool = False  # also in the tests
    outcome: str = "exit 0"  # on stock

    def path(self) -> Path:
        for folder in (CASES, PROGRAMS):
            path = folder / f"{self.script}.py"
            if path.exists():
                return path
        raise FileNotFoundError(self.script)


_OWN_GIL = since(3, 12, why="interpreters share one GIL before 3.12")
_MIMALLOC = since(3, 13, why="no mimalloc before 3.13")


def _threads() -> list[Row]:
    g = "Threads and signals"
    return [
        Row("plain", g, "an ordinary program", "plain", quick=True),
        Row("queues", g, "blocks of one thread freed by another", "threads_queues"),
        Row("foreign", g, "threads that Python did not start", "threads_foreign"),
        Row("signals", g, "signals in the middle of allocations", "signalled", quick=True),
        Row("toggle", g, "install() and uninstall() while others allocate", "toggling",
            modes=BY_ITSELF),
    ]  # fmt: skip


def _interpreters() -> list[Row]:
    titles = {
        "interpreters_busy": "many allocate at once",
        "interpreters_switch": "one thread goes through several",
        "interpreters_channels": "data passed between them",
        "interpreters_thousand": "a thousand come and go",
        "interpreters_outlived": "blocks that outlive theirs",
        "interpreters_left": "left alive at exit",
        "fork_interpreters": "fork among them",
    }
    return [
        Row(
            f"{script}_{kind}",
            "Interpreters with one GIL" if kind == "legacy" else "Interpreters with a GIL each",
            title,
            script,
            (kind,),
            needs=_OWN_GIL if kind == "isolated" else lambda: None,
            quick=script == "interpreters_outlived",
        )
        for kind in ("legacy", "isolated")
        for script, title in titles.items()
    ]


def _processes() -> list[Row]:
    g = "Processes"
    return [
        Row("fork_threads", g, "fork with threads at work", "fork_threads"),
        *(Row(f"multiprocessing_{how}", g, f"multiprocessing, {how}", "multiprocessed", (how,))
          for how in ("fork", "forkserver", "spawn")),
        Row("posix_spawn", g, "os.posix_spawn, subprocess, os.system", "posix_spawned"),
        Row("preforking", g, "a preforking server", "preforked", quick=True),
    ]  # fmt: skip


def _ends() -> list[Row]:
    g = "The end, and Python inside a program"
    return [
        Row("daemons", g, "daemon threads at exit", "ending", ("normal",), quick=True),
        Row("os_exit", g, "os._exit with threads at work", "ending", ("os._exit",),
            outcome="exit 7"),
        Row("exec", g, "exec with threads at work", "ending", ("exec",)),
        Row("error", g, "an error ends it", "ending", ("error",), outcome="exit 1"),
        Row("late", g, "atexit, weakref and finalizers that allocate", "late_callbacks",
            quick=True),
        Row("embedded", g, "Py_Initialize and Py_Finalize again and again", "embedded",
            needs=shared_library, embed=True, stays=False),
    ]  # fmt: skip


def _switches() -> list[Row]:
    g = "Python's own switches"
    switches = {
        "dev": ("-X dev", ("-X", "dev"), {}),
        "debug": ("PYTHONMALLOC=debug", (), {"PYTHONMALLOC": "debug"}),
        "malloc": ("PYTHONMALLOC=malloc", (), {"PYTHONMALLOC": "malloc"}),
        "mimalloc": ("PYTHONMALLOC=mimalloc", (), {"PYTHONMALLOC": "mimalloc"}),
        "tracemalloc": ("-X tracemalloc", ("-X", "tracemalloc=3"), {}),
    }
    rows = [
        Row(f"{name}_{script}", g, f"{title}: {what}", script, args, options, env,
            needs=_MIMALLOC if name == "mimalloc" else lambda: None,
            stays=name != "tracemalloc" or script != "observed")
        for name, (title, options, env) in switches.items()
        for script, args, what in (
            ("threads_queues", (), "threads"),
            ("interpreters_busy", ("legacy",), "interpreters"),
            ("observed", (), "tracemalloc in it"),
        )
    ]  # fmt: skip
    return [
        *rows,
        Row("faulthandler", g, "faulthandler: on signals, and at a crash", "faulthandled",
            outcome="SIGSEGV"),
    ]  # fmt: skip


def _tools() -> list[Row]:
    g = "Beside other tools"
    return [
        Row("observed", g, "tracemalloc started after", "observed"),
        Row("tracemalloc_before", g, "tracemalloc started before, stopped and started again",
            "tracemalloc_stopped", before="import tracemalloc; tracemalloc.start()", stays=False),
        Row("tracemalloc_stop", g, "tracemalloc stops and takes goalloc along: noticed, mended",
            "tracemalloc_stopped_install", modes=BY_ITSELF, quick=True),
        Row("saver", g, "a hook that saves and restores the table, in every order", "tools_in_order",
            ("4", "{saver}"), modes=BY_ITSELF),
        Row("memray", g, "memray, in every order", "memrayed", needs=module("memray"),
            modes=BY_ITSELF),
        Row("greenlet", g, "greenlet", "greenlets", needs=module("greenlet")),
        Row("gevent", g, "gevent", "gevents", needs=module("gevent")),
    ]  # fmt: skip


ROWS = {
    row.name: row
    for make in (_threads, _interpreters, _processes, _ends, _switches, _tools)
    for row in make()
}

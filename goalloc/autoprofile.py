"""A heap profile of this process that writes itself: at exit, every so often, and at a signal.

Exit is the end of the program by any way that runs Python code: its last line, an exception,
sys.exit, SIGTERM where the program leaves that to the system, the end of a multiprocessing child.
os._exit, SIGKILL and a crash leave what was written last, and so does a program that Python cannot
find: a script with a slip in its name is no reason to lose the profile of before.

A file is whole whenever it is there: it is written beside its place and renamed.
"""

from __future__ import annotations

import os
import sys

from .notices import warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from threading import Event, Thread
    from types import FrameType
    from typing import TypeVar

    _T = TypeVar("_T")

#: What tells a child process what its parent was told; written by environment().
PATH = "GOALLOC_PROFILE"
PID = "GOALLOC_PROFILE_PID"
EVERY = "GOALLOC_PROFILE_EVERY"
SIGNAL = "GOALLOC_PROFILE_SIGNAL"
VARIABLES = (PATH, PID, EVERY, SIGNAL)
_OFF = ("", "0", "off")  # of the variables; as arguments "off" alone

_SHORTEST = 0.1
_LONGEST = 10 * 365 * 86400.0  # far below what a lock can wait for
_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
# These end the process, can't be had, or are how it learns of its children.
_TAKEN = "KILL STOP TERM INT CHLD SEGV BUS FPE ILL ABRT TRAP SYS CONT"


def parse_every(text: str) -> float:
    """Seconds of a time such as 60, 60s, 5m, 1h or 500ms; ValueError for others."""
    number = text.strip().rstrip("smh")
    try:
        seconds = float(number) * _UNITS[text.strip()[len(number) :] or "s"]
    except (ValueError, KeyError):
        raise ValueError(f"not a time such as 60s, 5m or 1h: {text!r}") from None
    if not _SHORTEST <= seconds <= _LONGEST:
        raise ValueError(f"a time of at least {_SHORTEST} s, at most ten years, is needed, not {text!r}")
    return seconds


def parse_signal(text: str) -> int:
    """The number of a signal such as SIGUSR2, USR2 or 12; ValueError for one that can't be used."""
    import signal

    try:
        found = signal.Signals(int(text))
    except ValueError:
        try:
            found = signal.Signals[("" if text.startswith("SIG") else "SIG") + text]
        except KeyError:
            raise ValueError(f"no signal {text!r}; SIGUSR2 is one that few programs use") from None
    if found.name.removeprefix("SIG") in _TAKEN.split():
        raise ValueError(f"{found.name} has another meaning; SIGUSR2 is one that few programs use")
    return int(found)


def environment(path: str, every: str | None = None, signum: str | None = None) -> dict[str, str]:
    """What to add to an environment so that a program started in it by this process (by exec)
    writes its profile to path, and each of its children to one with the child's pid in its name.

    Raises ValueError, and OSError where no file can be made there.
    """
    path = _full_name(path)
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"no such folder: {folder}")
    from .arguments import is_off
    from .profiles.files import check_loss, check_place

    try:
        check_place(path)
        check_loss(path)
    except FileExistsError:
        raise
    except OSError as error:
        raise OSError(f"no file can be made there: {path}: {error.strerror}") from None
    settings = {PATH: path, PID: str(os.getpid())}
    if every is not None and not is_off(every):
        parse_every(every)
        settings[EVERY] = every
    if signum is not None and not is_off(signum):
        settings[SIGNAL] = str(parse_signal(signum))
    return settings


def _full_name(path: str) -> str:
    """Raises IsADirectoryError for the name of a folder, whether there is one or not."""
    full = os.path.abspath(path)
    if os.path.isdir(full) or path.endswith(os.sep):
        raise IsADirectoryError(f"a folder, not a file: {full}")
    return full


def with_number(path: str, number: int) -> str:
    """heap.pb.gz and 7: heap.7.pb.gz"""
    stem, ending = os.path.splitext(path)
    if ending == ".gz":
        stem, inner = os.path.splitext(stem)
        ending = inner + ending
    return f"{stem}.{number}{ending}"


class _Writer:
    """Writes the profiles of this process, and of its forks to files of their own."""

    def __init__(self) -> None:
        from _thread import RLock

        # One at a time.  The same thread may come again: SIGTERM while the last file is written.
        self._lock = RLock()
        self._path = ""
        self._owner = 0  # whose file is _path itself
        self._awaits_main = False  # no profile if Python does not find the program
        self._silent = 0  # the process that writes none
        self._every: float | None = None
        self._by_signal = 0  # files written so far
        self._signalled = False  # one is to be written
        self._thread: Thread | None = None
        self._stop: Event | None = None
        self._failed = False
        self._hooked = False

    def start(
        self,
        path: str,
        owner: int,
        every: float | None,
        signum: int | None,
        silent: bool = False,
        before_main: bool = False,
    ) -> None:
        """path: its full name, or "" where nobody can.

        silent: only forks of this process write.  before_main: the program is yet to be found.
        """
        self._stop_thread()
        self._awaits_main = before_main and sys.argv[:1] not in ([], [""], ["-"], ["-c"])
        self._silent = os.getpid() if silent else 0
        self._path, self._owner, self._every = path, owner, every
        self._hook_into_process()
        if signum is not None:
            import signal

            signal.signal(signum, self._at_signal)
        self._start_thread()

    def check(self) -> None:
        """Says now if there can be no file: once, and not at the end again."""
        from .profiles.files import check_loss, check_place

        try:
            check_place(self.path())
            check_loss(self.path())
        except OSError as error:
            self._say(error)

    def _say(self, error: Exception) -> None:
        if not self._failed:
            self._failed = True
            warn(f"no profile: {error}")

    def _hook_into_process(self) -> None:
        if self._hooked:
            return
        self._hooked = True
        _import_what_writes()
        import atexit
        import signal
        import threading  # noqa: F401  so that its own hook after a fork runs before ours
        from functools import partial

        from ._core import call_soon

        atexit.register(self._at_exit)
        os.register_at_fork(
            before=self._before_fork,
            after_in_parent=self._lock.release,
            after_in_child=self._after_fork_in_child,
        )
        # Not before os.fork has returned: it would warn of a program with threads.  So this and the
        # one above are no Python functions, in which what is to come soon would come at once.
        os.register_at_fork(after_in_parent=partial(call_soon, self._start_thread))
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._at_sigterm)

    # ---- the file ---------------------------------------------------------------------------

    def path(self) -> str:
        """Of this process."""
        pid = os.getpid()
        return self._path if pid == self._owner else with_number(self._path, pid)

    def write(self, path: str) -> None:
        """Says once on stderr if it can't: the program goes on either way."""
        if not self._path or os.getpid() == self._silent:
            return
        try:
            with self._lock:
                write(path)
        except Exception as error:
            self._say(error)

    # ---- when -------------------------------------------------------------------------------

    def _at_exit(self) -> None:
        self._stop_thread()
        if not self._awaits_main or _main_was_found():
            self.write(self.path())

    def _at_sigterm(self, signum: int, frame: FrameType | None) -> None:
        import signal

        self.write(self.path())
        if signal.getsignal(signum) == self._at_sigterm:  # not when a handler of others called us
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)

    def _at_signal(self, signum: int, frame: FrameType | None) -> None:
        # By a thread: the main thread may be anywhere, and has its own work to do.
        from _thread import start_new_thread

        if not self._signalled:
            self._signalled = True
            self._by_signal += 1
            start_new_thread(self._write_signalled, (with_number(self.path(), self._by_signal),))

    def _write_signalled(self, path: str) -> None:
        self.write(path)
        self._signalled = False

    def _start_thread(self) -> None:
        if self._every is None or self._thread is not None:
            return
        from threading import Event, Thread

        self._stop = Event()
        self._thread = Thread(
            target=self._write_often, args=(self._stop, self._every), name="goalloc-profile",
            daemon=True,
        )  # fmt: skip
        try:
            self._thread.start()
        except RuntimeError:  # the interpreter is about to end
            self._thread = None

    def _write_often(self, stop: Event, every: float) -> None:
        while not stop.wait(every):
            self.write(self.path())

    def _stop_thread(self) -> None:
        thread, stop = self._thread, self._stop
        self._thread = self._stop = None
        if thread is not None and stop is not None:
            from time import sleep

            stop.set()
            thread.join()
            # Before 3.13 that comes a little before the system's thread has ended.
            for _ in range(100):
                if not os.path.exists(f"/proc/self/task/{thread.native_id}"):
                    break
                sleep(0.001)

    # ---- fork: a child has its own file, and none of the parent's threads ---------------------

    def _before_fork(self) -> None:
        self._stop_thread()
        self._lock.acquire()

    def _after_fork_in_child(self) -> None:
        self._by_signal, self._signalled, self._failed = 0, False, False
        util = sys.modules.get("multiprocessing.util")
        if util is not None:
            # Its children end by os._exit; what is to run before must be said after it forgot
            # what its parent wanted to run.
            util.register_after_fork(self, _Writer._in_multiprocessing_child)
        self._lock.release()
        self._start_thread()

    def _in_multiprocessing_child(self) -> None:
        from multiprocessing.util import Finalize

        Finalize(None, self._at_exit, exitpriority=-100)


_writer = _Writer()


def _main_was_found() -> bool:
    """Of a script, folder, zip file or module: until then __main__ has the loader that it was made with."""
    from _frozen_importlib import BuiltinImporter

    return getattr(sys.modules.get("__main__"), "__loader__", None) is not BuiltinImporter


def _import_what_writes() -> None:
    """Now, because at the end the program may have changed where modules come from; and one that is
    imported then makes Python forget that Ctrl-C ended the program (it forgets when code in a string
    runs, as named tuples have it), and exit with another status.
    """
    import gzip  # noqa: F401

    from .profiles import files, live, pprof  # noqa: F401


def write(path: str) -> None:
    """Writes the profile of now to path, in pprof's format and with its peak.

    Raises OSError where none can be written, or something else would be lost.
    """
    from . import heap_profile
    from .profiles.files import check_loss

    check_loss(path)
    heap_profile().write_pprof(path, peak=True)


def start(path: str, *, every: float | None = None, signum: int | None = None) -> None:
    """From now on this process writes its profile to path when it ends, and its forks do to a path
    with their pid in it; every so many seconds too, and at a signal to a path with 1, 2, ... in it.

    From the main thread only, because of the signals.  A second call replaces the first.
    """
    _writer.start(os.path.abspath(path), os.getpid(), every, signum)


def start_from(settings: Mapping[str, str]) -> None:
    """The same, as environment() has put it down or a user has; nothing if the path is "off" or not there.

    What is not well formed is one line on stderr, and does without.  A helper of multiprocessing is
    not the program: its resource tracker writes nothing, and of its fork server only what it forks.
    """
    path = settings.get(PATH, "")
    helper = _helper(sys.orig_argv)
    if path in _OFF or helper == "resource_tracker":
        return
    owner = settings.get(PID, "")
    try:
        path = _full_name(path)
    except OSError as error:
        warn(f"no profile: {PATH} is {error}")
        path = ""  # what comes at a signal must not end the program
    _writer.start(
        path,
        int(owner) if owner.isdecimal() else 0,
        _setting(settings, EVERY, parse_every),
        _setting(settings, SIGNAL, parse_signal),
        silent=helper == "forkserver",
        before_main=True,
    )
    if path and not owner:  # else environment() has looked, for all processes that it is told to
        _writer.check()


def _helper(command: Sequence[str]) -> str:
    """Which module of multiprocessing this interpreter was started to serve; mostly ''."""
    for word in command[1:]:
        code = word.removeprefix("import sys; ")  # so begins that of newer fork servers
        if code.startswith("from multiprocessing."):
            module, _, rest = code.removeprefix("from multiprocessing.").partition(" ")
            return module if rest.startswith("import main") else ""
    return ""


def _setting(settings: Mapping[str, str], name: str, parse: Callable[[str], _T]) -> _T | None:
    text = settings.get(name, "")
    if text in _OFF:
        return None
    try:
        return parse(text)
    except ValueError as error:
        warn(f"{name}: {error}")
        return None

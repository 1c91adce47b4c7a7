"""The heap profile of this process: taken, and its sampling set."""

from __future__ import annotations

import os
import sys

from .. import _core
from ..arguments import sample_rate, yes_or_no
from ..display.cells import cell_numbers
from ..place import note_of
from .modules import loaded_modules
from .notes import OFF
from .own import take_own
from .profile import HeapProfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import SupportsIndex

_names: dict[int, str] = {}  # of threads that lived when a profile was read, by native id


def heap_profile(*, own: bool = False) -> HeapProfile:
    """The profile of this process as it is now, from the first block that goalloc served.

    own   also what goalloc itself allocated, as for the profiles before.  Else this is left out, and
          displays say how much it is.
    Where goalloc is not in place, or sampling is off, it is what there is, and .note says so.
    """
    own = yes_or_no(own, "own")
    raw = _core.profile_read()
    note = _note(raw["rate"], bool(raw["samples"]))
    raw["threads"] = list(_named(raw["threads"]))
    left_out = () if own else take_own(raw)
    cells = cell_numbers(dict.fromkeys(filename for _, filename, _ in raw["functions"]))
    modules = {**loaded_modules(), **dict.fromkeys(cells, "__main__")}
    return HeapProfile._from_core(raw, modules, _program(), note, left_out, cells)


def _named(threads: Iterable[tuple[int, str]]) -> Iterable[tuple[int, str]]:
    """Threads with the names that Python knows now, or knew when a profile was read before.

    Others have the name that the system knows, if it is their own: before Python 3.14 a thread has
    that of the program, and all that have ended would be one.  Asking must not import threading.
    """
    global _names
    threading = sys.modules.get("threading")
    threads = list(threads)
    alive = {} if threading is None else {t.native_id: t.name for t in threading.enumerate()}
    kept = {i: _names[i] for i, _ in threads if i in _names}
    _names = names = {**kept, **{i: name for i, name in alive.items() if i is not None}}
    shared = _program_name()
    for native_id, name in threads:
        own = "" if name == shared and native_id != os.getpid() else name
        yield native_id, names.get(native_id, own)


def _program_name() -> str | None:
    """What the system calls the main thread, and each thread that nobody named."""
    try:
        with open("/proc/self/comm", errors="surrogateescape") as file:
            return file.read().removesuffix("\n")
    except OSError:
        return None


def _program() -> str:
    """What runs here, for the heading of pprof."""
    script = getattr(sys, "argv", [""])[:1]
    return script[0] if script and script[0] not in ("", "-c", "-m") else sys.executable or "python"


def _note(rate: int, samples: bool) -> str:
    mode = _core.mode()
    return OFF if mode is not None and not rate else note_of(mode, samples)


def profile_rate() -> int:
    """Mean bytes between two samples: 524288 unless set; 1: every block; 0: none."""
    return _core.profile_rate()


def set_profile_rate(nbytes: SupportsIndex | str | None) -> int:
    """Sets that rate and returns the former one.  It holds from the next sample of each thread.

    nbytes   bytes, or a size such as "64KiB"; 1 samples every block; 0, None or "off" none
    GOALLOC_PROFILE_RATE sets it from the start.  Samples of before keep the weight that they have.
    """
    return _core.set_profile_rate(sample_rate(nbytes, "nbytes"))


def reset_peak() -> None:
    """Forgets the high-water mark: the next one is of what is in use from now on."""
    _core.profile_reset_peak()

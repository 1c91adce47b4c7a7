"""The heap of the process: the one that serves Python while goalloc is installed."""

from __future__ import annotations

from . import _core
from .heap import HeapView
from .place import note_of
from .snapshots import Snapshot
from .stats import classes_from_counts, memstats_from_counts
from .tables import ArenaTable, ClassTable, SpanTable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, SupportsIndex

    from .bill import MemoryBill
    from .fragments import Fragmentation
    from .stats import MemStats, Span


def _view() -> HeapView:
    return HeapView(_core.process_heap())


def _wrapped() -> bool:
    """Whether what is known is what the program asked of the allocators that goalloc passes it on to."""
    return _core.mode() == "wrap"


def memstats() -> MemStats:
    """Go's MemStats of the process heap; in wrap mode what is known of the allocators below."""
    if _wrapped():
        return memstats_from_counts(*_core.wrap_counts(), _core.size_class_table())
    return _noted(_view().memstats())


def _noted(m: MemStats) -> MemStats:
    return m._replace(note=note_of(_core.mode(), m.mallocs))


def class_stats() -> ClassTable:
    """The 134 span classes of the process heap; in wrap mode what is asked for, by span class."""
    if _wrapped():
        return ClassTable(classes_from_counts(_core.wrap_counts()[1], _core.size_class_table()))
    return _view().class_stats()


def spans(state: Literal["in_use", "manual", "free"] | None = None) -> SpanTable:
    """The spans of the process heap by address; only those in one state if it is given."""
    return _view().spans(state)


def span_of(address: SupportsIndex) -> Span | None:
    """The span of the process heap that an address lies in, or None."""
    return _view().span_of(address)


def arenas() -> ArenaTable:
    """The arenas of the process heap."""
    return _view().arenas()


def snapshot() -> Snapshot:
    """The process heap, all of it, consistent at one moment; in wrap mode without spans and arenas."""
    if not _wrapped():
        s = _view().snapshot()
        return Snapshot(_noted(s.memstats), s.classes, s.arenas, s.nanotime, s._packed, s._bits)
    from time import monotonic_ns

    sizes = _core.size_class_table()
    frees, counts = _core.wrap_counts()
    classes = classes_from_counts(counts, sizes)
    memstats = memstats_from_counts(frees, counts, sizes)
    return Snapshot(memstats, tuple(classes), (), monotonic_ns(), b"", b"")


def memory_bill() -> MemoryBill:
    """Where the resident memory of this process is, from all of it down to live blocks."""
    from .bill import MemoryBill, resident

    s = snapshot()
    return MemoryBill(s.memstats, s.classes, resident(s.arenas))


def fragmentation(by: Literal["line", "function", "file"] = "line") -> Fragmentation:
    """Which classes, and which code's surviving blocks, keep free slots from going back.

    by   what tells call sites apart.  They are an estimate from the heap profile (set_profile_rate):
         the more live samples, the better; at a rate of 1 every block since then is counted.
    """
    from .fragments import fragmentation_of

    profile = _core.profile_read(blocks=True)
    known = profile["rate"] or profile["samples"]
    return fragmentation_of(snapshot(), profile if known else None, by)


def check() -> None:
    """Proves every invariant of the process heap; HeapError names the first that fails."""
    _view().check()


def free_os_memory() -> int:
    """Gives everything back to the system that can be; returns how many bytes that was.

    It goes by itself when it was not needed for a while (set_scavenge_delay); this is for the moment
    before a long rest, or a fork.
    """
    return _view().free_os_memory()


_LONGEST_DELAY = _core.SCAVENGE_NEVER // 2 // 10**9


def scavenge_delay() -> float | None:
    """Seconds after which memory that is not needed goes back to the system; None: never."""
    return _seconds(_core.scavenge_delay())


def _seconds(ns: int) -> float | None:
    return None if ns == _core.SCAVENGE_NEVER else ns / 1e9


def set_scavenge_delay(seconds: float | Literal["off"] | None) -> float | None:
    """Sets that delay and returns the former one; None, "off" or infinity turns the scavenger off.

    GOALLOC_SCAVENGE_DELAY sets it from the start.  ValueError below 0 and above 292 years.
    """
    from .arguments import is_off, must_be, real_number

    if is_off(seconds):
        return _seconds(_core.set_scavenge_delay(_core.SCAVENGE_NEVER))
    number = real_number(seconds, "seconds", "a delay in seconds, None or 'off'")
    if number == float("inf"):
        ns = _core.SCAVENGE_NEVER
    elif not number >= 0:
        raise ValueError(must_be("seconds", "at least 0, None or 'off'", seconds))
    elif number > _LONGEST_DELAY:
        raise ValueError(must_be("seconds", f"at most {_LONGEST_DELAY}, None or 'off'", seconds))
    else:
        ns = round(number * 1e9)
    return _seconds(_core.set_scavenge_delay(ns))


def memory_limit() -> int | None:
    """The soft memory limit in bytes; None: there is none."""
    return _view().memory_limit()


def set_memory_limit(nbytes: SupportsIndex | str | None) -> int | None:
    """Go's SetMemoryLimit for the heap of the process; returns the former limit.

    nbytes   bytes, or a size such as "512MiB"; "cgroup": 95 % of the limit of the process's control
             groups (none if there is none); None or "off": no limit; ValueError for 0, which may be
             meant as none at all or as all of it
    GOALLOC_MEMORY_LIMIT sets it from the start.  Heap.set_memory_limit says what it does.
    """
    return _view().set_memory_limit(nbytes)


def guard_rate() -> int:
    """One in so many new blocks stands between guard pages; 0: none."""
    return _core.guard_rate()


def set_guard_rate(n: SupportsIndex | Literal["off"] | None) -> int:
    """Guards one in n new blocks from now on, on average, and returns the former n; 1 is all of them,
    and 0, None or "off" ends it.

    A guarded block stands alone against an inaccessible page and is kept inaccessible when it is freed:
    who writes or reads past its end, before its start or after its free ends the process with a
    report of the block and the Python stacks of its allocation and its free.  Blocks above 128 KiB
    are not guarded, nor more than 4096 of a page at most and 2048 larger ones at a time; the more live,
    the fewer new ones are.  GOALLOC_GUARD sets n from the start; about 5000 is for production, 100 to
    look for a bug: up to 1000 a freed block is kept inaccessible for longer, at twice the cost, and above
    that no more than 250 blocks come in each second of processor time.  In wrap mode only blocks of
    other extensions (goalloc.h) are guarded, since Python's are those of another allocator.  Raises
    RuntimeError in a debugging run (GOALLOC_DEBUG), which guards nothing.
    """
    from .arguments import is_off, whole_number

    what = "a number, for one in so many blocks, None or 'off'"
    return _core.set_guard_rate(0 if is_off(n) else whole_number(n, "n", what))


def get_include() -> str:
    """The folder to give a C compiler with -I, for #include "goalloc/...h"."""
    import os

    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "include")

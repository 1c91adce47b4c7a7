"""The heap of the process: the one that serves Python while goalloc is installed."""

from __future__ import annotations

from . import _core
from .heap import HeapView

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, SupportsIndex

    from .snapshots import Snapshot
    from .stats import Arena, ClassStats, MemStats, Span


def _view() -> HeapView:
    return HeapView(_core.process_heap())


def memstats() -> MemStats:
    """Go's MemStats of the process heap."""
    return _view().memstats()


def class_stats() -> list[ClassStats]:
    """The 134 span classes of the process heap."""
    return _view().class_stats()


def spans(state: Literal["in_use", "manual", "free"] | None = None) -> list[Span]:
    """The spans of the process heap by address; only those in one state if it is given."""
    return _view().spans(state)


def span_of(address: SupportsIndex) -> Span | None:
    """The span of the process heap that an address lies in, or None."""
    return _view().span_of(address)


def arenas() -> list[Arena]:
    """The arenas of the process heap."""
    return _view().arenas()


def snapshot() -> Snapshot:
    """The process heap, all of it, consistent at one moment."""
    return _view().snapshot()


def check() -> None:
    """Proves every invariant of the process heap; HeapError names the first that fails."""
    _view().check()


def free_os_memory() -> int:
    """Gives all free runs of pages back to the system; returns how many bytes that was."""
    return _view().free_os_memory()


def get_include() -> str:
    """The folder to give a C compiler with -I, for #include "goalloc/...h"."""
    import os

    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "include")

"""goalloc in a live interpreter: in, out, and which it is."""

from __future__ import annotations

from . import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Literal, TypeAlias

    _Mode: TypeAlias = Literal["launch", "import", "wrap"]


def install(mode: Literal["import", "wrap"] | None = None) -> _Mode:
    """Puts goalloc into this process and returns the mode that it is in.

    'import'  serves new blocks; older ones stay where they are
    'wrap'    passes every call on to the allocators that are there, and counts by size class:
              memstats() and class_stats() tell it, with None for what can't be known; what
              these allocate to tell it is in the next counts
    None      import where it can be, else wrap: under Python's debug hooks, while tracemalloc or
              another tool has the allocators, with another PYTHONMALLOC, in a free-threaded Python

    Where goalloc is in place already it stays as it is ('launch' if from the start).  Raises
    InstallError with one sentence where the mode asked for can't be.
    """
    _need_mode(mode)
    if mode == "wrap" or _core.obstacle() is not None:
        _load_what_tells()
    _core.install(mode)
    return _core.mode() or mode or "import"


def _load_what_tells() -> None:
    """Before the counts of wrap mode begin: its import would be most of what a small program counts."""
    from . import process  # noqa: F401
    from .display import ledger  # noqa: F401


def _need_mode(mode: object) -> None:
    if mode not in (None, "import", "wrap"):
        raise ValueError(f"no mode {mode!r} to install; there are 'import' and 'wrap'")


def uninstall() -> None:
    """New blocks come from the previous allocator again; those of goalloc are still freed by it."""
    _core.uninstall()


def mode() -> _Mode | None:
    """How goalloc serves this process now; None: it does not.

    Found out by looking: another tool may have put back allocators that it saved earlier.
    """
    return _core.mode()


class installed:
    """Context manager: install on the way in, and out again only if it was not in before."""

    def __init__(self, mode: Literal["import", "wrap"] | None = None) -> None:
        _need_mode(mode)
        self._mode = mode
        self._ours = False

    def __enter__(self) -> _Mode:
        self._ours = mode() is None
        return install(self._mode)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._ours:
            uninstall()

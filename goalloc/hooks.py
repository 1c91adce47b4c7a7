"""goalloc in a live interpreter: in, out, and which it is."""

from __future__ import annotations

from . import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Literal


def install() -> Literal["launch", "import"]:
    """Serves new blocks of this process from goalloc; older ones stay where they are.

    Returns the mode: 'import', or 'launch' if goalloc has been there from the start.  Raises
    InstallError with one sentence where it can't be done.
    """
    _core.install()
    return "launch" if _core.mode() == "launch" else "import"


def uninstall() -> None:
    """New blocks come from the previous allocator again; those of goalloc are still freed by it."""
    _core.uninstall()


def mode() -> Literal["launch", "import"] | None:
    """How goalloc serves this process now; None: it does not."""
    return _core.mode()


class installed:
    """Context manager: install on the way in, and out again only if it was not in before."""

    def __init__(self) -> None:
        self._ours = False

    def __enter__(self) -> Literal["launch", "import"]:
        self._ours = mode() is None
        return install()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._ours:
            uninstall()

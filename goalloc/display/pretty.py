"""What shows as its text in a terminal's IPython, which else shows the repr."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def show_text(self: object, printer: Any, cycle: bool) -> None:
    """For a class to have as its _repr_pretty_.  Not inherited: there a class's own repr goes before."""
    printer.text("..." if cycle else str(self))

"""The table of size classes, as Go prints it in sizeclasses.go."""

from __future__ import annotations

from .text import table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..sizes import SizeClass


def sizes_text(classes: Iterable[SizeClass]) -> str:
    """One line a class; class 0, which has no size of its own, is left out as in Go's."""
    rows = [
        (
            str(c.index),
            str(c.size),
            str(c.span_bytes),
            str(c.objects),
            str(c.tail_waste),
            f"{c.max_waste:.2%}",
        )
        for c in classes
        if c.index != 0
    ]
    return table(("class", "bytes/obj", "bytes/span", "objects", "tail waste", "max waste"), rows)

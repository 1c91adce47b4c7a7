"""The table of size classes, as Go prints it in sizeclasses.go."""

from __future__ import annotations

from . import svg
from .text import table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..sizes import SizeClass

_HEADINGS = ("class", "bytes/obj", "bytes/span", "objects", "tail waste", "max waste")


def sizes_html(classes: Iterable[SizeClass]) -> str:
    """The same with bars: what is lost at worst, and what of that lies behind the last slot."""
    rows = []
    for c in classes:
        if c.index:
            tail = c.tail_waste / c.span_bytes
            parts = [
                ("c4", tail, f"{tail:.2%} behind the last slot"),
                ("c3", c.max_waste - tail, f"{c.max_waste - tail:.2%} to rounding up, at worst"),
            ]
            numbers = (c.index, c.size, c.span_bytes, c.objects, c.tail_waste)
            bar = svg.bar(parts, 1.0, 160)
            rows.append((*(f"{n:,}" for n in numbers), f"{c.max_waste:.2%}", bar))
    key = svg.key([("c4", "tail, behind the last slot"), ("c3", "rounding up, at worst")])
    return svg.frame(svg.grid((*_HEADINGS, "of a span"), rows, left=(6,)), key)


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
    return table(_HEADINGS, rows)

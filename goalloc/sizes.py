"""The size classes: what a request of n bytes really takes, and what is lost to rounding.

The numbers are those of the C table that the allocator itself uses; the waste is worked out here,
as Go's generator does.
"""

from __future__ import annotations

from . import _core
from ._records import Record, SizeClassFields
from .tables import SizeTable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import SupportsIndex


class SizeClass(Record, SizeClassFields):
    """One row of the table.

    size, span_bytes and tail_waste are bytes; objects is how many fit a span; max_waste is the
    largest part of a span (0 to 1) that is lost when it is full of the least fitting requests.
    Class 0 stands for large objects, which have a span of their own: its numbers are 0.
    """

    __slots__ = ()


def _row(index: int, size: int, npages: int, previous: int) -> SizeClass:
    if index == 0:
        return SizeClass(0, 0, 0, 0, 0, 0.0)
    span_bytes = npages * _core.PAGE_SIZE
    objects, tail = divmod(span_bytes, size)
    waste = ((size - previous - 1) * objects + tail) / span_bytes
    return SizeClass(index, size, span_bytes, objects, tail, waste)


def size_classes() -> SizeTable:
    """All 67 classes, class 0 (large objects) first: a list that shows as a table."""
    table = _core.size_class_table()
    return SizeTable(
        _row(index, size, npages, table[index - 1][0])
        for index, (size, npages) in enumerate(table)
    )


def size_class_of(n: SupportsIndex) -> SizeClass:
    """The class that serves a request of n bytes; class 0 for what is larger than all of them."""
    index = _core.size_class_of(n)
    table = _core.size_class_table()
    size, npages = table[index]
    return _row(index, size, npages, table[index - 1][0])

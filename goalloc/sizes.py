"""The size classes: what a request of n bytes really takes, and what is lost to rounding.

The numbers are those of the C table that the allocator itself uses; the waste is worked out here,
as Go's generator does.
"""

from __future__ import annotations

import sys

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
    Class 0 stands for large objects, each of which has a span of its own, of whole pages: in
    size_classes() its numbers are 0, from size_class_of() they are those of the request.
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
    """The 66 classes, behind a 0th entry that stands for large objects; a list that shows as a table."""
    table = _core.size_class_table()
    return SizeTable(
        _row(index, size, npages, table[index - 1][0])
        for index, (size, npages) in enumerate(table)
    )


def size_class_of(n: SupportsIndex) -> SizeClass:
    """What a request of n bytes takes: its class, or the span of its own, index 0, if it is large.

    ValueError for n below 0, or more than any heap could hold.
    """
    index = _core.size_class_of(n)
    if index == 0:
        return _large(n.__index__())
    table = _core.size_class_table()
    size, npages = table[index]
    return _row(index, size, npages, table[index - 1][0])


def _large(n: int) -> SizeClass:
    if n > sys.maxsize:
        raise ValueError(f"{n} bytes are more than any heap can hold")
    page = _core.PAGE_SIZE
    size = (n + page - 1) // page * page
    return SizeClass(0, size, size, 1, 0, (page - 1) / size)

"""The state of a heap as records: Go's MemStats, the span classes, spans and arenas.

Displays and snapshots build on these; nothing here asks a heap for anything.
"""

from __future__ import annotations

from struct import Struct

from ._records import (
    ArenaFields,
    BySizeFields,
    ClassStatsFields,
    MemStatsFields,
    Record,
    SpanFields,
)
from .display.pretty import show_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

#: The states of a span, by their number in C.
STATES = ("dead", "in_use", "manual", "free")

PAGE_SIZE = 8192

# struct span_info of inspect.h; _core.pyx asserts its size.
_SPAN = Struct("=3Q8IQ2I")


class BySize(Record, BySizeFields):
    """Allocations and frees of one size class so far."""

    __slots__ = ()


class MemStats(Record, MemStatsFields):
    """Go's runtime.MemStats.  All numbers are bytes, except mallocs, frees, heap_objects, scavenge_ns.

    sys = heap_sys + stack_sys + mspan_sys + mcache_sys + buck_hash_sys + gc_sys + other_sys
    heap_sys = heap_idle + heap_inuse
    heap_objects = mallocs - frees

    Not Go's: heap_inuse_released is the part of heap_inuse that lies inside of spans and has been given
    back, so memory taken from the system is sys - heap_released - heap_inuse_released;
    scavenged_bytes is what was given back so far without being asked for, scavenge_ns how long
    (nanoseconds) the scavenger has worked.

    In wrap mode the blocks are those of other allocators: mallocs, frees, total_alloc (the bytes asked
    for, not rounded up) and by_size[...].mallocs are known, all other numbers are None.

    note is one sentence where goalloc is not in place, and mostly empty.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        fields = ", ".join(f"{n}={v}" for n, v in zip(self._fields[:-2], self))
        note = f", note={self.note!r}" if self.note else ""
        return f"MemStats({fields}, by_size=<{len(self.by_size)} classes>{note})"

    def __str__(self) -> str:
        from .display.ledger import memstats_text

        return memstats_text(self)

    _repr_pretty_ = show_text

    def _repr_html_(self) -> str:
        from .display.html import memstats_html

        return memstats_html(self)


class ClassStats(Record, ClassStatsFields):
    """One span class: its spans, and their slots; capacity = live + free.

    cached counts the free slots that wait in the stores of caches.  span_bytes is the size of one
    span; tail_bytes is what lies behind the last slot, summed over the spans.

    asked_bytes counts what mallocs asked for, before rounding up to the class; known in wrap mode only.
    There, of the other counts, only mallocs is known; the rest is None.
    """

    __slots__ = ()

    @property
    def occupancy(self) -> float | Any:
        """Live slots as a part of all, 0 to 1; None in wrap mode."""
        if self.capacity is None:
            return None
        return self.live / self.capacity if self.capacity else 0.0


class Span(Record, SpanFields):
    """A run of pages in one state: 'in_use' (cut into slots), 'manual' (stacks) or 'free'.

    alloc_count counts live slots and alloc_bits has bit i set while slot i is live.

    scavenged says that a free span has been given back.  Of a span in use single pages can be: bit i
    of os_released is set while the i-th os_page_size bytes of it are.
    """

    __slots__ = ()

    @property
    def nbytes(self) -> int:
        return self.npages * PAGE_SIZE

    @property
    def end(self) -> int:
        return self.start + self.nbytes

    @property
    def released_bytes(self) -> int:
        """Bytes of it that have been given back to the system."""
        if self.state == "free":
            return self.nbytes if self.scavenged else 0
        return self.os_released.bit_count() * self.os_page_size

    @property
    def occupancy(self) -> float:
        """Live slots as a part of all, 0 to 1."""
        return self.alloc_count / self.nelems if self.nelems else 0.0

    def live_addresses(self) -> list[int]:
        """The addresses of the live blocks, ascending."""
        addresses = []
        bits = self.alloc_bits
        while bits:
            low = bits & -bits
            addresses.append(self.start + (low.bit_length() - 1) * self.elem_size)
            bits ^= low
        return addresses

    def __repr__(self) -> str:
        text = f"Span({self.start:#x}, {self.npages} pages, {self.state}"
        if self.state == "in_use":
            kind = "noscan" if self.noscan else "scan"
            text += (
                f", class {self.size_class} {kind}, "
                f"{self.alloc_count} of {self.nelems} x {self.elem_size} bytes live"
            )
            if self.os_released:
                text += f", {self.released_bytes} bytes given back"
        elif self.scavenged:
            text += ", given back"
        return text + ")"


class Arena(Record, ArenaFields):
    """64 MiB of address space, at such a boundary.

    start, size    the part of it that is the heap's: all, unless memory is limited; of the linear
                   layout's reservation, what has been put to use
    pages_in_use   pages of 8 KiB in spans in use
    pages_mapped   pages that may be used without asking the system
    linear         whether it is part of the linear layout's reservation
    """

    __slots__ = ()

    def __repr__(self) -> str:
        layout = "linear" if self.linear else "sparse"
        return (
            f"Arena({self.start:#x}, {self.size} bytes, {layout}, {self.pages_in_use} of "
            f"{self.pages_mapped} mapped pages in use)"
        )


def memstats_from_core(numbers: Iterable[int], by_size: Iterable[tuple[int, int, int]]) -> MemStats:
    return MemStats._make((*numbers, tuple(BySize(*row) for row in by_size), ""))


def classes_from_core(rows: Iterable[tuple[int, ...]]) -> list[ClassStats]:
    """From rows of struct class_stats: they have capacity and live, and free follows."""
    classes = []
    for spc, szc, noscan, elem, span_bytes, spans, capacity, live, *rest in rows:
        head = (spc, szc, bool(noscan), elem, span_bytes, spans)
        classes.append(ClassStats._make((*head, capacity, live, capacity - live, *rest, None)))
    return classes


def memstats_from_counts(
    frees: int, counts: Iterable[tuple[int, int]], sizes: Sequence[tuple[int, int]]
) -> MemStats:
    """Wrap mode: from (mallocs, bytes asked for) of each span class, and the table of size classes."""
    mallocs, asked = zip(*counts)
    by_size = [
        BySize(size, scan + noscan, None)
        for (size, _), scan, noscan in zip(sizes, mallocs[::2], mallocs[1::2])
    ]
    known = {
        "mallocs": sum(mallocs),
        "frees": frees,
        "total_alloc": sum(asked),
        "by_size": tuple(by_size),
        "note": "",
    }
    return MemStats._make(known.get(name) for name in MemStats._fields)


def classes_from_counts(
    counts: Iterable[tuple[int, int]], sizes: Sequence[tuple[int, int]]
) -> list[ClassStats]:
    classes = []
    for span_class, (mallocs, asked) in enumerate(counts):
        size, npages = sizes[span_class >> 1]
        known = {
            "span_class": span_class,
            "size_class": span_class >> 1,
            "noscan": bool(span_class & 1),
            "elem_size": size,
            "span_bytes": npages * PAGE_SIZE,
            "mallocs": mallocs,
            "asked_bytes": asked,
        }
        classes.append(ClassStats._make(known.get(name) for name in ClassStats._fields))
    return classes


def arenas_from_core(rows: Iterable[tuple[int, int, int, int, bool]]) -> list[Arena]:
    return [Arena(*row) for row in rows]


def spans_from_core(packed: bytes, bits: bytes) -> Iterator[Span]:
    """From an array of struct span_info and the words of live bits that they point into."""
    for row in _SPAN.iter_unpack(packed):
        start, npages, elem, state, spc, nelems, live, cached, index, zero, released, word, *os = row
        slots = bits[word * 8 : word * 8 + (nelems + 63) // 64 * 8]
        yield Span(
            start,
            npages,
            STATES[state],
            spc,
            spc >> 1,
            bool(spc & 1),
            elem,
            nelems,
            live,
            cached,
            index,
            int.from_bytes(slots, "little"),
            bool(zero),
            bool(released),
            *os,
        )

"""Maps of a snapshot: an arena page by page, and the spans of one class slot by slot."""

from __future__ import annotations

from .display.pretty import show_text
from .stats import PAGE_SIZE, Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from pandas import DataFrame as _DataFrame

    from .snapshots import Snapshot
    from .stats import Arena


class ArenaMap:
    """One arena, page by page; text with print(), a picture in a notebook.

    arena   the Arena
    spans   the spans that lie in it, by address: in use, manual and free
    Pages that no span covers are address space that the heap has not asked for yet.
    """

    __slots__ = ("arena", "spans")

    def __init__(self, arena: Arena, spans: Sequence[Span]) -> None:
        self.arena = arena
        end = arena.start + arena.size
        self.spans = tuple(s for s in spans if s.end > arena.start and s.start < end)

    def pages(self) -> Iterator[tuple[int, Span, float]]:
        """(page, span, fullness) of each page of a span: pages count from the arena's start.

        fullness is the part, 0 to 1, of the slots that touch the page which are live; of a stack
        span, the part in use; of a free one, 0.
        """
        last = self.arena.size // PAGE_SIZE
        for span in self.spans:
            first = (span.start - self.arena.start) // PAGE_SIZE
            for i, part in enumerate(_page_fullness(span)):
                if 0 <= first + i < last:
                    yield first + i, span, part

    def to_dataframe(self) -> _DataFrame:
        """pages() as a pandas DataFrame: page, fullness, and of its span start, state and elem_size."""
        from .dataframes import dataframe

        pages = list(self.pages())
        columns: dict[str, list[Any]] = {
            "page": [page for page, _, _ in pages],
            "fullness": [part for _, _, part in pages],
        }
        for name in ("start", "state", "elem_size"):
            columns[name] = [getattr(span, name) for _, span, _ in pages]
        return dataframe(columns)

    def __repr__(self) -> str:
        return f"ArenaMap({self.arena!r}, {len(self.spans)} spans)"

    _repr_pretty_ = show_text

    def __str__(self) -> str:
        from .display.arenamap import arena_map_text

        return arena_map_text(self)

    def _repr_html_(self) -> str:
        from .display.arenamap import arena_map_html

        return arena_map_html(self)


class SpanMap:
    """The spans of one size class with their slots, the fullest first; text with print(), a picture
    in a notebook.

    size_class   its number
    noscan       True or False: only those; None: both
    spans        the spans in use, by fullness
    """

    __slots__ = ("size_class", "noscan", "spans")

    def __init__(self, spans: Sequence[Span], size_class: int, noscan: bool | None) -> None:
        self.size_class = size_class
        self.noscan = noscan
        mine = (
            s
            for s in spans
            if s.state == "in_use"
            and s.size_class == size_class
            and (noscan is None or s.noscan == noscan)
        )
        self.spans = tuple(sorted(mine, key=lambda s: (-s.alloc_count, s.start)))

    def to_dataframe(self) -> _DataFrame:
        """The spans as a pandas DataFrame."""
        from .dataframes import records_frame

        return records_frame(self.spans, Span._fields)

    def __repr__(self) -> str:
        kind = {None: "", True: ", noscan", False: ", scan"}[self.noscan]
        return f"SpanMap(class {self.size_class}{kind}, {len(self.spans)} spans)"

    _repr_pretty_ = show_text

    def __str__(self) -> str:
        from .display.spanmap import span_map_text

        return span_map_text(self)

    def _repr_html_(self) -> str:
        from .display.spanmap import span_map_html

        return span_map_html(self)


def _page_fullness(span: Span) -> list[float]:
    if span.state == "free":
        return [0.0] * span.npages
    if span.npages == 1 or span.nelems == 1 or span.state == "manual":
        return [span.occupancy] * span.npages
    parts = []
    for page in range(span.npages):
        first = page * PAGE_SIZE // span.elem_size
        end = min(-(-(page + 1) * PAGE_SIZE // span.elem_size), span.nelems)
        touching = max(end - first, 1)  # the last page may be all tail
        live = (span.alloc_bits >> first) & ((1 << touching) - 1)
        parts.append(live.bit_count() / touching)
    return parts


def arena_map(snapshot: Snapshot, which: Arena | int) -> ArenaMap:
    """What Snapshot.arena_map does."""
    arenas = snapshot.arenas
    if not arenas:
        why = snapshot.memstats.note or "nothing was allocated, or wrap mode"
        raise ValueError(f"there are no arenas in this snapshot: {why}")
    if isinstance(which, int):
        if not -len(arenas) <= which < len(arenas):
            raise ValueError(f"no arena {which}: there are {len(arenas)}")
        which = arenas[which]
    if which not in arenas:
        raise ValueError(f"not an arena of this snapshot: {which!r}")
    return ArenaMap(which, snapshot.spans)


def span_map(snapshot: Snapshot, size: int, noscan: bool | None) -> SpanMap:
    """What Snapshot.span_map does."""
    from . import _core
    from .arguments import must_be, whole_number

    if not whole_number(size, "size", "a size in bytes") > 0:
        raise ValueError(must_be("size", "at least 1 byte", size))
    if noscan is not None and not isinstance(noscan, bool):
        raise TypeError(must_be("noscan", "True, False or None", noscan))
    size_class = _core.size_class_of(size)
    if size_class == 0:
        raise ValueError(
            f"a block of {size} bytes is a large object: it has a span of its own; see arena_map()"
        )
    return SpanMap(snapshot.spans, size_class, noscan)

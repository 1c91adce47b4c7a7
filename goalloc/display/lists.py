"""Spans and arenas one a line, and any one record as a table of its fields."""

from __future__ import annotations

from html import escape

from ..stats import PAGE_SIZE
from . import svg
from .shading import kind_of
from .text import human, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..stats import Arena, Span

_MOST = 40  # spans shown
_HEX = ("start", "alloc_bits", "os_released")  # fields that are no amounts
_SPAN_HEADINGS = ("span", "pages", "state", "slot bytes", "live", "slots", "given back", "fullness")
_ARENA_HEADINGS = ("arena", "size", "layout", "mapped", "in use", "")


def _span_cells(s: Span) -> tuple[str, ...]:
    state = s.state.replace("_", " ")
    if s.state == "in_use":
        state = "large object" if s.size_class == 0 else "noscan" if s.noscan else "scan"
    slots = ("", "", "") if s.state == "free" else (
        f"{s.elem_size:,}", f"{s.alloc_count:,}", f"{s.nelems:,}"
    )  # fmt: skip
    given = human(s.released_bytes) if s.released_bytes else ""
    return f"{s.start:#x}", f"{s.npages:,}", state, *slots, given


def _rest(spans: Sequence[Span]) -> str:
    if len(spans) <= _MOST:
        return ""
    return f"the first {_MOST} of {len(spans):,} spans; snapshot().arena_map() draws them all"


def spans_text(spans: Sequence[Span]) -> str:
    rows = [
        (*_span_cells(s), "" if s.state == "free" else f"{s.occupancy:.0%}")
        for s in spans[:_MOST]
    ]
    lines = [table(_SPAN_HEADINGS, rows, left=1), _rest(spans)]
    return "\n".join(filter(None, lines))


def spans_html(spans: Sequence[Span]) -> str:
    rows = [
        (*map(escape, _span_cells(s)), "" if s.state == "free" else _fullness(s))
        for s in spans[:_MOST]
    ]
    rest = _rest(spans)
    return svg.frame(
        svg.grid(_SPAN_HEADINGS, rows, left=(0, 7)), svg.note(rest) if rest else ""
    )


def _fullness(s: Span) -> str:
    css, _ = kind_of(s)
    parts = [
        (css, s.alloc_count, f"{s.alloc_count:,} live"),
        ("cf", s.nelems - s.alloc_count, f"{s.nelems - s.alloc_count:,} free"),
    ]
    return svg.bar(parts, s.nelems, 120)


def _arena_cells(a: Arena) -> tuple[str, ...]:
    return (
        f"{a.start:#x}",
        human(a.size),
        "linear" if a.linear else "sparse",
        human(a.pages_mapped * PAGE_SIZE),
        human(a.pages_in_use * PAGE_SIZE),
    )


def arenas_text(arenas: Sequence[Arena]) -> str:
    return table(_ARENA_HEADINGS[:-1], map(_arena_cells, arenas), left=1)


def arenas_html(arenas: Sequence[Arena]) -> str:
    rows = []
    for a in arenas:
        parts = [
            ("c1", a.pages_in_use, f"{a.pages_in_use:,} pages in use"),
            ("cf", a.pages_mapped - a.pages_in_use,
             f"{a.pages_mapped - a.pages_in_use:,} more pages mapped"),
        ]  # fmt: skip
        rows.append((*map(escape, _arena_cells(a)), svg.bar(parts, a.size / PAGE_SIZE, 260)))
    key = svg.key([("c1", "in use"), ("cf", "mapped: free, or given back")])
    return svg.frame(svg.grid(_ARENA_HEADINGS, rows, left=(0, 5)), key)


def record_html(name: str, fields: Iterable[tuple[str, object]]) -> str:
    rows = [(escape(field), escape(_value(field, value))) for field, value in fields]
    return svg.frame(svg.heading(name), svg.grid(("field", "value"), rows))


def _value(field: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int):
        return f"{value:.4g}" if isinstance(value, float) else str(value)
    if field not in _HEX:
        return f"{value:,}"
    text = f"{value:#x}"
    return text if len(text) <= 40 else f"{text[:37]}..."

"""The spans of one size class, slot by slot: as a picture and as text."""

from __future__ import annotations

from html import escape

from . import svg
from .shading import group_of, block, span_title
from .text import human

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..maps import SpanMap
    from ..stats import Span

_MAX_SPANS = 64  # drawn, if they have few slots
_MAX_SLOTS = 16384  # drawn
_MAX_LINES = 24  # of text
_TILES = 4  # beside each other
_TILE = 224.0  # pixels
_GAP = 16.0
_CAPTION = 13.0


def chosen(spans: Sequence[Span], limit: int) -> list[Span]:
    """At most `limit` of them, evenly from first to last."""
    if len(spans) <= limit:
        return list(spans)
    step = (len(spans) - 1) / max(limit - 1, 1)
    return [spans[round(i * step)] for i in range(limit)]


def deciles(spans: Sequence[Span]) -> list[int]:
    """How many spans are full to 0-10 %, 10-20 % and so on; the last of 11 is those quite full."""
    counts = [0] * 11
    for s in spans:
        counts[s.alloc_count * 10 // s.nelems if s.nelems else 0] += 1
    return counts


def _name(m: SpanMap) -> str:
    kind = {None: "", True: " noscan", False: " scan"}[m.noscan]
    if not m.spans:
        return f"class {m.size_class}{kind}: no spans"
    live = sum(s.alloc_count for s in m.spans)
    slots = sum(s.nelems for s in m.spans)
    return (
        f"{m.spans[0].elem_size:,} B{kind}: {len(m.spans):,} spans, "
        f"{live:,} of {slots:,} slots live ({live / slots:.0%})"
    )


def _how_many(shown: int, spans: int) -> str:
    if shown == spans:
        return "sorted by fullness"
    return f"{shown} of {spans:,} spans shown, evenly from the fullest to the emptiest"


# ---- picture ------------------------------------------------------------------------------------


def span_map_html(m: SpanMap) -> str:
    name = _name(m)
    if not m.spans:
        return svg.frame(svg.heading(name))
    nelems, elem_size = m.spans[0].nelems, m.spans[0].elem_size
    css, _ = group_of(elem_size, m.size_class)
    shown = chosen(m.spans, max(min(_MAX_SPANS, _MAX_SLOTS // nelems), _TILES))
    per_line = _slots_per_line(nelems)
    cell = _TILE / per_line
    tall = max(min(cell, 8.0), 3.0)
    step = -(-nelems // per_line) * tall + _CAPTION + 6
    body = ""
    for i, span in enumerate(shown):
        x, y = i % _TILES * (_TILE + _GAP), i // _TILES * step
        body += svg.label(x, y + 9, f"{span.start:#x} · {span.alloc_count} of {span.nelems}")
        body += _tile(span, css, x, y + _CAPTION, per_line, cell, tall)
    width = _TILES * (_TILE + _GAP) - _GAP
    chart = svg.picture(width, -(-len(shown) // _TILES) * step, name, body)
    given = sum(s.released_bytes for s in m.spans)
    entries = [(css, "live"), ("cf", "free")]
    if given:
        entries.append(("cr", f"free, its memory given back ({human(given)})"))
    more = f"· {_how_many(len(shown), len(m.spans))}"
    return svg.frame(svg.heading(name, more), svg.key(entries), _histogram(m.spans, css), chart)


def _slots_per_line(nelems: int) -> int:
    if nelems >= 512:
        return 64
    if nelems >= 128:
        return 32
    return min(nelems, 16)


def _tile(
    span: Span, css: str, x: float, y: float, per_line: int, cell: float, tall: float
) -> str:
    """One span: runs of slots alike are one rectangle; lines between slots where there is room."""
    paths = {"cf": "", "cr": "", css: ""}
    gap = 1.0 if tall > 3 else 0.5
    for first, count, look in _slot_runs(span, css, per_line):
        line, column = divmod(first, per_line)
        paths[look] += svg.box(x + column * cell, y + line * tall, count * cell - gap, tall - gap)
    shapes = "".join(svg.shape(look, path) for look, path in paths.items() if path)
    if cell > 5:
        shapes += svg.shape("cb q", _cuts(span.nelems, per_line, x, y, cell, tall))
    return f"<g><title>{escape(span_title(span))}</title>{shapes}</g>"


def _cuts(nelems: int, per_line: int, x: float, y: float, cell: float, tall: float) -> str:
    full, rest = divmod(nelems, per_line)
    height = (full + (rest > 0)) * tall
    return "".join(svg.box(x + i * cell - 1, y, 1, height) for i in range(1, per_line))


def _slot_runs(span: Span, css: str, per_line: int) -> Iterator[tuple[int, int, str]]:
    """(first slot, how many, look) of slots alike in one line."""
    given = _given_slots(span)
    first, before = 0, ""
    for i in range(span.nelems + 1):
        look = ""
        if i < span.nelems:
            look = css if span.alloc_bits >> i & 1 else "cr" if given >> i & 1 else "cf"
        if i and (look != before or i % per_line == 0):
            yield first, i - first, before
            first = i
        before = look


def _given_slots(span: Span) -> int:
    """Bit i: all of slot i lies in pages that are given back."""
    bits = 0
    page = span.os_page_size
    if span.os_released:
        for i in range(span.nelems):
            first = i * span.elem_size // page
            last = ((i + 1) * span.elem_size - 1) // page
            mask = (1 << (last - first + 1)) - 1
            if span.os_released >> first & mask == mask:
                bits |= 1 << i
    return bits


def _histogram(spans: Sequence[Span], css: str) -> str:
    """How many spans are how full."""
    counts = deciles(spans)
    most = max(counts)
    body = ""
    for i, n in enumerate(counts):
        height = n / most * 40 if n else 0
        what = "full" if i == 10 else f"{i * 10} to {i * 10 + 10} % full"
        body += svg.shape(css, svg.box(i * 34, 42 - max(height, 1), 30, max(height, 1)),
                          f"{n:,} spans {what}")  # fmt: skip
        body += svg.label(i * 34 + 15, 54, "full" if i == 10 else f"{i * 10} %", "middle")
        if n:
            body += svg.label(i * 34 + 15, 38 - height, f"{n:,}", "middle")
    chart = svg.picture(11 * 34, 58, "spans by fullness", body, natural=True)
    return f'<div style="padding:12px 0 10px"><div style="width:374px">{chart}</div></div>'


# ---- text ---------------------------------------------------------------------------------------


def span_map_text(m: SpanMap) -> str:
    lines = [_name(m)]
    shown = chosen(m.spans, _MAX_LINES)
    for span in shown:
        row = f"{span.start:#x} |{_slots_text(span)}| {span.alloc_count:>4} of {span.nelems}"
        lines.append(row + (f", {human(span.released_bytes)} given back" * bool(span.os_released)))
    if shown:
        lines.append(_how_many(len(shown), len(m.spans)) + "; ░▒▓█ live slots, · none")
    return "\n".join(lines)


def _slots_text(span: Span) -> str:
    """The span from its start to its end in at most 64 characters."""
    width = min(span.nelems, 64)
    signs = ""
    for i in range(width):
        first, end = i * span.nelems // width, (i + 1) * span.nelems // width
        live = (span.alloc_bits >> first & ((1 << (end - first)) - 1)).bit_count()
        signs += block(live / (end - first)) if live else "·"
    return signs

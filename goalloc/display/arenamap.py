"""An arena as a picture, page by page, and as text.

A row is a mebibyte: 128 pages, addresses from left to right.  Pages of one span touch each other,
spans are apart.  Neighbouring pages that look the same are one rectangle, so that a full arena of
8192 spans stays below a megabyte of HTML.
"""

from __future__ import annotations

from html import escape

from ..stats import PAGE_SIZE
from . import svg
from .shading import (
    FREE,
    GROUPS,
    LARGE,
    RELEASED,
    STACKS,
    block,
    kind_of,
    shade,
    span_title,
)
from .text import human

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..maps import ArenaMap
    from ..stats import Span

_COLUMNS = 128
_PITCH = 7.0  # pixels from page to page
_GAP = 1.0
_LEFT = 50.0  # for the labels of rows
_KINDS = (*(g[1:] for g in GROUPS), LARGE, STACKS, FREE, RELEASED)


def arena_map_html(m: ArenaMap) -> str:
    rows = _rows(m)
    pitch = 10.0 if rows > 16 else 14.0
    body = _labels(rows, pitch)
    holes = ""
    for span, runs in _runs(m):
        css, _ = kind_of(span)
        shades: dict[str, str] = {}
        for first, npages, part, ends in runs:
            look = css if span.state == "free" else css + shade(part)
            x, y = _LEFT + first % _COLUMNS * _PITCH, first // _COLUMNS * pitch
            width = npages * _PITCH - (_GAP if ends else 0)
            shades[look] = shades.get(look, "") + svg.box(x, y, width, pitch - _GAP)
        title = span_title(span)
        shapes = "".join(svg.shape(look, path) for look, path in shades.items())
        body += f"<g><title>{escape(title)}</title>{shapes}</g>"
        if span.os_released:
            holes += _holes(m, span, pitch)
    if holes:
        body += svg.shape("cb q", holes)
    name = _caption(m)
    chart = svg.picture(_LEFT + _COLUMNS * _PITCH, rows * pitch, name, body)
    return svg.frame(svg.heading(name, _rest(m, rows)), _key(m), chart)


def _rows(m: ArenaMap) -> int:
    """As many as have a page that was ever asked for."""
    end = max((s.end for s in m.spans), default=m.arena.start)
    end = min(end, m.arena.start + m.arena.size)
    return max(-(-(end - m.arena.start) // (_COLUMNS * PAGE_SIZE)), 1)


def _runs(m: ArenaMap) -> Iterator[tuple[Span, list[tuple[int, int, float, bool]]]]:
    """Of each span its runs of pages alike in one row: (first, pages, fullness, ends the span)."""
    runs: list[list[tuple[int, int, float]]] = []
    spans: list[Span] = []
    for page, span, part in m.pages():
        if not spans or spans[-1] is not span:
            spans.append(span)
            runs.append([])
        mine = runs[-1]
        if mine and page % _COLUMNS and shade(mine[-1][2]) == shade(part):
            first, npages, before = mine[-1]
            mine[-1] = (first, npages + 1, before)
        else:
            mine.append((page, 1, part))
    for span, mine in zip(spans, runs):
        last = len(mine) - 1
        yield span, [(*run, i == last) for i, run in enumerate(mine)]


def _holes(m: ArenaMap, span: Span, pitch: float) -> str:
    """The pages of the system in a span in use that are given back: hollow."""
    path = ""
    width = _PITCH * span.os_page_size / PAGE_SIZE
    for i in range(span.os_released.bit_length()):
        if span.os_released >> i & 1:
            page, within = divmod(
                span.start - m.arena.start + i * span.os_page_size, PAGE_SIZE
            )
            if 0 <= page < m.arena.size // PAGE_SIZE:
                x = _LEFT + (page % _COLUMNS + within / PAGE_SIZE) * _PITCH
                y = page // _COLUMNS * pitch
                path += svg.box(x + 0.6, y + 1.2, width - 1.5, pitch - _GAP - 2.4)
    return path


def _labels(rows: int, pitch: float) -> str:
    step = 1 if rows <= 8 else 8
    body = ""
    for row in range(0, rows, step):
        body += svg.label(_LEFT - 6, row * pitch + 8, f"+{row} MiB", "end")
    return body


def _caption(m: ArenaMap) -> str:
    a = m.arena
    return f"arena {a.start:#x}: {human(a.pages_in_use * PAGE_SIZE)} of {human(a.size)} in use"


def _rest(m: ArenaMap, rows: int) -> str:
    mapped = sum(pages for _, pages in _totals(m).values())
    left = m.arena.size - mapped * PAGE_SIZE
    text = "· a row is 1 MiB of pages of 8 KiB"
    if left:
        text += f" · {human(left)} more are address space only"
    return text


def _totals(m: ArenaMap) -> dict[str, tuple[int, int]]:
    """Spans and pages of each kind, by its name."""
    totals = {name: (0, 0) for _, name in _KINDS}
    first, last = m.arena.start, m.arena.start + m.arena.size
    for span in m.spans:
        _, name = kind_of(span)
        spans, pages = totals[name]
        here = (min(span.end, last) - max(span.start, first)) // PAGE_SIZE
        totals[name] = (spans + 1, pages + here)
    return totals


def _key(m: ArenaMap) -> str:
    totals = _totals(m)
    entries = [
        (css, f"{name}: {human(totals[name][1] * PAGE_SIZE)}")
        for css, name in _KINDS
        if totals[name][1]
    ]
    text = "paler: fewer slots live"
    if any(s.os_released for s in m.spans):
        text += "; hollow: given back inside a span"
    return svg.key(entries) + svg.note(text)


# ---- text ---------------------------------------------------------------------------------------

_WIDTH = 64
_MAX_LINES = 32
_SIGNS = {LARGE: "■", STACKS: "≡", FREE: "·", RELEASED: " "}


def arena_map_text(m: ArenaMap) -> str:
    """One character for one page, or for two or four alike-treated ones of a large heap."""
    rows = _rows(m)
    each = 1
    while rows * _COLUMNS > each * _WIDTH * _MAX_LINES:
        each *= 2
    cells: dict[int, list[tuple[Span, float]]] = {}
    for page, span, part in m.pages():
        cells.setdefault(page // each, []).append((span, part))
    lines = [_caption(m)]
    for start in range(0, rows * _COLUMNS // each, _WIDTH):
        signs = "".join(_sign(cells.get(i, [])) for i in range(start, start + _WIDTH))
        offset = start * each * PAGE_SIZE / (1 << 20)
        lines.append(f"{f'+{offset:g} MiB':>10} |{signs}|")
    lines.append(
        f"a sign is {each * PAGE_SIZE // 1024} KiB: ░▒▓█ slots, by fullness; ■ large; ≡ stacks; "
        "· free; blank: given back, or unused"
    )
    totals = _totals(m)
    held = [
        f"{name}: {human(totals[name][1] * PAGE_SIZE)}" for _, name in _KINDS if totals[name][1]
    ]
    inside = sum(s.released_bytes for s in m.spans if s.state == "in_use")
    if inside:
        held.append(f"given back inside spans: {human(inside)}")
    return "\n".join([*lines, "; ".join(held)])


def _sign(pages: list[tuple[Span, float]]) -> str:
    """That of the kind that most of these pages are of, at their mean fullness."""
    if not pages:
        return " "
    kinds = [kind_of(span) for span, _ in pages]
    kind = max(kinds, key=kinds.count)
    if kind in _SIGNS:
        return _SIGNS[kind]
    parts = [part for (span, part), k in zip(pages, kinds) if k not in _SIGNS]
    return block(sum(parts) / len(parts))

"""An arena as a picture, page by page, and as text.

A row is a mebibyte: 128 pages, addresses from left to right.  Pages of one span touch each other,
spans are apart.  A notebook keeps every picture, so what looks alike in a row is one path, a line as
thick as the row is high; and where there are too many spans for a tooltip each, what is of one size
in a row has one together.
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
    from collections.abc import Callable, Hashable, Iterator, Sequence
    from typing import TypeAlias

    from ..maps import ArenaMap
    from ..stats import Span

    _Run: TypeAlias = tuple[Span, int, int, float, bool]  # first page, pages, fullness, ends the span

_COLUMNS = 128
_PITCH = 7.0  # pixels from page to page
_GAP = 1.0
_LEFT = 50.0  # for the labels of rows
_MOST_TOOLTIPS = 1000
_KINDS = (*(g[1:] for g in GROUPS), LARGE, STACKS, FREE, RELEASED)


def arena_map_html(m: ArenaMap) -> str:
    rows = _rows(m)
    pitch = 10.0 if rows > 16 else 14.0
    height = pitch - _GAP
    body = "".join(
        f"<g><title>{escape(title)}</title>{_shapes(runs, pitch)}</g>" for title, runs in _groups(m)
    )
    body = f'<g class="a" stroke-width="{svg.num(height)}">{body}</g>'
    holes = _holes(m, pitch)
    if holes:
        body += f'<g class="a" stroke-width="{svg.num(height - 2.4)}">{svg.shape("cb q", holes)}</g>'
    name = _caption(m)
    chart = svg.picture(_LEFT + _COLUMNS * _PITCH, rows * pitch, name, _labels(rows, pitch) + body)
    return svg.frame(svg.heading(name, _rest(m, rows)), _key(m), chart)


def _shapes(runs: Sequence[_Run], pitch: float) -> str:
    """A path for each look; given back is an outline, all else a line."""
    boxes = ""
    lines: dict[str, dict[int, list[tuple[float, float]]]] = {}
    for span, first, npages, part, ends in runs:
        css, _ = kind_of(span)
        row, column = divmod(first, _COLUMNS)
        x, width = _LEFT + column * _PITCH, npages * _PITCH - (_GAP if ends else 0)
        if css == RELEASED[0]:
            boxes += svg.box(x, row * pitch, width, pitch - _GAP)
        else:
            look = css if span.state == "free" else css + shade(part)
            lines.setdefault(look, {}).setdefault(row, []).append((x, width))
    out = svg.shape(RELEASED[0], boxes) if boxes else ""
    for look, by_row in lines.items():
        path = (svg.line(row * pitch + (pitch - _GAP) / 2, dashes) for row, dashes in by_row.items())
        out += svg.shape(look, "".join(path))
    return out


def _groups(m: ArenaMap) -> Iterator[tuple[str, list[_Run]]]:
    """What shares a tooltip, as fine as the number of tooltips allows."""
    runs = list(_runs(m))
    keys: tuple[Callable[[Span, int], Hashable], ...] = (
        lambda span, row: span.start,
        lambda span, row: (row, span.state, span.scavenged, span.span_class, span.elem_size),
        lambda span, row: (row, kind_of(span)),
    )
    for key in keys:
        groups: dict[Hashable, list[_Run]] = {}
        for run in runs:
            groups.setdefault(key(run[0], run[1] // _COLUMNS), []).append(run)
        if len(groups) <= _MOST_TOOLTIPS:
            break
    one_size = key is not keys[2]
    for mine in groups.values():
        single = key is keys[0]
        yield span_title(mine[0][0]) if single else _group_title(mine, one_size), mine


def _group_title(runs: Sequence[_Run], one_size: bool) -> str:
    """What a tooltip says about the spans of one kind in a row."""
    spans = list({span.start: span for span, *_ in runs}.values())
    one = spans[0]
    where = f"+{runs[0][1] // _COLUMNS} MiB: {len(spans):,} span{'s' * (len(spans) > 1)}"
    live = f"{sum(s.alloc_count for s in spans):,} of {sum(s.nelems for s in spans):,} live"
    _, kind = kind_of(one)
    if one.state == "free":
        return f"{where}, {kind}"
    if one_size and one.state == "in_use" and one.size_class:
        return f"{where} of {one.elem_size:,} B {'noscan' if one.noscan else 'scan'}, {live}"
    return f"{where}, {kind}" if kind == LARGE[1] else f"{where}, {kind}, {live}"


def _rows(m: ArenaMap) -> int:
    """As many as have a page that was ever asked for."""
    end = max((s.end for s in m.spans), default=m.arena.start)
    end = min(end, m.arena.start + m.arena.size)
    return max(-(-(end - m.arena.start) // (_COLUMNS * PAGE_SIZE)), 1)


def _runs(m: ArenaMap) -> Iterator[_Run]:
    """Of each span its runs of pages alike in one row."""
    last: _Run | None = None
    for page, span, part in m.pages():
        if last is not None:
            before, first, npages, fullness, _ = last
            same = before is span
            if same and page % _COLUMNS and shade(fullness) == shade(part):
                last = (span, first, npages + 1, fullness, True)
                continue
            yield (before, first, npages, fullness, not same)
        last = (span, page, 1, part, True)
    if last is not None:
        yield last


def _holes(m: ArenaMap, pitch: float) -> str:
    """The pages of the system in spans in use that are given back: hollow."""
    rows: dict[int, list[tuple[float, float]]] = {}
    for span in m.spans:
        width = _PITCH * span.os_page_size / PAGE_SIZE
        for i in range(span.os_released.bit_length()):
            if span.os_released >> i & 1:
                page, within = divmod(
                    span.start - m.arena.start + i * span.os_page_size, PAGE_SIZE
                )
                if 0 <= page < m.arena.size // PAGE_SIZE:
                    x = _LEFT + (page % _COLUMNS + within / PAGE_SIZE) * _PITCH
                    rows.setdefault(page // _COLUMNS, []).append((x + 0.6, width - 1.5))
    middle = (pitch - _GAP) / 2
    return "".join(svg.line(row * pitch + middle, dashes) for row, dashes in rows.items())


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
    starts = range(0, rows * _COLUMNS // each, _WIDTH)
    signs = ["".join(_sign(cells.get(i, [])) for i in range(at, at + _WIDTH)) for at in starts]
    for first, count in _alike(signs):
        offset = starts[first] * each * PAGE_SIZE / (1 << 20)
        more = f" and {count - 1} more line{'s' * (count > 2)} of these" if count > 1 else ""
        lines.append(f"{f'+{offset:g} MiB':>10} |{signs[first]}|{more}")
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


def _alike(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    """(first, how many) of each run of equal lines in which nothing is in use; of others each."""
    first = 0
    for i in range(1, len(lines) + 1):
        used = lines[first].strip(_SIGNS[FREE] + _SIGNS[RELEASED])
        if i == len(lines) or used or lines[i] != lines[first]:
            yield first, i - first
            first = i


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

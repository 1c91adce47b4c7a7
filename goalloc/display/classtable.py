"""The span classes with bars: what of their spans is live, ready in caches, free, and behind the last
slot."""

from __future__ import annotations

from html import escape

from . import svg
from .ledger import class_columns, class_name, classes_text
from .ledgerhtml import change_bar
from .text import human, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..stats import ClassStats

_HEADINGS = ("class", "spans", "live", "free", "cached", "live bytes", "fullness")
# css class, name, sign in text
_PARTS = (
    ("c1", "live", "█"),
    ("c2", "cached", "▓"),
    ("cf", "free", "░"),
    ("c4", "tail", "▪"),
)
_TEXT_WIDTH = 30
_LONG = 24  # rows
_NEXT_TO_NOTHING = 0.02  # of the largest class


def in_use(classes: Sequence[ClassStats]) -> list[ClassStats]:
    """Those that hold memory, or, in wrap mode, were asked for."""
    return [c for c in classes if (c.spans if c.spans is not None else c.mallocs)]


def _parts(c: ClassStats) -> tuple[int, int, int, int]:
    """Bytes of its spans, as in _PARTS; they add up to all of them."""
    cached = c.cached * c.elem_size
    return c.live_bytes, cached, c.free_bytes - cached, c.tail_bytes


def class_table_text(classes: Sequence[ClassStats]) -> str:
    shown = in_use(classes)
    if not shown:
        return "no spans in use"
    if shown[0].spans is None:
        return classes_text(shown)
    most = max(sum(_parts(c)) for c in shown)
    rows = [(*_cells(c), human(c.live_bytes), f"{c.occupancy:.0%}", _text_bar(c, most))
            for c in shown]  # fmt: skip
    lines = table((*_HEADINGS, ""), [_flush(row) for row in rows], left=1)
    return f"{lines}\nbytes in spans: █ live, ▓ free in caches, ░ free in spans, ▪ tail"


def _cells(c: ClassStats) -> tuple[str, ...]:
    return class_name(c), f"{c.spans:,}", f"{c.live:,}", f"{c.free:,}", f"{c.cached:,}"


def _flush(row: Sequence[str]) -> list[str]:
    """table() flushes to the right; bars begin at the left."""
    return [*row[:-1], row[-1].ljust(_TEXT_WIDTH)]


def _text_bar(c: ClassStats, most: int) -> str:
    """Rounded so that the parts are as long as their sum."""
    bar, so_far = "", 0
    for nbytes, (_, _, sign) in zip(_parts(c), _PARTS):
        so_far += nbytes
        bar += sign * (round(so_far / most * _TEXT_WIDTH) - len(bar))
    return bar


def class_grid(classes: Sequence[ClassStats], fold: bool = False) -> str:
    """Bars are to one scale; their tooltips have the bytes.

    fold   of a long table, show the classes that have next to nothing only when asked
    """
    if any(c.spans is None for c in classes):
        columns = class_columns(classes)
        rows = [
            (escape(class_name(c)), *(f"{getattr(c, name):,}" for name in columns))
            for c in classes
        ]
        return svg.grid(("class", *(name.replace("_", " ") for name in columns)), rows)
    most = max((sum(_parts(c)) for c in classes), default=0)
    few = most * _NEXT_TO_NOTHING if fold and len(classes) > _LONG else 0
    folded = [c for c in classes if sum(_parts(c)) < few]
    rest = ""
    if folded:
        summary = f"{len(folded)} more classes, with less than {few / most:.0%} of the largest each"
        rest = f"<details><summary>{summary}</summary>{_bar_grid(folded, most)}</details>"
    return _bar_grid([c for c in classes if c not in folded], most) + _key() + rest


def _bar_grid(classes: Sequence[ClassStats], most: int) -> str:
    rows = [
        (*map(escape, _cells(c)), svg.amount(c.live_bytes), f"{c.occupancy:.0%}", _bar(c, most))
        for c in classes
    ]
    return svg.grid((*_HEADINGS, "bytes in its spans"), rows, left=(0, 7))


def _key() -> str:
    names = {"cached": "free, ready in caches", "tail": "tail, behind the last slot"}
    return svg.key([(css, names.get(name, name)) for css, name, _ in _PARTS])


def _bar(c: ClassStats, most: int) -> str:
    parts = [
        (css, nbytes, f"{class_name(c)}: {nbytes:,} bytes {name}")
        for nbytes, (css, name, _) in zip(_parts(c), _PARTS)
    ]
    return svg.bar(parts, most, 260)


def class_table_html(classes: Sequence[ClassStats]) -> str:
    shown = in_use(classes)
    if not shown:
        return svg.frame(svg.note("no spans in use"))
    name = f"{len(shown)} of {len(classes)} span classes have spans"
    if shown[0].spans is None:
        name = f"{len(shown)} of {len(classes)} span classes were asked for, in wrap mode"
    return svg.frame(svg.heading(name), class_grid(shown, fold=True))


def class_change_grid(classes: Sequence[ClassStats]) -> str:
    """Differences: live bytes next to the middle of each bar, free bytes paler beyond them."""
    columns = class_columns(classes)
    rows, heads = [], ["class", *(name.replace("_", " ") for name in columns)]
    wrapped = "asked_bytes" in columns
    names = ("asked_bytes",) if wrapped else ("live_bytes", "free_bytes")
    sides = [_sides([getattr(c, name) for name in names]) for c in classes]
    most = max((max(side) for side in sides), default=0)
    for c in classes:
        parts = [
            (" o1" * (i > 0), getattr(c, name),
             f"{class_name(c)}: {getattr(c, name):+,} {name.replace('_', ' ')}")
            for i, name in enumerate(names)
        ]  # fmt: skip
        cells = (f"{getattr(c, name):+,}" for name in columns)
        rows.append((escape(class_name(c)), *cells, change_bar(parts, most)))
    return svg.grid((*heads, ""), rows, left=(0, len(heads)))


def _sides(changes: Sequence[int]) -> tuple[int, int]:
    """How far a bar goes to the right and to the left."""
    return sum(n for n in changes if n > 0), -sum(n for n in changes if n < 0)

"""A snapshot for a notebook: the ledger and the busiest classes as self-contained HTML."""

from __future__ import annotations

from html import escape

from .ledger import asked_line, busiest, class_columns, class_name, ledger_lines
from .text import human

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..snapshots import Snapshot

_NUMBER = 'style="text-align:right"'
_BAR = (
    '<div style="width:8em;height:0.8em;border:1px solid currentColor;opacity:0.7">'
    '<div style="width:{percent:.0f}%;height:100%;background:currentColor"></div></div>'
)


def _row(cells: Iterable[str], tag: str = "td") -> str:
    first, *others = cells
    head = f'<{tag} style="text-align:left;white-space:pre">{first}</{tag}>'
    return f"<tr>{head}{''.join(f'<{tag} {_NUMBER}>{c}</{tag}>' for c in others)}</tr>"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return f"<table>{_row(headings, 'th')}{''.join(map(_row, rows))}</table>"


def _wrapped_html(s: Snapshot) -> str:
    top = busiest(s.classes)
    columns = class_columns(top)
    classes = _table(
        ("class", *(name.replace("_", " ") for name in columns)),
        [(escape(class_name(c)), *(f"{getattr(c, name):,}" for name in columns)) for c in top],
    )
    return f"<div><p>{escape(asked_line(s.memstats))}</p>{classes}</div>"


def snapshot_html(s: Snapshot) -> str:
    if s.memstats.sys is None:
        return _wrapped_html(s)
    ledger = _table(
        ("where", "bytes", ""),
        [
            ("  " * depth + escape(label), f"{nbytes:,}", human(nbytes))
            for depth, label, nbytes in ledger_lines(s.memstats, s.classes)
        ],
    )
    classes = _table(
        ("class", "spans", "live", "free", "live bytes", "occupancy"),
        [
            (
                escape(class_name(c)),
                f"{c.spans:,}",
                f"{c.live:,}",
                f"{c.free:,}",
                f"{c.live_bytes:,}",
                _BAR.format(percent=100 * c.occupancy),
            )
            for c in busiest(s.classes)
        ],
    )
    return f"<div><p>{escape(repr(s))}</p>{ledger}{classes}</div>"

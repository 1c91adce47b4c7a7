"""A ledger as HTML: its lines with bars, and what has grown and shrunk in red and blue."""

from __future__ import annotations

from html import escape

from . import svg

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .ledger import Line

_WIDTH = 190.0
# by depth: a line and what it consists of are told apart
_FILLS = ("c6", "c1", "c2", "c3", "c5")


def ledger_grid(lines: Sequence[Line]) -> str:
    """Each bar begins where the one above it at its depth ended: inside that of its own line."""
    whole = max((abs(nbytes) for _, _, nbytes in lines), default=0)
    starts = [0.0] * (max((depth for depth, _, _ in lines), default=0) + 2)
    rows = []
    for depth, label, nbytes in lines:
        x, width = starts[depth], max(nbytes, 0) / whole * _WIDTH if whole else 0.0
        starts[depth] += width
        starts[depth + 1] = x
        rows.append((_name(depth, label), f"{nbytes:,}", svg.amount(nbytes),
                     _bar(_FILLS[depth], x, width, f"{label}: {nbytes:,} bytes")))  # fmt: skip
    return svg.grid(("where", "bytes", "", ""), rows, left=(0, 3))


def _name(depth: int, label: str) -> str:
    name = "    " * depth + escape(label)
    return f"<b>{name}</b>" if depth < 2 else name


def _bar(css: str, x: float, width: float, title: str) -> str:
    body = svg.shape(css, svg.box(x, 1, max(width, 0.5), 10), title) if width else ""
    return svg.picture(_WIDTH, 12, title, body, natural=True)


def change_bar(parts: Sequence[tuple[str, float, str]], most: float) -> str:
    """Two-sided: what grew to the right in red, what shrank to the left in blue.

    parts   ("" or an opacity class, change, tooltip), the first of them next to the middle
    most    the change that fills a side
    """
    middle, right, left, body = _WIDTH / 2, _WIDTH / 2, _WIDTH / 2, ""
    for opacity, change, title in parts:
        width = abs(change) / most * middle if most else 0.0
        if width:
            width = max(width, 0.5)
            if change < 0:
                left -= width
            x = left if change < 0 else right
            body += svg.shape(("cl" if change < 0 else "cm") + opacity, svg.box(x, 1, width, 10), title)
            right += width if change > 0 else 0
    axis = f'<path class="g" d="M{svg.num(middle)} 0v12"/>'
    told = "; ".join(title for _, change, title in parts if change) or "no change"
    return svg.picture(_WIDTH, 12, told, body + axis, natural=True)


def change_grid(lines: Sequence[Line]) -> str:
    most = max((abs(nbytes) for _, _, nbytes in lines), default=0)
    rows = [
        (_name(depth, label), f"{nbytes:+,}", svg.amount(nbytes, sign=True),
         change_bar([("", nbytes, f"{label}: {nbytes:+,} bytes")], most))
        for depth, label, nbytes in lines
    ]  # fmt: skip
    return svg.grid(("where", "bytes", "", ""), rows, left=(0, 3))

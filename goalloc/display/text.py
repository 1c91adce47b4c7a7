"""Plain tables and byte counts for a terminal."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_UNITS = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def human(n: int, sign: bool = False) -> str:
    """Bytes in the largest unit that leaves a whole number in front: '11.8 MiB'."""
    plus = "+" if sign else ""
    for size, unit in _UNITS:
        if abs(n) >= size:
            return f"{n / size:{plus}.1f} {unit}"
    return f"{n:{plus}d} B"


def counted(n: int, one: str, many: str = "") -> str:
    """'1 class', '1,234 classes'; many is one with an s unless it is given."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def noted(note: str, text: str) -> str:
    """The text, below the note if there is one."""
    return f"{note}\n{text}" if note else text


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], left: int = 0) -> str:
    """Columns wide enough for what is in them: the first `left` ones flush left, others right."""
    lines = [list(headings), *(list(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines)]
    out = []
    for line in lines:
        cells = [
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths))
        ]
        out.append("  ".join(cells).rstrip())
    return "\n".join(out)

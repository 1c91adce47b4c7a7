"""The functions, lines, files or modules with the most: pprof's top."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, NamedTuple

from .._records import Record, TopRowFields
from ..arguments import rows as rows_wanted
from ..display import svg
from ..display.text import table
from .groups import group
from .values import described, sampled, shown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pandas import DataFrame as _DataFrame

    from .profile import HeapProfile

_HEADINGS = ("flat", "flat %", "sum %", "cum", "cum %", "")


class TopRow(Record, TopRowFields):
    """One of them: flat is its own, cum with all that it called; percentages are of the total."""

    __slots__ = ()


class _Heading(NamedTuple):
    value: str  # its name
    by: str
    rate: int
    mixed: bool  # made of profiles with different rates
    total: int  # of the value, over all samples
    whole: int  # what percentages are of
    hidden: int  # rows that are not shown
    left_out: str  # what to say of goalloc's own
    is_diff: bool
    warnings: list[str]


class Top:
    """TopRow records, the largest first.  print() gives pprof's table; HTML in a notebook."""

    def __init__(self, rows: list[TopRow], heading: _Heading) -> None:
        self._rows = rows
        self._heading = heading

    @property
    def index(self) -> str:
        return self._heading.value

    @property
    def by(self) -> str:
        return self._heading.by

    @property
    def total(self) -> int:
        """The sum of the value over the whole profile."""
        return self._heading.total

    def __getitem__(self, i: int) -> TopRow:
        return self._rows[i]

    def __iter__(self) -> Iterator[TopRow]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        heading = self._heading
        return {
            "index": heading.value,
            "by": heading.by,
            "rate": heading.rate,
            "total": heading.total,
            "hidden": heading.hidden,
            "warnings": heading.warnings,
            "rows": [row.as_dict() for row in self._rows],
        }

    def to_dataframe(self) -> _DataFrame:
        """The rows as a pandas DataFrame."""
        from ..dataframes import records_frame

        return records_frame(self._rows, TopRow._fields)

    def _cells(self) -> list[tuple[str, ...]]:
        """The rows as text, the name last."""
        index, sign = self._heading.value, self._heading.is_diff
        return [
            (
                shown(row.flat, index, sign), f"{row.flat_percent:.1f}%", f"{row.sum_percent:.1f}%",
                shown(row.cum, index, sign), f"{row.cum_percent:.1f}%", row.name,
            )
            for row in self._rows
        ]  # fmt: skip

    def _summary(self) -> str:
        h = self._heading
        total = shown(h.total, h.value, h.is_diff)
        text = f"{total} ({described(h.value)}), {sampled(h.rate, h.mixed)}, by {h.by}"
        if h.is_diff:
            text += f"; % of {shown(h.whole, h.value)} before"
        if h.hidden:
            text += f"; {h.hidden:,} more not shown"
        return text + h.left_out

    def __str__(self) -> str:
        lines = [self._summary(), *self._heading.warnings]
        if self._rows:
            lines += _name_flush_left(table(_HEADINGS, self._cells()), self._cells())
        return "\n".join(lines)

    def __repr__(self) -> str:
        h = self._heading
        total = shown(h.total, h.value, h.is_diff)
        rows = f"{len(self)} of {len(self) + h.hidden} by {h.by}"
        return f"<Top: {rows}, {total}, {described(h.value)}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text("..." if cycle else str(self))

    def _repr_html_(self) -> str:
        heading = self._heading
        notes = [svg.note(text) for text in heading.warnings]
        rows = [
            [*cells, "" if heading.is_diff else self._bar(row), escape(name)]
            for row, (*cells, name) in zip(self._rows, self._cells())
        ]
        grid = svg.grid((*_HEADINGS[:-1], "", heading.by), rows, left=(5, 6)) if rows else ""
        return svg.frame(svg.note(self._summary()), *notes, grid)

    def _bar(self, row: TopRow) -> str:
        """What a row is of the whole: its own, and what it called."""
        flat, called = (shown(n, self.index) for n in (row.flat, row.cum - row.flat))
        parts = [("c1", row.flat, f"own {flat}"), ("cf", row.cum - row.flat, f"called {called}")]
        return svg.bar(parts, self._heading.whole, width=120)


def _name_flush_left(text: str, cells: list[tuple[str, ...]]) -> list[str]:
    """table() flushes all columns right but the first ones; here the last is for names."""
    head, *lines = text.split("\n")
    width = max(len(row[-1]) for row in cells)
    return [head] + [line[: len(line) - width] + row[-1] for line, row in zip(lines, cells)]


def make_top(profile: HeapProfile, n: int | None, by: str, index: str, sort: str) -> Top:
    if sort not in ("flat", "cum"):
        raise ValueError(f"cannot sort by {sort!r}; there are flat, cum")
    n = rows_wanted(n)
    groups = group(profile, by)
    sums = profile._by_stack(index)
    flat = [0] * len(groups.names)
    cum = [0] * len(groups.names)
    group_of = groups.of_location.__getitem__
    for stack, value in zip(profile._tables.stacks, sums):
        if value:
            flat[group_of(stack[0])] += value
            for g in set(map(group_of, stack)):
                cum[g] += value
    keys = (flat, cum) if sort == "flat" else (cum, flat)
    some = [g for g in range(len(flat)) if flat[g] or cum[g]]
    some.sort(key=lambda g: (-abs(keys[0][g]), -abs(keys[1][g]), groups.names[g]))
    whole = profile._whole(index)
    percent = 100 / whole if whole else 0.0
    rows = []
    running = 0
    for g in some[:n]:
        running += flat[g]
        rows.append(
            TopRow(
                groups.names[g],
                flat[g], flat[g] * percent, running * percent, cum[g], cum[g] * percent,
            )
        )  # fmt: skip
    heading = _Heading(
        index, by, profile.rate, profile.about.mixed_rates, sum(sums), whole, len(some) - len(rows), profile._left_out(index),
        profile.is_diff, profile.warnings(),
    )  # fmt: skip
    return Top(rows, heading)

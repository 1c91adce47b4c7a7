"""The functions, lines, files or modules with the most: pprof's top; or threads, sizes, domains."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, NamedTuple

from .._records import Record, TopRowFields
from ..arguments import rows as rows_wanted
from ..display import svg
from ..display.text import counted, table
from .folding import machinery
from .groups import group, group_samples
from .records import BY_FRAMES
from .values import described, sampled, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, TypeVar

    from pandas import DataFrame as _DataFrame

    from .profile import HeapProfile

    _N = TypeVar("_N", int, float)

_HEADINGS = ("flat", "flat %", "sum %", "cum", "cum %", "")

# An estimate is marked when its standard error is more than this part of it: of small blocks that
# is so with fewer than four samples.
_ROUGH = 0.5
_MARK = "~"
_LEGEND = f"{_MARK} rests on very few samples: a rough figure"


class TopRow(Record, TopRowFields):
    """One of them: flat is its own, cum with all that it called; percentages are of the total.

    flat_error, cum_error   their standard errors, in the same unit: 0 where they are exact, None
                            where that is not known, as of mixed sampling rates; of a difference
                            at least so large, since samples that came may make up for some that went
    """

    __slots__ = ()

    @property
    def flat_is_rough(self) -> bool:
        """Whether it rests on so few samples that its standard error is more than half of it."""
        return _is_rough(self.flat, self.flat_error)

    @property
    def cum_is_rough(self) -> bool:
        """The same of cum."""
        return _is_rough(self.cum, self.cum_error)


def _is_rough(amount: int, error: float | None) -> bool:
    return error is not None and error > _ROUGH * abs(amount) and amount != 0


class _Heading(NamedTuple):
    value: str  # its name
    by: str
    rate: int
    mixed: bool  # made of profiles with different rates
    total: int  # of the value, over all samples
    whole: int  # what percentages are of
    hidden: int  # rows beyond the n that were wanted
    folded: int  # rows that are spared
    left_out: str  # what to say of goalloc's own
    is_diff: bool
    share_of: str  # of a difference, what percentages are of
    warnings: list[str]


class Top:
    """TopRow records, the largest first.  print() gives pprof's table; HTML in a notebook."""

    def __init__(self, rows: list[TopRow], heading: _Heading) -> None:
        self._rows = rows
        self._heading = heading

    @property
    def value(self) -> str:
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

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other) if isinstance(other, Top) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.value, self.by, *self._rows))

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        heading = self._heading
        return {
            "value": heading.value,
            "by": heading.by,
            "rate": heading.rate,
            "total": heading.total,
            "hidden": heading.hidden,
            "folded": heading.folded,
            "warnings": heading.warnings,
            "rows": [row.as_dict() for row in self._rows],
        }

    def to_dataframe(self) -> _DataFrame:
        """The rows as a pandas DataFrame."""
        from ..dataframes import records_frame

        return records_frame(self._rows, TopRow._fields)

    def _cells(self) -> list[tuple[str, ...]]:
        """The rows as text, the name last."""
        value, sign = self._heading.value, self._heading.is_diff
        return [
            (
                _MARK * row.flat_is_rough + shown(row.flat, value, sign),
                f"{row.flat_percent:.1f}%", f"{row.sum_percent:.1f}%",
                _MARK * row.cum_is_rough + shown(row.cum, value, sign),
                f"{row.cum_percent:.1f}%", row.name,
            )
            for row in self._rows
        ]  # fmt: skip

    def _legend(self) -> list[str]:
        rough = any(row.flat_is_rough or row.cum_is_rough for row in self._rows)
        return [_LEGEND] if rough else []

    def _summary(self) -> str:
        h = self._heading
        total = shown(h.total, h.value, h.is_diff)
        text = f"{total} ({described(h.value)}), {sampled(h.rate, h.mixed)}, by {h.by}"
        if h.is_diff:
            text += f"; % of {h.share_of}"
        if h.hidden:
            text += f"; {h.hidden:,} more not shown"
        if h.folded:
            text += f"; {counted(h.folded, 'row')} of imports and the like folded (fold=False, --no-fold)"
        return text + h.left_out

    def __str__(self) -> str:
        lines = [self._summary(), *self._heading.warnings]
        if self._rows:
            cells = self._cells()
            lines += _name_flush_left(table(_HEADINGS, cells), cells)
        return "\n".join(lines + self._legend())

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
        rows = []
        for row, (*cells, name) in zip(self._rows, self._cells()):
            for i, rough, error in (
                (0, row.flat_is_rough, row.flat_error), (3, row.cum_is_rough, row.cum_error)
            ):  # fmt: skip
                if rough:
                    cells[i] = self._rough_cell(cells[i], error or 0.0)
            rows.append([*cells, "" if heading.is_diff else self._bar(row), escape(name)])
        grid = svg.grid((*_HEADINGS[:-1], "", heading.by), rows, left=(5, 6)) if rows else ""
        legend = [svg.note(text) for text in self._legend()]
        return svg.frame(svg.note(self._summary()), *notes, grid, *legend)

    def _rough_cell(self, text: str, error: float) -> str:
        told = f"standard error: {shown(round(error), self.value)}"
        return f'<span class="r" title="{told}">{text}</span>'

    def _bar(self, row: TopRow) -> str:
        """What a row is of the whole: its own, and what it called."""
        flat, called = (shown(n, self.value) for n in (row.flat, row.cum - row.flat))
        parts = [("c1", row.flat, f"own {flat}"), ("cf", row.cum - row.flat, f"called {called}")]
        return svg.bar(parts, self._heading.whole, width=120)


def _name_flush_left(text: str, cells: list[tuple[str, ...]]) -> list[str]:
    """table() flushes all columns right but the first ones; here the last is for names."""
    head, *lines = text.split("\n")
    width = max(len(row[-1]) for row in cells)
    return [head] + [line[: len(line) - width] + row[-1] for line, row in zip(lines, cells)]


class _Frames:
    """Frames by what tells them apart: what ends in one, and what goes through it."""

    def __init__(self, profile: HeapProfile, by: str, fold: bool) -> None:
        groups = group(profile, by)
        self._profile = profile
        self._of_location = groups.of_location
        self.names = groups.names
        self.spared = machinery(profile, groups) if fold else set()  # with nothing of their own

    def sums(self, amounts: Sequence[_N]) -> tuple[list[_N], list[_N]]:
        """flat and cum of each group, from what each sample has."""
        flat: list[_N] = [0] * len(self.names)
        cum: list[_N] = [0] * len(self.names)
        group_of = self._of_location.__getitem__
        profile = self._profile
        for stack, amount in zip(profile._tables.stacks, profile._stack_sums(amounts)):
            if amount:
                flat[group_of(stack[0])] += amount
                for g in set(map(group_of, stack)):
                    cum[g] += amount
        return flat, cum


class _Samples:
    """The same of samples by what they have besides: all is their own."""

    spared: set[int] = set()

    def __init__(self, profile: HeapProfile, by: str) -> None:
        self._of_sample, self.names = group_samples(profile, by)

    def sums(self, amounts: Sequence[_N]) -> tuple[list[_N], list[_N]]:
        flat: list[_N] = [0] * len(self.names)
        for g, amount in zip(self._of_sample, amounts):
            flat[g] += amount
        return flat, flat


def make_top(
    profile: HeapProfile, n: int | None, by: str, value: str, sort: str, fold: bool
) -> Top:
    if sort not in ("flat", "cum"):
        raise ValueError(f"cannot sort by {sort!r}; there are flat, cum")
    n = rows_wanted(n)
    groups = _Frames(profile, by, fold) if by in BY_FRAMES else _Samples(profile, by)
    amounts = profile.values(value)
    flat, cum = groups.sums(amounts)
    keys = (flat, cum) if sort == "flat" else (cum, flat)
    some = [g for g in range(len(flat)) if flat[g] or cum[g]]
    wanted = [g for g in some if flat[g] or g not in groups.spared]
    wanted.sort(key=lambda g: (-abs(keys[0][g]), -abs(keys[1][g]), groups.names[g]))
    errors = _errors(groups, profile._variances(value))
    whole = profile._whole(value)
    percent = 100 / whole if whole else 0.0
    rows = []
    running = 0
    for g in wanted[:n]:
        running += flat[g]
        rows.append(
            TopRow(
                groups.names[g], flat[g], flat[g] * percent, running * percent,
                cum[g], cum[g] * percent, *errors(g),
            )
        )  # fmt: skip
    heading = _Heading(
        value, by, profile.rate, profile.about.mixed_rates, sum(amounts), whole,
        len(wanted) - len(rows), len(some) - len(wanted), profile._left_out(value), profile.is_diff,
        profile._share_of(value), profile.warnings(),
    )  # fmt: skip
    return Top(rows, heading)


def _errors(
    groups: _Frames | _Samples, variances: Sequence[float] | None
) -> Callable[[int], tuple[float | None, float | None]]:
    """The standard errors of a group."""
    if variances is None:
        return lambda g: (None, None)
    flat, cum = groups.sums(variances)
    return lambda g: (flat[g] ** 0.5, cum[g] ** 0.5)

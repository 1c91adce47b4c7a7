"""The data of a profile: interned tables and columns of numbers, and how they are built.

A profile of 100,000 buckets with 30 frames each must be read, written and summed in about a second,
so there is no object per sample: a sample is a row through a few arrays of 64-bit integers, and its
stack is an index into a table of tuples of locations.
"""

from __future__ import annotations

import math
from array import array

from .._records import ProfileTablesFields
from .modules import module_of
from .records import DOMAINS, Thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any, TypeAlias

    _Function: TypeAlias = tuple[str, str, int, str]  # qualified name, file, first line, module
    _Location: TypeAlias = tuple[int, int]  # function, line
    _Stack: TypeAlias = tuple[int, ...]  # locations, the innermost first
    _Row: TypeAlias = Sequence[int]

#: The columns of a sample: first what it is, then what it is worth.
KEYS = ("stack", "size", "domain", "thread")
COUNTS = (
    "alloc_objects", "alloc_space", "inuse_objects", "inuse_space", "peak_objects", "peak_space",
)  # fmt: skip

_MAX = 2**63 - 1
_NO_FRAME = "<no stack>"


class Tables(ProfileTablesFields):
    """Functions, locations, threads and stacks by index; samples as columns of numbers."""

    __slots__ = ()


def clamped(n: int) -> int:
    """n as a 64-bit integer: sums of what a file says may leave their range."""
    return max(-_MAX - 1, min(n, _MAX))


def scale_sample(count: int, nbytes: int, rate: int) -> tuple[int, int]:
    """Go's scaleHeapSample: what `count` sampled blocks of `nbytes` in all stand for.

    >>> scale_sample(4, 4096, 524288)
    (2050, 2099200)
    """
    if count == 0 or nbytes == 0:
        return 0, 0
    if rate <= 1:
        return count, nbytes
    scale = _scale(nbytes / count, rate)
    return clamped(int(count * scale)), clamped(int(nbytes * scale))


def _scale(size: float, rate: int) -> float:
    """One block of that size was sampled for so many; Go's formula, so that it truncates alike."""
    chance = 1 - math.exp(-size / rate)
    return 1 / chance if chance else rate / size  # what it tends to, where a float can't tell


def variance(objects: int, space: int, rate: int, of_bytes: bool) -> float:
    """Of the estimate that so many blocks of one size are: the square of its standard error.

    A block of b bytes is sampled with a chance of p, and then stands for 1/p; so each block that was
    sampled adds (1 - p) / p**2 to the variance of the count, and b**2 times that to that of bytes.
    """
    if rate <= 1 or not objects or not space:
        return 0.0
    size = abs(space / objects)
    scale = _scale(size, rate)
    return float(abs(objects)) * (scale - 1) * (size * size if of_bytes else 1)


def tables_from_core(raw: Mapping[str, Any], modules: Mapping[str, str]) -> Tables:
    """From what _core.profile_read() gives; `modules` names modules by file, as far as known."""
    names: dict[str, str] = {}
    functions = []
    for name, filename, first_line in raw["functions"]:
        module = names.get(filename)
        if module is None:
            module = names[filename] = module_of(filename, modules)
        functions.append((name, filename, first_line, module))
    rows = raw["samples"]
    return Tables(
        tuple(functions),
        tuple(map(tuple, raw["locations"])),
        tuple(Thread(*t) for t in raw["threads"]),
        tuple(map(tuple, raw["stacks"])),
        columns([(row[0], row[1], row[3], row[4]) for row in rows], len(KEYS)),
        columns(counts_from_core(rows), len(COUNTS)),
    )


def counts_from_core(rows: Iterable[_Row]) -> list[tuple[int, ...]]:
    """What each sample of the core stands for, in the order of COUNTS."""
    scales: dict[tuple[int, int], float] = {}
    counts: list[tuple[int, ...]] = []
    for _, size, rate, _, _, allocs, frees, peak in rows:
        if rate <= 1:
            scale = 1.0
        else:
            known = scales.get((size, rate))
            scale = known or scales.setdefault((size, rate), _scale(size, rate))
        live = allocs - frees
        counts.append(
            (
                int(allocs * scale), int(allocs * size * scale),
                int(live * scale), int(live * size * scale),
                int(peak * scale), int(peak * size * scale),
            )
        )  # fmt: skip
    return counts


def columns(rows: Sequence[_Row], width: int) -> tuple[array[int], ...]:
    """Rows of numbers as columns."""
    if not rows:
        return tuple(array("q") for _ in range(width))
    try:
        return tuple(array("q", column) for column in zip(*rows))
    except OverflowError:
        return tuple(array("q", map(clamped, column)) for column in zip(*rows))


class Builder:
    """Makes one set of tables of parts of others: equal samples become one with their sums."""

    def __init__(self) -> None:
        self.functions: dict[_Function, int] = {}
        self.locations: dict[_Location, int] = {}
        self.threads: dict[Thread, int] = {}
        self.stacks: dict[_Stack, int] = {}
        self._rows: dict[tuple[int, ...], list[int]] = {}

    def function(self, function: _Function) -> int:
        return self.functions.setdefault(function, len(self.functions))

    def location(self, function: int, line: int) -> int:
        return self.locations.setdefault((function, line), len(self.locations))

    def thread(self, thread: Thread) -> int:
        return self.threads.setdefault(thread, len(self.threads))

    def stack(self, locations: _Stack) -> int:
        """A sample without a stack gets one frame that says so."""
        if not locations:
            locations = (self.location(self.function((_NO_FRAME, "", 0, "")), 0),)
        return self.stacks.setdefault(locations, len(self.stacks))

    def add(self, stack: int, size: int, domain: int, thread: int, counts: Iterable[int]) -> None:
        key = (stack, size, domain, thread)
        row = self._rows.get(key)
        if row is None:
            self._rows[key] = list(counts)
        else:
            self._rows[key] = [a + b for a, b in zip(row, counts)]

    def add_tables(
        self,
        tables: Tables,
        sign: int = 1,
        rows: Iterable[int] | None = None,
        threads: Sequence[Thread] | None = None,
    ) -> None:
        """All samples of other tables, or those given by index, each times sign."""
        functions = [self.function(f) for f in tables.functions]
        locations = [self.location(functions[f], line) for f, line in tables.locations]
        known = [self.thread(t) for t in threads or tables.threads]
        stacks: dict[int, int] = {}
        keys = list(zip(*tables.keys))
        counts = list(zip(*tables.counts))
        for i in range(len(keys)) if rows is None else rows:
            old, size, domain, thread = keys[i]
            stack = stacks.get(old)
            if stack is None:
                path = tuple(map(locations.__getitem__, tables.stacks[old]))
                stack = stacks[old] = self.stack(path)
            values = counts[i] if sign == 1 else [-n for n in counts[i]]
            self.add(stack, size, domain, known[thread], values)

    def build(self, zeros: bool = True) -> Tables:
        """The tables; without the samples that count nothing unless zeros."""
        rows = [r for r in self._rows.items() if zeros or any(r[1])]
        return Tables(
            tuple(self.functions),
            tuple(self.locations),
            tuple(self.threads),
            tuple(self.stacks),
            columns([key for key, _ in rows], len(KEYS)),
            columns([counts for _, counts in rows], len(COUNTS)),
        )


def domain_number(name: str) -> int:
    return DOMAINS.index(name) if name in DOMAINS else len(DOMAINS) - 1

"""HeapProfile: which code allocated what, as numbers that can be asked, compared and written."""

from __future__ import annotations

from .._records import AboutFields, Record
from ..display.cells import shown_file
from ..display.pretty import show_text
from .records import DOMAINS, VALUES, Frame, Sample
from .tables import COUNTS, Tables, tables_from_core, variance

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    import re
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any, Literal, NoReturn, TypeAlias, TypeVar

    from pandas import DataFrame as _DataFrame

    from .flamegraph import FlameGraph
    from .top import Top
    from .tree import Tree

    _By: TypeAlias = Literal["function", "line", "file", "module"]
    _TopBy: TypeAlias = _By | Literal["thread", "size", "domain"]
    _Pattern: TypeAlias = str | re.Pattern[str]
    _N = TypeVar("_N", int, float)


class About(Record, AboutFields):
    """What holds for a whole profile.

    rate              mean bytes between two samples when it was taken; 1: every block; 0: off
    time_ns           when, in nanoseconds since 1970; 0: not known
    peak_time_ns      when the most was in use
    dropped_samples   samples that found no room in the profiler's memory, or came as wrap mode ended
    truncated_stacks  samples whose stack was deeper than what is kept of one
    memory            bytes that the profiler itself took
    has_peak          whether the values at the peak are known
    base              of a difference: the sums of what was subtracted, in the order of COUNTS; 0 where
                      that is not known
    program           what ran
    note              one sentence on why there may be nothing in it
    mixed_rates       of samples or profiles with different rates; rate is that of the later, or the largest
    left_out          the sums of what goalloc itself allocated, in the order of COUNTS, where that is
                      not among the samples; () else
    cells             (file, number) of the cells of a notebook that code is from
    """

    __slots__ = ()


class HeapProfile:
    """Which code allocated what, and what of it is in use.  Frozen; pickles.

    All values are estimates from samples, unless the rate is 1.  Where a method takes `value`, it
    is one of VALUES: 'inuse_space' (the default; bytes), 'inuse_objects', 'alloc_*' (all that was
    ever allocated), 'peak_*' (in use when the most was) and 'temporary_*' (allocated and freed).
    """

    __slots__ = ("about", "_tables", "_samples")

    about: About
    _tables: Tables
    _samples: tuple[Sample, ...] | None

    def __init__(self, tables: Tables, about: About) -> None:
        if not isinstance(tables, Tables) or not isinstance(about, About):
            raise TypeError("a HeapProfile is made by heap_profile(), read_profile() or from_pprof()")
        for name, value in zip(self.__slots__, (about, tables, None)):
            object.__setattr__(self, name, value)

    @classmethod
    def _from_core(
        cls,
        raw: Mapping[str, Any],
        modules: Mapping[str, str] | None = None,
        program: str = "",
        note: str = "",
        left_out: tuple[int, ...] = (),
        cells: Mapping[str, int] | None = None,
    ) -> HeapProfile:
        """From what _core.profile_read() gives; `modules` names modules by file."""
        kept = (*About._fields[:5], "memory")
        rates = {row[2] for row in raw["samples"]} | {raw["rate"]}
        about = About(
            program=program, note=note, left_out=left_out, cells=tuple((cells or {}).items()),
            mixed_rates=len(rates - {0}) > 1, **{name: raw[name] for name in kept},
        )  # fmt: skip
        return cls(tables_from_core(raw, modules or {}), about)

    @classmethod
    def from_pprof(cls, data: bytes) -> HeapProfile:
        """From the bytes of a pprof file, gzip or not; ValueError for what is no heap profile."""
        from .pprof_read import decode

        return cls(*decode(data))

    @property
    def rate(self) -> int:
        """Mean bytes between two samples; 1: every block was sampled; 0: none."""
        return self.about.rate

    @property
    def note(self) -> str:
        """One sentence on why there may be nothing in it; mostly empty."""
        return self.about.note

    @property
    def is_diff(self) -> bool:
        return self.about.base is not None

    @property
    def samples(self) -> tuple[Sample, ...]:
        """Sample objects; made when they are first asked for."""
        samples = self._samples
        if samples is None:
            samples = tuple(self._make_samples())
            object.__setattr__(self, "_samples", samples)
        return samples

    def _make_samples(self) -> Iterable[Sample]:
        tables = self._tables
        frames = self._frames()
        stacks: dict[int, tuple[Frame, ...]] = {}
        unknown = None if self.about.has_peak else (None, None)
        for i, (stack, size, domain, thread) in enumerate(zip(*tables.keys)):
            path = stacks.get(stack)
            if path is None:
                path = stacks[stack] = tuple(map(frames.__getitem__, tables.stacks[stack]))
            peak = unknown or (tables.counts[4][i], tables.counts[5][i])
            yield Sample(
                path, size, DOMAINS[domain], tables.threads[thread],
                *(column[i] for column in tables.counts[:4]), *peak,
            )  # fmt: skip

    def _frames(self) -> list[Frame]:
        """The frame of each location."""
        functions = self._tables.functions
        frames = []
        for function, line in self._tables.locations:
            name, filename, first_line, module = functions[function]
            frames.append(Frame(name, filename, line, module, first_line))
        return frames

    def values(self, value: str = "inuse_space") -> Sequence[int]:
        """That value of each sample, in the order of .samples."""
        if value not in VALUES:
            raise ValueError(f"no value {value!r}; there are {', '.join(VALUES)}")
        if value.startswith("peak") and not self.about.has_peak:
            raise ValueError("this profile does not tell what was in use at the peak")
        kind, _, unit = value.partition("_")
        counts = dict(zip(COUNTS, self._tables.counts))
        if kind == "temporary":
            pairs = zip(counts[f"alloc_{unit}"], counts[f"inuse_{unit}"])
            return [alloc - inuse for alloc, inuse in pairs]
        return counts[value]

    def total(self, value: str = "inuse_space") -> int:
        """The sum of a value over all samples."""
        return sum(self.values(value))

    def _base(self) -> dict[str, int]:
        """Of a difference: the sums of what was subtracted, by the name of the value."""
        return _by_name(self.about.base)

    def _left_out(self, value: str) -> str:
        """What to add to the heading of a display that shows this value; mostly ''."""
        from .values import shown

        nbytes = _by_name(self.about.left_out).get(value)
        return f"; {shown(nbytes, value, self.is_diff)} of goalloc's own left out" if nbytes else ""

    def _shown_files(self) -> list[str]:
        """The file of each location as displays have it."""
        functions, cells = self._tables.functions, dict(self.about.cells)
        return [shown_file(functions[function][1], cells) for function, _ in self._tables.locations]

    def _whole(self, value: str) -> int:
        """What percentages are of: as in pprof, of the base if this is a difference."""
        return self._base().get(value) or sum(map(abs, self.values(value)))

    def _share_of(self, value: str) -> str:
        """The same in words, where it must be told: for a difference."""
        from .values import shown

        if not self.is_diff:
            return ""
        known = self._base().get(value)  # not of one that was read from a file, as from a server
        return f"{shown(self._whole(value), value)} {'before' if known else 'up and down'}"

    def _by_stack(self, value: str) -> list[int]:
        """That value of each stack of the tables."""
        return self._stack_sums(self.values(value))

    def _stack_sums(self, amounts: Sequence[_N]) -> list[_N]:
        """Of each stack of the tables, from what each sample has."""
        sums: list[_N] = [0] * len(self._tables.stacks)
        for stack, amount in zip(self._tables.keys[0], amounts):
            sums[stack] += amount
        return sums

    def _variances(self, value: str) -> list[float] | None:
        """Of that value of each sample; None where the rates of the samples are not known."""
        if self.about.mixed_rates or self.rate == 0:
            return None
        kind, _, unit = value.partition("_")
        objects, space = (self.values(f"{kind}_{unit}") for unit in ("objects", "space"))
        of_bytes = unit == "space"
        return [variance(n, nbytes, self.rate, of_bytes) for n, nbytes in zip(objects, space)]

    def top(
        self,
        n: int | None = 20,
        by: _TopBy = "function",
        value: str = "inuse_space",
        sort: Literal["flat", "cum"] = "flat",
        *,
        fold: bool = True,
    ) -> Top:
        """The n functions (lines, files, modules, threads, sizes, domains) with the most; None: all.

        flat is what they allocated themselves, cum what they and whatever they called did; one that
        called itself counts once for a stack.  sum % runs down the flat ones, as in pprof.  Shown with
        ~ is what rests on very few samples (TopRow.flat_is_rough).  A thread, a size of blocks ("64 B")
        and a domain call nothing: flat and cum are the same.

        fold: without what imports modules, starts programs and runs cells and has allocated nothing
        itself; how many rows these are is told beside how many more there are
        """
        from .top import make_top

        return make_top(self, n, by, value, sort, fold)

    def tree(
        self, value: str = "inuse_space", by: _By = "function", *, fold: bool = True
    ) -> Tree:
        """The tree of calls, from the outermost frame down: own and total of each node.

        fold: what imports modules, starts programs and runs cells is one node, such as [import]
        """
        from .tree import Tree

        return Tree(self, value, by, fold)

    def flamegraph(
        self, value: str = "inuse_space", title: str = "", *, fold: bool = True
    ) -> FlameGraph:
        """tree() as a picture to zoom and search in: in a notebook, or .write(path)."""
        from .flamegraph import FlameGraph

        return FlameGraph(self, value, title, fold)

    def diff(self, base: HeapProfile) -> HeapProfile:
        """What has changed since base: self minus base, sample by sample."""
        from .algebra import difference

        return difference(self, base)

    def merge(self, others: HeapProfile | Iterable[HeapProfile]) -> HeapProfile:
        """The sum with another one or several, such as those of all workers of a service.

        The peaks of the parts need not have been at the same time: their sum is an upper bound.
        """
        from .algebra import merged

        if not isinstance(others, HeapProfile) and not hasattr(others, "__iter__"):
            raise TypeError(f"merge() takes HeapProfile objects, not {type(others).__name__}")
        return merged([self, *([others] if isinstance(others, HeapProfile) else others)])

    def filter(
        self,
        predicate: Callable[[Sample], object] | None = None,
        *,
        function: _Pattern | None = None,
        file: _Pattern | None = None,
        module: _Pattern | None = None,
        thread: _Pattern | int | None = None,
        domain: str | Iterable[str] | None = None,
        min_size: int | None = None,
        max_size: int | None = None,
    ) -> HeapProfile:
        """Only the samples for which all of it holds.

        function, file, module   a regular expression that re.search() finds in any frame of the stack, as
                                 with pprof's -focus: "load" is in "reload", too, "^load$" is not; function
                                 is also looked for in module.function, file also in the `Cell [3]` that
                                 displays show
        thread                   the same for the name, or the native id
        domain                   'raw', 'mem', 'obj', or several of them
        min_size, max_size       bytes of a block, both included
        predicate                a function of a Sample
        """
        from .algebra import filtered

        frames = {"function": function, "file": file, "module": module}
        return filtered(self, predicate, frames, thread, domain, min_size, max_size)

    def to_pprof(self, *, peak: bool = False, compress: bool = True) -> bytes:
        """The profile as `go tool pprof` and what else reads pprof takes it: with Go's four values.

        peak      also peak_objects and peak_space, for read_profile(); pprof shows them on demand.
                  Don't mix them with files without: tools refuse to compare what has other values.
        compress  with gzip, as pprof files are
        """
        from .pprof import encode

        return encode(self, peak=peak, compress=compress)

    def write_pprof(self, path: str | os.PathLike[str], *, peak: bool = False) -> None:
        """Writes to_pprof() to a file, which is whole or not there."""
        from .files import write_whole

        write_whole(path, self.to_pprof(peak=peak))

    def to_collapsed(self, value: str = "inuse_space", by: _By = "function") -> str:
        """Lines of `outer;inner value`, as flamegraph.pl and many viewers take them."""
        from .export import collapsed

        return collapsed(self, value, by)

    def to_speedscope(self, name: str = "") -> dict[str, Any]:
        """A document for speedscope.app, ready for json.dump(): each value as a profile of its own.

        Of a difference, what has grown and what has shrunk are profiles of their own.
        """
        from .export import speedscope

        return speedscope(self, name)

    def as_dict(self) -> dict[str, Any]:
        """What holds for all of it, and the samples; ready for JSON."""
        return {
            "about": self.about.as_dict(),
            "samples": [sample.as_dict() for sample in self.samples],
        }

    def to_dataframe(self) -> _DataFrame:
        """A row for each sample as a pandas DataFrame; `stack` is a tuple of Frame objects."""
        from .export import dataframe

        return dataframe(self)

    def warnings(self) -> list[str]:
        """What a reader must know: one sentence each.  Displays show them all."""
        about = self.about
        told = [about.note] if about.note else []
        if about.dropped_samples:
            told.append(
                f"{about.dropped_samples:,} samples dropped: the memory of the profiler is full, "
                "so these numbers are too low"
            )
        if about.truncated_stacks:
            told.append(f"{about.truncated_stacks:,} samples had a stack too deep to keep whole")
        return told

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a HeapProfile is frozen: cannot set {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a HeapProfile is frozen: cannot delete {name!r}")

    def __reduce__(self) -> tuple[type[HeapProfile], tuple[Tables, About]]:
        return HeapProfile, (self._tables, self.about)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, HeapProfile):
            return NotImplemented
        return self.about == other.about and self._tables == other._tables

    def __hash__(self) -> int:
        return hash((self.about, len(self._tables.stacks)))

    def __len__(self) -> int:
        """How many samples it has."""
        return len(self._tables.keys[0])

    def __repr__(self) -> str:
        sign = "+" if self.is_diff else ""
        what = "HeapProfile difference" if self.is_diff else "HeapProfile"
        live = f"{self.total('inuse_objects'):{sign},} blocks, {self.total():{sign},} bytes in use"
        return f"<{what}: {live}, {len(self):,} samples, rate {self.rate:,}>"

    _repr_pretty_ = show_text

    def __str__(self) -> str:
        return str(self.top())

    def _repr_html_(self) -> str:
        return self.top()._repr_html_() + self.flamegraph()._repr_html_()


def _by_name(sums: Sequence[int] | None) -> dict[str, int]:
    """Sums in the order of COUNTS by the name of the value; {} if there are none."""
    named = dict(zip(COUNTS, sums or ()))
    for unit in ("objects", "space") if named else ():
        named[f"temporary_{unit}"] = named[f"alloc_{unit}"] - named[f"inuse_{unit}"]
    return named

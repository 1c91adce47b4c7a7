"""What one piece of code did to the heap: `with goalloc.profile() as p:`, or `@p` on a function."""

from __future__ import annotations

import sys
from array import array
from time import perf_counter

from .. import _core
from ..arguments import must_be, sample_rate
from ..display.text import human
from ..errors import InstallError
from ..place import NOT_IN_PLACE
from .measuring import Measurement
from .profile import HeapProfile
from .tables import Builder, Tables
from .values import sampled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType
    from typing import Any, Literal, ParamSpec, Self, SupportsIndex, TypeAlias, TypeVar

    from pandas import DataFrame as _DataFrame

    from .flamegraph import FlameGraph
    from .profile import _By, _TopBy
    from .top import Top
    from .tree import Tree

    _P = ParamSpec("_P")
    _R = TypeVar("_R")
    _View: TypeAlias = Literal["all", "top", "tree", "flame", "none"]

#: Mean bytes between samples while a piece of code is measured, unless told otherwise.
RATE = 4096
_MOST = 1 << 50  # that the core takes
VIEWS = ("all", "top", "tree", "flame", "none")


class CodeProfile:
    """A context manager, and a decorator; after the block it tells what was done in it, by all threads.

    .profile       HeapProfile: alloc_* is what was allocated, inuse_* what of it is alive at the end,
                   temporary_* what is not, peak_* what was in use when the process held the most
    .freed_space   bytes freed of blocks that were there before
    .seconds       how long it took

    Stacks begin with the function that holds the block.  top(), tree() and flamegraph() are those of
    the profile.  What waits for the garbage collector is alive.  All of it is estimated from samples
    unless the rate is 1.  Blocks may be in each other and in several threads: each is told what
    happened while it ran, at the finest of their rates.

    On a function, `@p` measures each call, also one in another and in several threads; p, which is
    function.code_profile too, then tells of the call that ended last.
    """

    def __init__(self, rate: SupportsIndex | str = RATE) -> None:
        self.rate = sample_rate(rate)
        if not 1 <= self.rate <= _MOST:
            raise ValueError(must_be("rate", f"from 1 to {_MOST} bytes", rate))
        self.seconds = 0.0
        self.freed_space = 0
        self._outside: list[tuple[str, str]] = []
        self._measurement: Measurement | None = None
        self._profile: HeapProfile | None = None
        self._started = 0.0

    def start(self, caller: FrameType | None, with_caller: bool = True) -> None:
        """Begins; stacks will be told from caller on, or from what it calls."""
        if _core.mode() is None:
            raise InstallError(NOT_IN_PLACE)
        if self._measurement is not None:
            raise RuntimeError("this CodeProfile is in use already: each block needs one of its own")
        outer = caller.f_back if caller is not None and with_caller else caller
        self._outside = _names(outer)
        self._measurement = Measurement(self.rate)
        self._started = perf_counter()

    def stop(self) -> None:
        self.seconds = perf_counter() - self._started
        measurement, self._measurement = self._measurement, None
        if measurement is None:
            raise RuntimeError("this CodeProfile has not begun")
        with measurement.end() as after:
            self._profile, self.freed_space = _between(measurement, after, self._outside)

    def __enter__(self) -> Self:
        self.start(sys._getframe(1))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def __call__(self, function: Callable[_P, _R]) -> Callable[_P, _R]:
        """The function, of which each call is measured.  TypeError for what runs after its call."""
        from functools import wraps

        _need_function(function)

        @wraps(function)
        def measured(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            piece = CodeProfile(self.rate)
            piece.start(sys._getframe(), with_caller=False)
            try:
                return function(*args, **kwargs)
            finally:
                piece.stop()
                self.seconds, self.freed_space = piece.seconds, piece.freed_space
                self._profile = piece._profile

        setattr(measured, "code_profile", self)
        return measured

    @property
    def profile(self) -> HeapProfile:
        if self._profile is None:
            raise RuntimeError("the profile is there when the block has ended")
        return self._profile

    def top(
        self,
        n: int | None = 20,
        by: _TopBy = "function",
        value: str = "alloc_space",
        *,
        fold: bool = True,
    ) -> Top:
        return self.profile.top(n, by, value, fold=fold)

    def tree(
        self, value: str = "alloc_space", by: _By = "function", *, fold: bool = True
    ) -> Tree:
        return self.profile.tree(value, by, fold=fold)

    def flamegraph(
        self, value: str = "alloc_space", title: str = "", *, fold: bool = True
    ) -> FlameGraph:
        return self.profile.flamegraph(value, title or "What it allocated", fold=fold)

    def as_dict(self) -> dict[str, Any]:
        """Figures and profile, ready for JSON."""
        return {
            "seconds": self.seconds,
            "freed_space": self.freed_space,
            "profile": self.profile.as_dict(),
        }

    def to_dataframe(self) -> _DataFrame:
        """The samples of the profile as a pandas DataFrame."""
        return self.profile.to_dataframe()

    def lines(self) -> list[tuple[str, str]]:
        """(what, how much) as shown."""
        profile = self.profile
        rows = [
            (what, f"{human(profile.total(f'{kind}_space'))} in {profile.total(f'{kind}_objects'):,} blocks")
            for kind, what in _KINDS
        ]
        rows.append(("freed of before", human(self.freed_space)))
        return rows

    def _heading(self) -> str:
        return f"{self.seconds:.3f} s, {sampled(self.profile.rate, self.profile.about.mixed_rates)}"

    def __str__(self) -> str:
        if self._profile is None:
            return repr(self)
        told = [f"{what:>17}  {value}" for what, value in self.lines()]
        return "\n".join([self._heading(), *told, *self.profile.warnings()])

    def __repr__(self) -> str:
        if self._profile is None:
            return f"<goalloc.CodeProfile, rate {self.rate:,}>"
        alive, all_of_it = (self.profile.total(f"{kind}_space") for kind in ("inuse", "alloc"))
        return f"<goalloc.CodeProfile: {all_of_it:,} bytes allocated, {alive:,} of them alive>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text("..." if cycle else str(self))

    def _repr_html_(self) -> str:
        return self.to_html("all")

    def to_html(self, view: _View = "all", n: int | None = 10, value: str = "alloc_space") -> str:
        """The figures, and below them 'top', 'tree', 'flame', 'all' (top and flame) or 'none'."""
        from ..display import svg

        if view not in VIEWS:
            raise ValueError(f"no view {view!r}; there are {', '.join(VIEWS)}")
        grid = svg.grid(["", "bytes and blocks"], self.lines())
        notes = [svg.note(text) for text in self.profile.warnings()]
        parts = [svg.frame(svg.heading("This code", "· " + self._heading()), grid, *notes)]
        if view in ("top", "all"):
            parts.append(self.top(n, value=value)._repr_html_())
        if view == "tree":
            parts.append(self.tree(value)._repr_html_())
        if view in ("flame", "all"):
            parts.append(self.flamegraph(value)._repr_html_())
        return "".join(parts)


_KINDS = (
    ("alloc", "allocated"),
    ("inuse", "alive at the end"),
    ("temporary", "temporary"),
    ("peak", "at the peak"),
)


def profile(rate: SupportsIndex | str = RATE) -> CodeProfile:
    """A context manager that profiles the code in its block, in all threads; see CodeProfile.

    As a decorator, `@profile()`, it profiles each call of a function.

    rate   mean bytes between samples meanwhile; "64KiB" and the like do; 1: each block, exact and slow
    InstallError where goalloc is not in place.
    """
    if callable(rate):
        raise TypeError("the decorator is goalloc.profile(), with parentheses")
    return CodeProfile(rate)


def _need_function(function: Any) -> None:
    import inspect

    if not callable(function) or isinstance(function, type):
        raise TypeError(f"a CodeProfile decorates functions, not {function!r}")
    later = (inspect.isgeneratorfunction, inspect.iscoroutinefunction, inspect.isasyncgenfunction)
    if any(runs_later(function) for runs_later in later):
        raise TypeError(
            f"{function!r} runs when its call has ended, as generators and coroutines do: "
            "measure what is in it, by `with goalloc.profile() as p:`"
        )


def _names(frame: FrameType | None) -> list[tuple[str, str]]:
    """(qualified name, file) of a frame and its callers, the outermost first."""
    names = []
    while frame is not None:
        names.append((frame.f_code.co_qualname, frame.f_code.co_filename))
        frame = frame.f_back
    return names[::-1]


def _between(
    measurement: Measurement, after: HeapProfile, outside: list[tuple[str, str]]
) -> tuple[HeapProfile, int]:
    """What came in between, with the callers outside cut off its stacks, and the bytes freed of
    what was there before."""
    before, rates = measurement.before, measurement.rates
    base = before._tables
    live = base.counts[2:4]  # the peak was begun anew: what was in use then is not of it
    base = base._replace(counts=(*base.counts[:4], *live))
    difference = after.diff(HeapProfile(base, before.about))
    tables = difference._tables
    stacks = _inside(tables, outside)
    made = []  # rows of stacks that allocated
    freed = 0
    columns = [list(column) for column in tables.counts]
    for i, (allocs, space) in enumerate(zip(columns[0], columns[3])):
        if space < 0:  # older blocks of the same stack
            freed -= space
            columns[2][i] = columns[3][i] = 0
        for column in columns[4:]:
            column[i] = max(column[i], 0)
        if allocs > 0 and stacks[tables.keys[0][i]]:
            made.append(i)
    builder = Builder()
    counts = tuple(array("q", column) for column in columns)
    builder.add_tables(tables._replace(stacks=stacks, counts=counts), rows=made)
    about = difference.about._replace(
        base=None, rate=max(rates), mixed_rates=len(rates) > 1, note="", left_out=()
    )
    return HeapProfile(builder.build(), about), freed


def _inside(tables: Tables, outside: list[tuple[str, str]]) -> tuple[tuple[int, ...], ...]:
    """The stacks without the functions outside, if they begin with these; () for that of the function
    that runs the piece itself."""
    names = [tables.functions[function][:2] for function, _ in tables.locations]
    path = outside[::-1]
    stacks: list[tuple[int, ...]] = []
    for stack in tables.stacks:
        functions = [names[location] for location in stack]
        depth = len(stack) - len(path)
        stacks.append(stack[:depth] if depth >= 0 and functions[depth:] == path else stack)
    return tuple(stacks)

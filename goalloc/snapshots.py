"""A whole heap at one moment, and the difference of two.

A snapshot keeps the spans as the packed array that C made and turns them into objects when they are
first asked for: a heap of a million blocks is copied in milliseconds.
"""

from __future__ import annotations

from ._records import Record, SnapshotDiffFields
from .display.pretty import show_text
from .stats import Arena, BySize, ClassStats, MemStats, Span, spans_from_core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal, NoReturn

    from pandas import DataFrame as _DataFrame

    from .fragments import Fragmentation
    from .maps import ArenaMap, SpanMap


class Snapshot:
    """Everything about a heap, consistent at one moment.  Frozen; sorts by time; pickles.

    In wrap mode it has no spans and no arenas, and None for what can't be known.

    memstats   MemStats
    classes    134 ClassStats, by span class
    spans      Span objects by address: in use, manual and free
    arenas     Arena objects by address
    nanotime   when, in nanoseconds of the monotonic clock
    """

    __slots__ = ("memstats", "classes", "arenas", "nanotime", "_packed", "_bits", "_spans")

    memstats: MemStats
    classes: tuple[ClassStats, ...]
    arenas: tuple[Arena, ...]
    nanotime: int
    _packed: bytes
    _bits: bytes
    _spans: tuple[Span, ...] | None

    def __init__(
        self,
        memstats: MemStats,
        classes: tuple[ClassStats, ...],
        arenas: tuple[Arena, ...],
        nanotime: int,
        packed: bytes,
        bits: bytes,
    ) -> None:
        fields = (memstats, classes, arenas, nanotime, packed, bits, None)
        for name, value in zip(self.__slots__, fields):
            object.__setattr__(self, name, value)

    @property
    def spans(self) -> tuple[Span, ...]:
        spans = self._spans
        if spans is None:
            spans = tuple(spans_from_core(self._packed, self._bits))
            object.__setattr__(self, "_spans", spans)
        return spans

    def diff(self, other: Snapshot) -> SnapshotDiff:
        """What has changed since other: self minus other."""
        if not isinstance(other, Snapshot):
            raise TypeError(f"diff() takes a Snapshot, not {type(other).__name__}")
        if (self.memstats.sys is None) != (other.memstats.sys is None):
            raise ValueError("one of the snapshots is of wrap mode, and counts something else")
        pairs = zip(self.classes, other.classes)
        changed = tuple(_class_diff(a, b) for a, b in pairs if a != b)
        memstats = _memstats_diff(self.memstats, other.memstats)
        return SnapshotDiff(self.nanotime - other.nanotime, memstats, changed)

    def arena_map(self, arena: Arena | int = 0) -> ArenaMap:
        """An arena page by page: one of .arenas, or its place there."""
        from .maps import arena_map

        return arena_map(self, arena)

    def span_map(self, size: int, noscan: bool | None = None) -> SpanMap:
        """The spans that serve requests of `size` bytes (to 32 KiB), slot by slot.

        noscan   True or False: only the spans of such blocks; None: both
        """
        from .maps import span_map

        return span_map(self, size, noscan)

    def fragmentation(self) -> Fragmentation:
        """Which classes hold memory in spans that are partly empty.

        goalloc.fragmentation() says also which code does.
        """
        from .fragments import fragmentation_of

        return fragmentation_of(self)

    def to_dataframe(self, what: Literal["classes", "spans", "arenas"] = "classes") -> _DataFrame:
        """The classes, spans or arenas as a pandas DataFrame."""
        if what not in ("classes", "spans", "arenas"):
            raise ValueError(f"no table {what!r}; there are 'classes', 'spans' and 'arenas'")
        from .dataframes import records_frame

        fields = {"classes": ClassStats._fields, "spans": Span._fields, "arenas": Arena._fields}
        return records_frame(getattr(self, what), fields[what])

    def as_dict(self) -> dict[str, Any]:
        return {
            "nanotime": self.nanotime,
            "memstats": self.memstats.as_dict(),
            "classes": [c.as_dict() for c in self.classes],
            "spans": [s.as_dict() for s in self.spans],
            "arenas": [a.as_dict() for a in self.arenas],
        }

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a Snapshot is frozen: cannot set {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a Snapshot is frozen: cannot delete {name!r}")

    def __reduce__(self) -> tuple[type[Snapshot], tuple[object, ...]]:
        return Snapshot, self._key()

    def _key(self) -> tuple[object, ...]:
        return (
            self.memstats, self.classes, self.arenas, self.nanotime, self._packed, self._bits,
        )  # fmt: skip

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Snapshot) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.nanotime, self.memstats))

    def __lt__(self, other: Snapshot) -> bool:
        return self.nanotime < other.nanotime if isinstance(other, Snapshot) else NotImplemented

    def __repr__(self) -> str:
        m = self.memstats
        if m.sys is None:
            return f"Snapshot({m.mallocs} blocks, {m.total_alloc} bytes asked for in wrap mode)"
        return (
            f"Snapshot({m.heap_objects} blocks, {m.heap_alloc} bytes live, "
            f"{m.heap_sys} bytes of heap in {len(self.arenas)} arenas)"
        )

    def __str__(self) -> str:
        from .display.ledger import snapshot_text

        return snapshot_text(self)

    _repr_pretty_ = show_text

    def _repr_html_(self) -> str:
        from .display.html import snapshot_html

        return snapshot_html(self)


class SnapshotDiff(Record, SnapshotDiffFields):
    """What has changed between two snapshots: MemStats and the changed ClassStats, as differences."""

    __slots__ = ()

    def to_dataframe(self) -> _DataFrame:
        """The classes that have changed, as a pandas DataFrame."""
        from .dataframes import records_frame

        return records_frame(self.classes, ClassStats._fields)

    def __repr__(self) -> str:
        m = self.memstats
        change = (
            f"{m.mallocs:+} blocks, {m.total_alloc:+} bytes asked for"
            if m.heap_objects is None
            else f"{m.heap_objects:+} blocks, {m.heap_alloc:+} bytes live"
        )
        return (
            f"SnapshotDiff({change}, "
            f"{len(self.classes)} span classes changed, {self.nanoseconds / 1e9:.3f} s)"
        )

    def __str__(self) -> str:
        from .display.ledger import diff_text

        return diff_text(self)

    _repr_pretty_ = show_text

    def _repr_html_(self) -> str:
        from .display.html import diff_html

        return diff_html(self)


def _minus(a: int | None, b: int | None) -> int | None:
    """None: one of them is not known (wrap mode)."""
    return None if a is None or b is None else a - b


def _memstats_diff(a: MemStats, b: MemStats) -> MemStats:
    numbers = [_minus(x, y) for x, y in zip(a[:-2], b[:-2])]
    sizes = tuple(
        BySize(x.size, x.mallocs - y.mallocs, _minus(x.frees, y.frees))
        for x, y in zip(a.by_size, b.by_size)
    )
    return MemStats._make((*numbers, sizes, a.note))


def _class_diff(a: ClassStats, b: ClassStats) -> ClassStats:
    """The first five fields say which class it is; the others are numbers."""
    return ClassStats._make((*a[:5], *(_minus(x, y) for x, y in zip(a[5:], b[5:]))))

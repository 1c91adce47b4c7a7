"""Fragmentation: memory in free slots that can't go back because live blocks sit beside them.

By class it is a matter of counting.  By call site it is an estimate from the profile's live samples: a
span's free slots are shared out evenly among its live blocks, and each sampled block stands for as many
as it was sampled from (1 / (1 - exp(-size / rate))).  So the sites add up to the whole but for chance;
with a rate of 1, and every live block in the profile, exactly.
"""

from __future__ import annotations

from math import exp

from ._records import CallSiteFields, ClassFragmentationFields, FragmentationFields, Record
from .display.pretty import show_text
from .display.text import counted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any, Literal, TypeAlias

    from pandas import DataFrame as _DataFrame

    from .snapshots import Snapshot
    from .stats import Span

    _By: TypeAlias = Literal["line", "function", "file"]

_IN_WRAP_MODE = "in wrap mode it is not known what is live and where, and so nothing of fragmentation"
_SPARSE = 0.25  # a span with fewer live slots than this part is nearly empty


class ClassFragmentation(Record, ClassFragmentationFields):
    """The spans of one span class.

    sparse          how many of its spans are less than a quarter full
    held_bytes      free slots in spans with a live block, less what of them is given back
    released_bytes  given back inside its spans
    packable_bytes  the part of held_bytes that would come free if the live blocks moved together
    fullness        how many spans are 0-10 %, 10-20 %, ... full; the last of 11 are quite full
    """

    __slots__ = ()


class CallSite(Record, CallSiteFields):
    """Code, and what its blocks that are still live keep from being released; estimates.

    function, filename, line   the innermost frame; line is 0 unless sites are told apart by line,
                               function is "" if they are told apart by file
    held_bytes                 its share of the free slots beside its blocks
    live_bytes, live_objects   its blocks
    samples                    how many blocks were seen; few make a rough estimate
    spans                      how many spans those are in
    stack                      of its stacks the one that holds most: (function, filename, line), innermost
                               first
    """

    __slots__ = ()


class Fragmentation(Record, FragmentationFields):
    """Which classes, and which call sites, hold memory by being scattered; text with print().

    classes     ClassFragmentation of each class that has spans, those that hold most first
    sites       CallSite, those that hold most first; None: there is no profile to tell
    held_bytes  free slots in spans with a live block, less what of them is given back: the sum over
                the classes
    note        one sentence where goalloc is not in place, or in wrap mode; mostly empty
    """

    __slots__ = ()

    def to_dataframe(self, what: Literal["classes", "sites"] = "classes") -> _DataFrame:
        """The classes, or the call sites (none if there is no profile), as a pandas DataFrame."""
        from .dataframes import records_frame

        if what == "classes":
            return records_frame(self.classes, ClassFragmentation._fields)
        if what == "sites":
            return records_frame(self.sites or (), CallSite._fields)
        raise ValueError(f"no table {what!r}; there are 'classes' and 'sites'")

    def __repr__(self) -> str:
        sites = "no call sites" if self.sites is None else counted(len(self.sites), "call site")
        classes = counted(len(self.classes), "class", "classes")
        return f"Fragmentation({self.held_bytes} bytes held, {classes}, {sites})"

    _repr_pretty_ = show_text

    def __str__(self) -> str:
        from .display.fragments import fragmentation_text

        return fragmentation_text(self)

    def _repr_html_(self) -> str:
        from .display.fragments import fragmentation_html

        return fragmentation_html(self)


def fragmentation_of(
    snapshot: Snapshot, profile: dict[str, Any] | None = None, by: _By = "line"
) -> Fragmentation:
    """profile is what _core.profile_read(blocks=True) gave just before the snapshot."""
    if by not in ("line", "function", "file"):
        raise ValueError(f"no call sites by {by!r}; there are 'line', 'function' and 'file'")
    spans = [s for s in snapshot.spans if s.state == "in_use"]
    classes = sorted(_classes(spans), key=lambda c: (-c.held_bytes, c.span_class))
    sites = None
    if profile is not None:
        sites = tuple(sorted(_sites(spans, profile, by), key=lambda s: s[3:], reverse=True))
    note = _IN_WRAP_MODE if snapshot.memstats.sys is None else snapshot.memstats.note
    return Fragmentation(tuple(classes), sites, sum(c.held_bytes for c in classes), note)


def held_bytes(span: Span) -> int:
    """Free slots of a span that its live blocks keep; none if there is no live block."""
    if not span.alloc_count:
        return 0
    free = (span.nelems - span.alloc_count) * span.elem_size
    return max(free - span.released_bytes, 0)


def _classes(spans: Sequence[Span]) -> Iterator[ClassFragmentation]:
    by_class: dict[int, list[Span]] = {}
    for s in spans:
        if s.size_class:
            by_class.setdefault(s.span_class, []).append(s)
    for span_class, mine in by_class.items():
        one = mine[0]
        live = sum(s.alloc_count for s in mine)
        beside = [s for s in mine if s.alloc_count]  # empty spans go back as they are
        needless = len(beside) - -(-live // one.nelems)
        packable = needless * one.nelems * one.elem_size - sum(s.released_bytes for s in beside)
        fullness = [0] * 11
        for s in mine:
            fullness[s.alloc_count * 10 // s.nelems] += 1
        yield ClassFragmentation(
            span_class, one.size_class, one.noscan, one.elem_size, len(mine),
            sum(s.occupancy < _SPARSE for s in mine), live * one.elem_size,
            sum(map(held_bytes, mine)), sum(s.released_bytes for s in mine), max(packable, 0),
            tuple(fullness),
        )  # fmt: skip


# ---- by call site -------------------------------------------------------------------------------


class _Tally:
    """What is found of one sample of the profile, or of one call site."""

    __slots__ = ("held", "objects", "nbytes", "blocks", "spans")

    def __init__(self) -> None:
        self.held = self.objects = self.nbytes = 0.0
        self.blocks = 0
        self.spans: set[int] = set()

    def add(self, other: _Tally) -> None:
        self.held += other.held
        self.objects += other.objects
        self.nbytes += other.nbytes
        self.blocks += other.blocks
        self.spans |= other.spans


def _sites(spans: Sequence[Span], profile: dict[str, Any], by: _By) -> list[CallSite]:
    tallies = _tally_samples(spans, profile)
    sites: dict[tuple[str, str, int], _Tally] = {}
    stacks: dict[tuple[str, str, int], tuple[float, int]] = {}
    for index, found in tallies.items():
        stack = profile["samples"][index][0]
        where = _site(_frames(profile, stack)[0], by)
        sites.setdefault(where, _Tally()).add(found)
        stacks[where] = max(stacks.get(where, (-1.0, 0)), (found.held, stack))
    return [
        CallSite(*where, round(t.held), round(t.nbytes), round(t.objects), t.blocks,
                 len(t.spans), _frames(profile, stacks[where][1]))
        for where, t in sites.items()
    ]  # fmt: skip


def _tally_samples(spans: Sequence[Span], profile: dict[str, Any]) -> dict[int, _Tally]:
    """By index of the sample.  A block that was freed since the profile was read is left out."""
    tallies: dict[int, _Tally] = {}
    for span, blocks in _blocks_by_span(spans, profile):
        share = held_bytes(span) / max(span.alloc_count, 1)
        live = f"{span.alloc_bits:0{span.nelems}b}"[::-1]  # much faster than shifts of long ints
        for address, index in blocks:
            slot = (address - span.start) // span.elem_size
            if slot < span.nelems and live[slot] == "1":
                tally = tallies.get(index)
                if tally is None:
                    tally = tallies[index] = _Tally()
                tally.held += share
                tally.blocks += 1
                tally.spans.add(span.start)
    for index, tally in tallies.items():
        _, size, rate, *_ = profile["samples"][index]
        weight = 1 / (1 - exp(-size / rate)) if rate > 1 else 1.0
        tally.held *= weight
        tally.objects = tally.blocks * weight
        tally.nbytes = tally.objects * size
    return tallies


def _blocks_by_span(
    spans: Iterable[Span], profile: dict[str, Any]
) -> Iterator[tuple[Span, Iterable[tuple[int, int]]]]:
    """(address, index of the sample) of the sampled blocks in each span; spans are by address."""
    from array import array
    from bisect import bisect_left

    samples = array("I", profile["block_samples"])
    unsorted = array("Q", profile["block_addresses"])
    order = sorted(range(len(unsorted)), key=unsorted.__getitem__)
    addresses = array("Q", map(unsorted.__getitem__, order))
    for span in spans:
        first, end = bisect_left(addresses, span.start), bisect_left(addresses, span.end)
        if first < end:
            yield span, zip(addresses[first:end], map(samples.__getitem__, order[first:end]))


def _frames(profile: dict[str, Any], stack: int) -> tuple[tuple[str, str, int], ...]:
    frames = []
    for location in profile["stacks"][stack]:
        function, line = profile["locations"][location]
        name, filename, _ = profile["functions"][function]
        frames.append((name, filename, line))
    return tuple(frames) or (("<unknown>", "", 0),)


def _site(frame: tuple[str, str, int], by: _By) -> tuple[str, str, int]:
    name, filename, line = frame
    return {
        "line": frame,
        "function": (name, filename, 0),
        "file": ("", filename or name, 0),
    }[by]

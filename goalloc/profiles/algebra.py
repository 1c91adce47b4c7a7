"""Profiles made of profiles: differences, sums and parts."""

from __future__ import annotations

import re
from array import array

from ..arguments import must_be, real_number
from .notes import WITH_DIFFERENCES, joined
from .profile import About, HeapProfile
from .records import DOMAINS
from .tables import Builder, Tables

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from .profile import _Pattern
    from .records import Frame, Sample, Thread


def _take_profile(value: object, method: str) -> HeapProfile:
    if not isinstance(value, HeapProfile):
        raise TypeError(f"{method}() takes a HeapProfile, not {type(value).__name__}")
    return value


def difference(profile: HeapProfile, base: HeapProfile) -> HeapProfile:
    """profile - base; samples that have not changed are left out."""
    _take_profile(base, "diff")
    builder = Builder()
    builder.add_tables(profile._tables)
    builder.add_tables(base._tables, -1, threads=_renamed(profile._tables, base._tables))
    tables = builder.build(zeros=False)
    a, b = profile.about, base.about
    rate = a.rate or b.rate
    about = a._replace(
        rate=rate,
        dropped_samples=max(a.dropped_samples - b.dropped_samples, 0),
        truncated_stacks=max(a.truncated_stacks - b.truncated_stacks, 0),
        has_peak=a.has_peak and b.has_peak,
        base=tuple(map(sum, base._tables.counts)),
        note=joined((a.note, b.note), rate),
        mixed_rates=_mixed(a, b),
        left_out=tuple(x - y for x, y in zip(*_known(a, b))),
        cells=_cells(b, a),
    )
    return HeapProfile(tables, about)


def with_peak_of(profile: HeapProfile, other: HeapProfile) -> HeapProfile:
    """The profile with the values at the peak of an earlier one of the same process."""
    ours, theirs = profile._tables, other._tables
    builder = Builder()
    for tables, kept in ((ours, slice(0, 4)), (theirs, slice(4, 6))):
        zeros = array("q", bytes(8 * len(tables.keys[0])))
        counts = [zeros] * len(tables.counts)
        counts[kept] = tables.counts[kept]
        threads = None if tables is ours else _renamed(ours, theirs)
        builder.add_tables(tables._replace(counts=tuple(counts)), threads=threads)
    about = profile.about._replace(peak_time_ns=other.about.peak_time_ns)
    return HeapProfile(builder.build(), about)


def _known(*abouts: About) -> Iterable[tuple[int, ...]]:
    """What each leaves out; nothing of any where only some do."""
    return [a.left_out if all(a.left_out for a in abouts) else () for a in abouts]


def _cells(*abouts: About) -> tuple[tuple[str, int], ...]:
    """The cells of all; of one that has two numbers, the later."""
    return tuple(dict(cell for a in abouts for cell in a.cells).items())


def _mixed(*abouts: About) -> bool:
    return any(a.mixed_rates for a in abouts) or len({a.rate for a in abouts if a.rate}) > 1


def _renamed(tables: Tables, base: Tables) -> list[Thread]:
    """The threads of base, named as in tables: names change, and are lost when a thread ends."""
    by_id = {t.id: t for t in tables.threads if t.id}
    if len(by_id) < sum(1 for t in tables.threads if t.id):
        return list(base.threads)  # an id was used again: only names tell threads apart
    return [by_id.get(t.id, t) for t in base.threads]


def merged(profiles: Sequence[HeapProfile]) -> HeapProfile:
    """The sum of at least one."""
    builder = Builder()
    for profile in profiles:
        builder.add_tables(_take_profile(profile, "merge")._tables)
    abouts = [p.about for p in profiles]
    tables = builder.build()
    diffs = [p.is_diff for p in profiles]
    mixed = any(diffs) and not all(diffs)
    rate = max(a.rate for a in abouts)
    about = About(
        rate=rate,
        time_ns=max(a.time_ns for a in abouts),
        peak_time_ns=max(a.peak_time_ns for a in abouts),
        dropped_samples=sum(a.dropped_samples for a in abouts),
        truncated_stacks=sum(a.truncated_stacks for a in abouts),
        memory=sum(a.memory for a in abouts),
        has_peak=all(a.has_peak for a in abouts),
        base=_base_of_sum(tables, abouts),
        program=", ".join(dict.fromkeys(a.program for a in abouts if a.program)),
        note=joined((*(a.note for a in abouts), WITH_DIFFERENCES if mixed else ""), rate),
        mixed_rates=_mixed(*abouts),
        left_out=tuple(map(sum, zip(*(a.left_out for a in abouts if a.left_out)))),
        cells=_cells(*abouts),
    )
    return HeapProfile(tables, about)


def _base_of_sum(tables: Tables, abouts: Sequence[About]) -> tuple[int, ...] | None:
    """Of differences, if it is known of each.  With a whole profile among them the sum is one, as long
    as nothing is below zero."""
    bases = [a.base for a in abouts if a.base is not None]
    if len(bases) < len(abouts) and not any(min(column, default=0) < 0 for column in tables.counts):
        return None
    known = len(bases) == len(abouts) and all(map(any, bases))
    return tuple(map(sum, zip(*bases))) if known else (0,) * len(tables.counts)


def filtered(
    profile: HeapProfile,
    predicate: Callable[[Sample], object] | None,
    frames: Mapping[str, _Pattern | None],
    thread: _Pattern | int | None,
    domain: str | Iterable[str] | None,
    min_size: int | None,
    max_size: int | None,
) -> HeapProfile:
    if predicate is not None and not callable(predicate):
        what = must_be("predicate", "a function of a Sample", predicate)
        raise TypeError(f"{what}; for names there are function=, file=, module=")
    tables = profile._tables
    stacks, sizes, domains, threads = tables.keys
    rows: Iterable[int] = range(len(stacks))
    for which, pattern in frames.items():
        if pattern is not None:
            found = _stacks_with(profile, which, pattern)
            rows = [i for i in rows if stacks[i] in found]
    if thread is not None:
        wanted = _threads(tables.threads, thread)
        rows = [i for i in rows if threads[i] in wanted]
    if domain is not None:
        numbers = _domains(domain)
        rows = [i for i in rows if domains[i] in numbers]
    if min_size is not None:
        real_number(min_size, "min_size", "a number of bytes")
        rows = [i for i in rows if sizes[i] >= min_size]
    if max_size is not None:
        real_number(max_size, "max_size", "a number of bytes")
        rows = [i for i in rows if sizes[i] <= max_size]
    if predicate is not None:
        samples = profile.samples
        rows = [i for i in rows if predicate(samples[i])]
    rows = list(rows)
    about = profile.about
    if about.base is not None:  # of what part of the base it is a difference is not known any more
        about = about._replace(base=(0,) * len(about.base))
    keys = tuple(array("q", map(column.__getitem__, rows)) for column in tables.keys)
    counts = tuple(array("q", map(column.__getitem__, rows)) for column in tables.counts)
    return HeapProfile(tables._replace(keys=keys, counts=counts), about)


def _compiled(pattern: _Pattern, what: str) -> re.Pattern[str]:
    if not isinstance(getattr(pattern, "pattern", pattern), str):
        raise TypeError(must_be(what, "a regular expression", pattern))
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{what} is no regular expression: {pattern!r}: {error}") from None


def _stacks_with(profile: HeapProfile, which: str, pattern: _Pattern) -> set[int]:
    """The stacks that have a frame in which the pattern is found."""
    search = _compiled(pattern, which).search
    tests: dict[str, Callable[[Frame, str], object]] = {
        "function": lambda frame, file: search(frame.function) or search(frame.qualified),
        "file": lambda frame, file: search(frame.filename) or search(file),
        "module": lambda frame, file: search(frame.module),
    }
    hits = map(tests[which], profile._frames(), profile._shown_files())
    hit = {i for i, found in enumerate(hits) if found}
    return {i for i, stack in enumerate(profile._tables.stacks) if not hit.isdisjoint(stack)}


def _threads(threads: Sequence[Thread], wanted: _Pattern | int) -> set[int]:
    if isinstance(wanted, int):
        return {i for i, thread in enumerate(threads) if thread.id == wanted}
    search = _compiled(wanted, "thread").search
    return {i for i, thread in enumerate(threads) if search(str(thread))}


def _domains(wanted: str | Iterable[str]) -> set[int]:
    if not hasattr(type(wanted), "__iter__"):
        raise TypeError(must_be("domain", "the name of a domain, or several of them", wanted))
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    for name in names:
        if name not in DOMAINS[:3]:
            raise ValueError(f"no domain {name!r}; there are {', '.join(DOMAINS[:3])}")
    return {DOMAINS.index(name) for name in names}

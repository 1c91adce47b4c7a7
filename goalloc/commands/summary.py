"""What `goalloc stats FILE` prints: a heap profile in a few sums."""

from __future__ import annotations

from ..display.text import human, table
from ..profiles.groups import group_samples
from ..profiles.values import sampled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..profiles.profile import HeapProfile

_KINDS = {"inuse": "in use", "alloc": "allocated", "peak": "at the peak", "temporary": "temporary"}
_MOST_ROWS = 10


def summary(profile: HeapProfile) -> str:
    """Heading, then a table each of values, domains, threads and sizes of blocks."""
    kinds = [kind for kind in _KINDS if kind != "peak" or profile.about.has_peak]
    parts = [
        "\n".join(_heading(profile)),
        table(
            ("", "blocks", "bytes", ""),
            [
                (_KINDS[kind], f"{profile.total(f'{kind}_objects'):,}", f"{nbytes:,}", human(nbytes))
                for kind in kinds
                for nbytes in (profile.total(f"{kind}_space"),)
            ],
            left=1,
        ),
    ]
    if any(sample.domain for sample in profile.samples):
        parts.append(_sums(profile, "domain", "domain"))
    if any(sample.thread.id or sample.thread.name for sample in profile.samples):
        parts.append(_sums(profile, "thread", "thread"))
    parts.append(_sums(profile, "size", "bytes of a block"))
    return "\n\n".join(parts)


def _heading(profile: HeapProfile) -> Iterator[str]:
    about = profile.about
    if about.program:
        yield f"program  {about.program}"
    if about.time_ns:
        from datetime import datetime

        when = datetime.fromtimestamp(about.time_ns / 1e9)
        yield f"taken    {when.isoformat(' ', 'seconds')}"
    change = "; what has changed" if profile.is_diff else ""
    yield f"numbers  {sampled(about.rate, about.mixed_rates)}{change}"
    yield f"entries  {len(profile):,}, of a stack, size, domain and thread each"
    yield from profile.warnings()


def _sums(profile: HeapProfile, by: str, heading: str) -> str:
    """In use and allocated; those with the most in use come first."""
    of_sample, names = group_samples(profile, by)
    sums = [[0, 0, 0] for _ in names]
    values = map(profile.values, ("inuse_objects", "inuse_space", "alloc_space"))
    for group, *amounts in zip(of_sample, *values):
        sums[group] = [a + b for a, b in zip(sums[group], amounts)]
    shown = (name.removesuffix(" B") for name in names) if by == "size" else names
    rows = sorted(zip(shown, sums), key=lambda row: (-abs(row[1][1]), -abs(row[1][2]), row[0]))
    text = table(
        (heading, "blocks in use", "bytes in use", "allocated"),
        [
            (name, f"{blocks:,}", human(inuse), human(allocated))
            for name, (blocks, inuse, allocated) in rows[:_MOST_ROWS]
        ],
        left=1,
    )
    hidden = len(rows) - _MOST_ROWS
    return f"{text}\n... and {hidden:,} more" if hidden > 0 else text

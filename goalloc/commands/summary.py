"""What `goalloc stats FILE` prints: a heap profile in a few sums."""

from __future__ import annotations

from ..display.text import human, table
from ..profiles.values import sampled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..profiles.profile import HeapProfile
    from ..profiles.records import Sample

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
        parts.append(_by(profile, "domain", lambda sample: sample.domain))
    if any(sample.thread.id or sample.thread.name for sample in profile.samples):
        parts.append(_by(profile, "thread", lambda sample: str(sample.thread)))
    parts.append(_by(profile, "bytes of a block", lambda sample: f"{sample.size:,}"))
    return "\n\n".join(parts)


def _heading(profile: HeapProfile) -> Iterator[str]:
    about = profile.about
    if about.program:
        yield f"program  {about.program}"
    if about.time_ns:
        from datetime import datetime

        when = datetime.fromtimestamp(about.time_ns / 1e9)
        yield f"taken    {when.isoformat(' ', 'seconds')}"
    yield f"numbers  {sampled(about.rate, about.mixed_rates)}"
    yield f"samples  {len(profile):,}"
    yield from profile.warnings()


def _by(profile: HeapProfile, heading: str, key: Callable[[Sample], str]) -> str:
    """In use and allocated by a key; those with the most in use come first."""
    sums: dict[str, list[int]] = {}
    for sample in profile.samples:
        row = sums.setdefault(key(sample), [0, 0, 0])
        row[0] += sample.inuse_objects
        row[1] += sample.inuse_space
        row[2] += sample.alloc_space
    rows = sorted(sums.items(), key=lambda item: (-abs(item[1][1]), -abs(item[1][2]), item[0]))
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

"""The heap profile as text, as Go has it with debug=1: counts of samples, not scaled up.

A Python frame has no address; in the place of one stands a number that is its own for each line.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from ..stats import MemStats

# Go's names in Go's order, of those that there are.
_MEMSTATS = """
    Alloc alloc, TotalAlloc total_alloc, Sys sys, Mallocs mallocs, Frees frees,
    HeapAlloc heap_alloc, HeapSys heap_sys, HeapIdle heap_idle, HeapInuse heap_inuse,
    HeapReleased heap_released, HeapObjects heap_objects, Stack stack_inuse stack_sys,
    MSpan mspan_inuse mspan_sys, MCache mcache_inuse mcache_sys, BuckHashSys buck_hash_sys,
    GCSys gc_sys, OtherSys other_sys
"""


def heap_text() -> str:
    """Of this process, now."""
    from .. import _core, memstats
    from ..profiles.own import take_own

    raw = _core.profile_read()
    take_own(raw)
    return "".join([*profile_lines(raw), *_memstats_lines(memstats())])


def profile_lines(raw: Mapping[str, Any]) -> Iterator[str]:
    """The part that is the profile, from what _core.profile_read() gives."""
    buckets: dict[tuple[int, int], list[int]] = {}
    for stack, size, _, _, _, allocs, frees, _ in raw["samples"]:
        counts = buckets.setdefault((stack, size), [0, 0])
        counts[0] += allocs - frees
        counts[1] += allocs
    total = _Record()
    for (_, size), (inuse, allocs) in buckets.items():
        total.add(size, inuse, allocs)
    if total.inuse_bytes == total.alloc_bytes:
        total.alloc_bytes += 1  # else pprof takes it for a profile with two columns
    # Twice the rate, because the first heap profilers of C++ wrote that.
    yield f"heap profile: {total} @ heap/{2 * raw['rate']}\n"
    frames = _frames(raw)
    by_inuse = sorted(buckets.items(), key=lambda item: -item[0][1] * item[1][0])
    for (stack, size), (inuse, allocs) in by_inuse:
        record = _Record()
        record.add(size, inuse, allocs)
        path = [frames[location] for location in raw["stacks"][stack]]
        yield f"{record} @ {' '.join(address for address, _ in path)}\n"
        for address, text in path:
            yield f"#\t{address}\t{text}\n"
        yield "\n"


class _Record:
    """Go's four numbers of a stack, or of all of them."""

    def __init__(self) -> None:
        self.inuse_objects = self.inuse_bytes = self.alloc_objects = self.alloc_bytes = 0

    def add(self, size: int, inuse: int, allocs: int) -> None:
        self.inuse_objects += inuse
        self.inuse_bytes += inuse * size
        self.alloc_objects += allocs
        self.alloc_bytes += allocs * size

    def __str__(self) -> str:
        return (
            f"{self.inuse_objects}: {self.inuse_bytes} [{self.alloc_objects}: {self.alloc_bytes}]"
        )


def _frames(raw: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(number as an address, function+lines into it and place) of each location."""
    frames = []
    for i, (function, line) in enumerate(raw["locations"], 1):
        name, filename, first = raw["functions"][function]
        frames.append((hex(i << 4), f"{name}+{max(line - first, 0):#x}\t{filename}:{line}"))
    return frames


def _memstats_lines(m: MemStats) -> Iterator[str]:
    """What is not known, as in wrap mode, is left out."""
    yield "\n# runtime.MemStats\n"
    for item in _MEMSTATS.split(","):
        name, *fields = item.split()
        values = [getattr(m, field) for field in fields]
        if None not in values:
            yield f"# {name} = {' / '.join(map(str, values))}\n"
    import gc
    import resource

    yield f"# NumGC = {sum(generation['collections'] for generation in gc.get_stats())}\n"
    yield f"# MaxRSS = {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}\n"

"""What a soak looks at: what the process takes from the system, and what of it is for what.

    resident = live + unused + pages + stacks + own + profile + outside

live     blocks of goalloc that the program has
unused   free slots, and what is behind them, in spans that are in use and not given back
pages    free pages that are not given back
stacks   CPython's frame stacks
own      goalloc's own structures, touched or not
profile  those of the heap profile
outside  all else: programs' files, C stacks, other allocators; less what of `own` was never touched

All are bytes.  On stock only `resident` is known.
"""

from __future__ import annotations

import gc
import os
import sys
from dataclasses import asdict, dataclass
from typing import Any

import goalloc
from goalloc import _core
from goalloc.heap import HeapView

MIB = 1 << 20


@dataclass
class State:
    """One moment.  blocks: of all allocators of Python; on stock those of pymalloc, which are most."""

    seconds: float
    requests: int
    done: dict[str, int]
    resident: int
    blocks: int
    objects: int
    live: int | None = None
    unused: int | None = None
    pages: int | None = None
    stacks: int | None = None
    own: int | None = None
    profile: int | None = None

    @property
    def beyond(self) -> int:
        """Resident, and not alive."""
        return self.resident - (self.live or 0)

    def __str__(self) -> str:
        parts = [f"{self.resident / MIB:6.1f} MiB resident"]
        for name in ("live", "unused", "pages", "stacks", "own", "profile"):
            if (nbytes := getattr(self, name)) is not None:
                parts.append(f"{nbytes / MIB:.1f} {name}")
        counts = {"blocks": self.blocks, "objects": self.objects, "requests": self.requests}
        parts += [f"{n} {name}" for name, n in {**counts, **self.done}.items()]
        return f"{self.seconds:6.0f} s: " + ", ".join(parts)

    def record(self) -> dict[str, Any]:
        """For a result file."""
        return {
            k: round(v) if k == "seconds" else v for k, v in asdict(self).items() if v is not None
        }


def of_the_heap(m: goalloc.MemStats) -> dict[str, int]:
    """The parts of what a heap holds; their sum is what it has from the system."""
    return {
        "live": m.alloc,
        "unused": m.heap_inuse - m.heap_inuse_released - m.alloc,
        "pages": m.heap_idle - m.heap_released,
        "stacks": m.stack_sys,
        "own": m.mspan_sys + m.mcache_sys + m.gc_sys + m.other_sys,
        "profile": m.buck_hash_sys,
    }


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def look(stock: bool, seconds: float, requests: int, done: dict[str, int]) -> State:
    """Collects first: what cycles hold for the moment is nobody's growth."""
    gc.collect()
    blocks, parts = sys.getallocatedblocks(), {}
    if not stock:
        m = HeapView(_core.process_heap()).memstats()  # whatever the mode is now
        parts = of_the_heap(m)
        blocks += m.heap_objects
    return State(seconds, requests, dict(done), resident(), blocks, len(gc.get_objects()), **parts)

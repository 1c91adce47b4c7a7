from typing import Any, NamedTuple

from .stats import BySize, ClassStats, MemStats

class Record:
    def as_dict(self) -> dict[str, Any]: ...

class SizeClassFields(NamedTuple):
    index: int  # type: ignore[assignment]  # hides tuple.index, as in Go's table
    size: int
    span_bytes: int
    objects: int
    tail_waste: int
    max_waste: float

class BySizeFields(NamedTuple):
    size: int
    mallocs: int
    frees: int

class MemStatsFields(NamedTuple):
    alloc: int
    total_alloc: int
    sys: int
    mallocs: int
    frees: int
    heap_alloc: int
    heap_sys: int
    heap_idle: int
    heap_inuse: int
    heap_released: int
    heap_objects: int
    stack_inuse: int
    stack_sys: int
    mspan_inuse: int
    mspan_sys: int
    mcache_inuse: int
    mcache_sys: int
    buck_hash_sys: int
    gc_sys: int
    other_sys: int
    heap_inuse_released: int
    scavenged_bytes: int
    scavenge_ns: int
    by_size: tuple[BySize, ...]

class ClassStatsFields(NamedTuple):
    span_class: int
    size_class: int
    noscan: bool
    elem_size: int
    span_bytes: int
    spans: int
    capacity: int
    live: int
    free: int
    cached: int
    mallocs: int
    frees: int
    live_bytes: int
    free_bytes: int
    tail_bytes: int

class SpanFields(NamedTuple):
    start: int
    npages: int
    state: str
    span_class: int
    size_class: int
    noscan: bool
    elem_size: int
    nelems: int
    alloc_count: int
    cached: int
    free_index: int
    alloc_bits: int
    needzero: bool
    scavenged: bool

class ArenaFields(NamedTuple):
    start: int
    size: int
    pages_in_use: int
    pages_mapped: int
    linear: bool

class SnapshotDiffFields(NamedTuple):
    nanoseconds: int
    memstats: MemStats
    classes: tuple[ClassStats, ...]

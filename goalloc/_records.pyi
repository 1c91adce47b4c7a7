from array import array
from typing import Any, NamedTuple, TypeAlias

from .bill import Resident
from .fragments import CallSite, ClassFragmentation
from .profiles.records import Frame, Thread
from .stats import BySize, ClassStats, MemStats

# An int that is None in wrap mode.  Not `int | None`: whoever never wraps would have to ask each time.
_Int: TypeAlias = int | Any

class Record:
    def as_dict(self) -> dict[str, Any]: ...
    def _repr_html_(self) -> str: ...

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
    frees: _Int

class MemStatsFields(NamedTuple):
    alloc: _Int
    total_alloc: int
    sys: _Int
    mallocs: int
    frees: int
    heap_alloc: _Int
    heap_sys: _Int
    heap_idle: _Int
    heap_inuse: _Int
    heap_released: _Int
    heap_objects: _Int
    stack_inuse: _Int
    stack_sys: _Int
    mspan_inuse: _Int
    mspan_sys: _Int
    mcache_inuse: _Int
    mcache_sys: _Int
    buck_hash_sys: _Int
    gc_sys: _Int
    other_sys: _Int
    heap_inuse_released: _Int
    scavenged_bytes: _Int
    scavenge_ns: _Int
    by_size: tuple[BySize, ...]
    note: str = ""

class ClassStatsFields(NamedTuple):
    span_class: int
    size_class: int
    noscan: bool
    elem_size: int
    span_bytes: int
    spans: _Int
    capacity: _Int
    live: _Int
    free: _Int
    cached: _Int
    mallocs: int
    frees: _Int
    live_bytes: _Int
    free_bytes: _Int
    tail_bytes: _Int
    asked_bytes: int | None

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
    os_released: int
    os_page_size: int

class ArenaFields(NamedTuple):
    start: int
    size: int
    pages_in_use: int
    pages_mapped: int
    linear: bool

class ResidentFields(NamedTuple):
    rss: int
    heap: int
    files: int
    brk: int
    stack: int
    anonymous: int

class MemoryBillFields(NamedTuple):
    memstats: MemStats
    classes: tuple[ClassStats, ...]
    resident: Resident | None

class MomentFields(NamedTuple):
    seconds: float
    rss: int
    held: int | None
    live: int | None

class ClassFragmentationFields(NamedTuple):
    span_class: int
    size_class: int
    noscan: bool
    elem_size: int
    spans: int
    sparse: int
    live_bytes: int
    held_bytes: int
    released_bytes: int
    packable_bytes: int
    fullness: tuple[int, ...]

class CallSiteFields(NamedTuple):
    function: str
    filename: str
    line: int
    held_bytes: int
    live_bytes: int
    live_objects: int
    samples: int
    spans: int
    stack: tuple[tuple[str, str, int], ...]

class FragmentationFields(NamedTuple):
    classes: tuple[ClassFragmentation, ...]
    sites: tuple[CallSite, ...] | None
    held_bytes: int
    note: str = ""

class SnapshotDiffFields(NamedTuple):
    nanoseconds: int
    memstats: MemStats
    classes: tuple[ClassStats, ...]

class FrameFields(NamedTuple):
    function: str
    filename: str
    line: int
    module: str = ""
    first_line: int = 0

class ThreadFields(NamedTuple):
    id: int
    name: str

class SampleFields(NamedTuple):
    stack: tuple[Frame, ...]
    size: int
    domain: str
    thread: Thread
    alloc_objects: int
    alloc_space: int
    inuse_objects: int
    inuse_space: int
    peak_objects: int | None
    peak_space: int | None

class TopRowFields(NamedTuple):
    name: str
    flat: int
    flat_percent: float
    sum_percent: float
    cum: int
    cum_percent: float
    flat_error: float | None
    cum_error: float | None

class ProfileTablesFields(NamedTuple):
    functions: tuple[tuple[str, str, int, str], ...]
    locations: tuple[tuple[int, int], ...]
    threads: tuple[Thread, ...]
    stacks: tuple[tuple[int, ...], ...]
    keys: tuple[array[int], ...]
    counts: tuple[array[int], ...]

class AboutFields(NamedTuple):
    rate: int = 0
    time_ns: int = 0
    peak_time_ns: int = 0
    dropped_samples: int = 0
    truncated_stacks: int = 0
    memory: int = 0
    has_peak: bool = True
    base: tuple[int, ...] | None = None
    program: str = ""
    note: str = ""
    mixed_rates: bool = False
    left_out: tuple[int, ...] = ()
    cells: tuple[tuple[str, int], ...] = ()

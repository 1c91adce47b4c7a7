"""The fields of every record, and what all records can do.

_records.pyi declares the same fields with their types.  They are here and not in annotations,
because typing costs more at import than all of goalloc.
"""

from collections import namedtuple


class Record:
    """Mixin of the named tuples: a frozen record that sorts, pickles and turns into a dict."""

    __slots__ = ()

    def as_dict(self):
        """The fields by name, records inside them as dicts too: ready for JSON."""
        return {name: _plain(value) for name, value in zip(self._fields, self)}

    def _repr_html_(self):
        from .display.lists import record_html

        return record_html(type(self).__name__, zip(self._fields, self))


def _plain(value):
    if isinstance(value, Record):
        return value.as_dict()
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return value


SizeClassFields = namedtuple(
    "SizeClassFields", "index size span_bytes objects tail_waste max_waste"
)
BySizeFields = namedtuple("BySizeFields", "size mallocs frees")
MemStatsFields = namedtuple(
    "MemStatsFields",
    "alloc total_alloc sys mallocs frees "
    "heap_alloc heap_sys heap_idle heap_inuse heap_released heap_objects "
    "stack_inuse stack_sys mspan_inuse mspan_sys mcache_inuse mcache_sys "
    "buck_hash_sys gc_sys other_sys "
    "heap_inuse_released scavenged_bytes scavenge_ns by_size note",
    defaults=("",),
)
ClassStatsFields = namedtuple(
    "ClassStatsFields",
    "span_class size_class noscan elem_size span_bytes spans capacity live free cached "
    "mallocs frees live_bytes free_bytes tail_bytes asked_bytes",
)
SpanFields = namedtuple(
    "SpanFields",
    "start npages state span_class size_class noscan elem_size nelems alloc_count cached "
    "free_index alloc_bits needzero scavenged os_released os_page_size",
)
ArenaFields = namedtuple("ArenaFields", "start size pages_in_use pages_mapped linear")
ResidentFields = namedtuple("ResidentFields", "rss heap files brk stack anonymous")
MemoryBillFields = namedtuple("MemoryBillFields", "memstats classes resident")
MomentFields = namedtuple("MomentFields", "seconds rss held live")
ClassFragmentationFields = namedtuple(
    "ClassFragmentationFields",
    "span_class size_class noscan elem_size spans sparse live_bytes held_bytes released_bytes "
    "packable_bytes fullness",
)
CallSiteFields = namedtuple(
    "CallSiteFields",
    "function filename line held_bytes live_bytes live_objects samples spans stack",
)
FragmentationFields = namedtuple(
    "FragmentationFields", "classes sites held_bytes note", defaults=("",)
)
SnapshotDiffFields = namedtuple("SnapshotDiffFields", "nanoseconds memstats classes")
FrameFields = namedtuple(
    "FrameFields", "function filename line module first_line", defaults=("", 0)
)
ThreadFields = namedtuple("ThreadFields", "id name")
SampleFields = namedtuple(
    "SampleFields",
    "stack size domain thread "
    "alloc_objects alloc_space inuse_objects inuse_space peak_objects peak_space",
)
TopRowFields = namedtuple(
    "TopRowFields",
    "name flat flat_percent sum_percent cum cum_percent flat_error cum_error",
)
ProfileTablesFields = namedtuple(
    "ProfileTablesFields", "functions locations threads stacks keys counts"
)
AboutFields = namedtuple(
    "AboutFields",
    "rate time_ns peak_time_ns dropped_samples truncated_stacks memory has_peak base program note "
    "mixed_rates left_out cells",
    defaults=(0, 0, 0, 0, 0, 0, True, None, "", "", False, (), ()),
)

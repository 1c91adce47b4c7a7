"""/metrics for Prometheus, by its official client library.

HeapCollector is for a registry that a program has already: REGISTRY.register(HeapCollector()).
"""

from __future__ import annotations

from .messages import HTTPError, Response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ..stats import ClassStats, MemStats
    from .messages import Request

_MISSING = (
    "/metrics needs prometheus_client in the process that is asked: pip install 'goalloc[metrics]'"
)
_GAUGES = {
    "heap_alloc": "Bytes in live blocks.",
    "heap_sys": "Bytes of address space of the heap.",
    "heap_idle": "Bytes in free spans.",
    "heap_inuse": "Bytes in spans in use.",
    "heap_released": "Bytes in free spans that are given back to the system.",
    "heap_inuse_released": "Bytes inside spans in use that are given back to the system.",
    "stack_inuse": "Bytes in frame stacks of threads.",
    "stack_sys": "Bytes from the system for frame stacks.",
    "mspan_sys": "Bytes from the system for span structures.",
    "mcache_sys": "Bytes from the system for caches.",
    "buck_hash_sys": "Bytes from the system for the heap profile.",
    "gc_sys": "Bytes from the system for bitmaps and arena maps.",
    "other_sys": "Bytes from the system for all else.",
    "sys": "Bytes from the system in all.",
}
_COUNTERS = {
    "mallocs": ("mallocs", "Blocks allocated."),
    "frees": ("frees", "Blocks freed."),
    "total_alloc": ("alloc_bytes", "Bytes allocated."),
    "scavenged_bytes": ("scavenged_bytes", "Bytes given back to the system."),
}


def metrics(request: Request) -> Response:
    try:
        from prometheus_client import CollectorRegistry
        from prometheus_client.exposition import choose_encoder
    except ImportError:
        raise HTTPError(501, _MISSING) from None
    registry = CollectorRegistry()
    registry.register(HeapCollector())
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    return Response(200, content_type, encode(registry))


class HeapCollector:
    """The heap of the process at each scrape; what is not known (in wrap mode) is left out."""

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily

        from .. import __version__, class_stats, memstats, mode, profile_rate

        about = {"version": __version__, "mode": mode() or "none"}
        yield InfoMetricFamily("goalloc", "The allocator and how it serves.", value=about)
        yield from _memstats(memstats())
        yield from _classes(class_stats())
        yield GaugeMetricFamily(
            "goalloc_profile_rate_bytes",
            "Mean bytes between two samples of the heap profile; 0: none.",
            value=profile_rate(),
        )

    def describe(self) -> list[Any]:
        """Nothing: a registry needs not ask the heap what it will be told."""
        return []


def _memstats(m: MemStats) -> Iterator[Any]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    for field, help in _GAUGES.items():
        if (value := getattr(m, field)) is not None:
            yield GaugeMetricFamily(f"goalloc_memstats_{field}_bytes", help, value=value)
    if m.heap_objects is not None:
        yield GaugeMetricFamily(
            "goalloc_memstats_heap_objects", "Live blocks.", value=m.heap_objects
        )
    for field, (name, help) in _COUNTERS.items():
        if (value := getattr(m, field)) is not None:
            yield CounterMetricFamily(f"goalloc_memstats_{name}", help, value=value)
    if m.scavenge_ns is not None:
        yield CounterMetricFamily(
            "goalloc_scavenge_seconds", "Time that the scavenger worked.", value=m.scavenge_ns / 1e9
        )


def _classes(classes: list[ClassStats]) -> Iterator[Any]:
    """Blocks by size class, 0 for those of whole pages, and by whether they may hold pointers."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    labels = ("size", "noscan")
    live = GaugeMetricFamily("goalloc_class_live", "Live blocks of a class.", labels=labels)
    slots = GaugeMetricFamily("goalloc_class_capacity", "Slots of a class.", labels=labels)
    mallocs = CounterMetricFamily("goalloc_class_mallocs", "Blocks allocated.", labels=labels)
    for c in classes:
        which = (str(c.elem_size), str(int(c.noscan)))
        if c.live is not None:
            live.add_metric(which, c.live)
            slots.add_metric(which, c.capacity)
        mallocs.add_metric(which, c.mallocs)
    if live.samples:
        yield live
        yield slots
    yield mallocs

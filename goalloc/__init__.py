"""Go's memory allocator under CPython: install it, look at it, or have a heap of your own.

>>> import goalloc
>>> goalloc.size_class_of(100).size
112

Everything is loaded when it is first used, so `import goalloc` costs next to nothing.
"""

__version__ = "0.1.0"

__all__ = [
    "Arena",
    "ArenaMap",
    "BySize",
    "CallSite",
    "ClassFragmentation",
    "ClassStats",
    "CodeProfile",
    "Fragmentation",
    "Frame",
    "Heap",
    "HeapError",
    "HeapProfile",
    "InstallError",
    "MemStats",
    "MemoryBill",
    "MemoryTimeline",
    "Moment",
    "Sample",
    "SizeClass",
    "Snapshot",
    "SnapshotDiff",
    "Span",
    "SpanMap",
    "Thread",
    "arenas",
    "check",
    "class_stats",
    "fragmentation",
    "free_os_memory",
    "get_include",
    "guard_rate",
    "heap_profile",
    "install",
    "installed",
    "memory_bill",
    "memory_limit",
    "memstats",
    "mode",
    "profile",
    "profile_rate",
    "read_profile",
    "record",
    "reset_peak",
    "scavenge_delay",
    "serve",
    "set_guard_rate",
    "set_memory_limit",
    "set_profile_rate",
    "set_scavenge_delay",
    "size_class_of",
    "size_classes",
    "snapshot",
    "span_of",
    "spans",
    "uninstall",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import web as web
    from .bill import MemoryBill
    from .errors import HeapError, InstallError
    from .fragments import CallSite, ClassFragmentation, Fragmentation
    from .heap import Heap
    from .hooks import install, installed, mode, uninstall
    from .maps import ArenaMap, SpanMap
    from .process import (
        arenas,
        check,
        class_stats,
        fragmentation,
        free_os_memory,
        get_include,
        guard_rate,
        memory_bill,
        memory_limit,
        memstats,
        scavenge_delay,
        set_guard_rate,
        set_memory_limit,
        set_scavenge_delay,
        snapshot,
        span_of,
        spans,
    )
    from .profiles.live import heap_profile, profile_rate, reset_peak, set_profile_rate
    from .profiles.piece import CodeProfile, profile
    from .profiles.pprof_read import read_profile
    from .profiles.profile import HeapProfile
    from .profiles.records import Frame, Sample, Thread
    from .serving import serve
    from .sizes import SizeClass, size_class_of, size_classes
    from .snapshots import Snapshot, SnapshotDiff
    from .stats import Arena, BySize, ClassStats, MemStats, Span
    from .timeline import MemoryTimeline, Moment, record

# Which module each name comes from.  Types are told above, where no import is paid for.
_HOME = {
    "_capi": "_C_API",
    "bill": "MemoryBill",
    "errors": "HeapError InstallError",
    "fragments": "CallSite ClassFragmentation Fragmentation",
    "heap": "Heap",
    "hooks": "install installed mode uninstall",
    "notebook": "load_ipython_extension unload_ipython_extension",
    "maps": "ArenaMap SpanMap",
    "process": (
        "arenas check class_stats fragmentation free_os_memory get_include guard_rate memory_bill "
        "memory_limit memstats scavenge_delay set_guard_rate set_memory_limit set_scavenge_delay snapshot "
        "span_of spans"
    ),
    "profiles.live": "heap_profile profile_rate reset_peak set_profile_rate",
    "profiles.piece": "CodeProfile profile",
    "profiles.pprof_read": "read_profile",
    "profiles.profile": "HeapProfile",
    "profiles.records": "Frame Sample Thread",
    "serving": "serve",
    "sizes": "SizeClass size_class_of size_classes",
    "snapshots": "Snapshot SnapshotDiff",
    "stats": "Arena BySize ClassStats MemStats Span",
    "timeline": "MemoryTimeline Moment record",
    "web": "web",  # all of it; not in __all__, since whoever wants all names serves nothing
}


if not TYPE_CHECKING:  # or a type checker would believe that any name is there

    from _thread import RLock as _RLock
    from os import register_at_fork as _register_at_fork

    # A fork waits while a part is loaded: its child would wait for ever for the thread that loads.
    _loading = _RLock()
    _register_at_fork(
        before=_loading.acquire,
        after_in_parent=_loading.release,
        after_in_child=_loading.release,
    )

    def __getattr__(name):
        for module, names in _HOME.items():
            if name in names.split():
                try:
                    with _loading:
                        from importlib import import_module

                        home = import_module(f"{__name__}.{module}")
                except ImportError as error:
                    from .unbuilt import told

                    raise told(error) from None
                value = globals()[name] = home if name == module else getattr(home, name)
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "web"} - {"TYPE_CHECKING"})

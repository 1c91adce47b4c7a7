"""Heaps to look at: the view that every heap gives, and private heaps of one's own."""

from __future__ import annotations

from . import _core
from .arguments import UNITS, must_be, whole_number
from .errors import HeapError
from .snapshots import Snapshot
from .stats import (
    STATES,
    MemStats,
    Span,
    arenas_from_core,
    classes_from_core,
    memstats_from_core,
    spans_from_core,
)
from .tables import ArenaTable, ClassTable, SpanTable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Literal, Self, SupportsIndex


class HeapView:
    """What can be asked of any heap.  Every answer is true of one moment."""

    def __init__(self, core: _core.Heap) -> None:
        self._core = core

    def memstats(self) -> MemStats:
        """Go's MemStats of this heap."""
        return memstats_from_core(*self._core.memstats())

    def class_stats(self) -> ClassTable:
        """The 134 span classes, size class << 1 | noscan: a list that shows as a table."""
        return ClassTable(classes_from_core(self._core.class_stats()))

    def spans(self, state: Literal["in_use", "manual", "free"] | None = None) -> SpanTable:
        """The spans by address, a list; only those in one state if it is given."""
        if state is not None and state not in STATES[1:]:
            raise ValueError(f"no span state {state!r}; there are {', '.join(STATES[1:])}")
        spans = self.snapshot().spans
        return SpanTable(s for s in spans if state is None or s.state == state)

    def span_of(self, address: SupportsIndex) -> Span | None:
        """The span that an address lies in, whatever its state."""
        found = self._core.span_of(address)
        return None if found is None else next(spans_from_core(*found))

    def arenas(self) -> ArenaTable:
        """The arenas by address, a list."""
        return ArenaTable(self.snapshot().arenas)

    def snapshot(self) -> Snapshot:
        """All of it, consistent at one moment."""
        memstats, classes, packed, bits, arenas, nanotime = self._core.snapshot()
        return Snapshot(
            memstats_from_core(*memstats),
            tuple(classes_from_core(classes)),
            tuple(arenas_from_core(arenas)),
            nanotime,
            packed,
            bits,
        )

    def check(self) -> None:
        """Walks the whole heap and proves every invariant; HeapError names the first that fails."""
        damage = self._core.check()
        if damage is not None:
            raise HeapError(damage)

    def free_os_memory(self) -> int:
        """Gives everything back to the system that can be; returns how many bytes that was.

        That is what caches and centrals keep, all free runs of pages, and the pages inside of spans
        in use that hold no live block.
        """
        return self._core.free_os_memory()

    def memory_limit(self) -> int | None:
        """The soft limit in bytes, or None."""
        return self._core.memory_limit()

    def set_memory_limit(self, nbytes: SupportsIndex | str | None) -> int | None:
        """Go's SetMemoryLimit: a soft limit; returns the former one.

        nbytes   bytes, or a size such as "512MiB", "cgroup", or None or "off" for none, but not 0
        It is on sys - heap_released - heap_inuse_released.  When more memory is needed than that,
        free runs are given back first; near the limit nothing spare is kept.  No allocation fails
        because of it.
        """
        return self._core.set_memory_limit(_limit_of(nbytes))


_LIMIT_MAX = 2**63 - 1


def _limit_of(nbytes: SupportsIndex | str | None) -> int | None:
    if nbytes is None:
        return None
    if isinstance(nbytes, str):
        limit = _limit_of_text(nbytes)
    else:
        limit = whole_number(nbytes, "nbytes", "a limit in bytes, a size such as '512MiB', or None")
    if limit is not None and limit <= 0:
        raise ValueError(f"not a size above 0 such as 512MiB, 'cgroup' or 'off': {nbytes!r}")
    if limit is not None and limit > _LIMIT_MAX:
        raise ValueError(must_be("nbytes", "below 2**63, or None for no limit", nbytes))
    return limit


def _limit_of_text(text: str) -> int | None:
    try:
        return _core.parse_memory_limit(text)
    except ValueError as error:
        raise ValueError(f"{error}; it takes {UNITS}") from None


class Heap(HeapView):
    """A private heap to learn and to test with.  Its blocks hold nothing alive.

    Addresses are ints.  Misuse raises HeapError, running out of memory MemoryError; the heap is as
    it was in both cases.  close() gives all its memory back; so does the end of the object, or of a
    `with` block.

    layout        'sparse': arenas of 64 MiB; 'linear': one reservation, as Go up to 1.10
    linear_bytes  size of that reservation; None: the default
    """

    def __init__(
        self,
        layout: Literal["sparse", "linear"] = "sparse",
        *,
        linear_bytes: SupportsIndex | None = None,
    ) -> None:
        if layout not in ("sparse", "linear"):
            raise ValueError(f"no layout {layout!r}; there are 'sparse' and 'linear'")
        super().__init__(_core.Heap(layout == "linear", linear_bytes))
        self._layout = layout

    @property
    def layout(self) -> str:
        return self._layout

    @property
    def closed(self) -> bool:
        return self._core.closed

    def malloc(
        self, n: SupportsIndex, noscan: bool = False, align: SupportsIndex | None = None
    ) -> int:
        """The address of n fresh bytes.

        noscan says that they will hold no pointers: requests below 16 bytes then share blocks.
        align is a power of two.
        """
        return self._core.malloc(n, noscan, align)

    def calloc(self, n: SupportsIndex, size: SupportsIndex = 1, noscan: bool = False) -> int:
        """The address of n * size bytes, all zero."""
        return self._core.calloc(n, size, noscan)

    def realloc(self, address: SupportsIndex, n: SupportsIndex, noscan: bool = False) -> int:
        """The address of n bytes that begin as the block did; as malloc if address is 0."""
        return self._core.realloc(address, n, noscan)

    def free(self, address: SupportsIndex) -> None:
        """Frees a block.  As in C, address 0 is no block and nothing is done."""
        self._core.free(address)

    def usable_size(self, address: SupportsIndex) -> int:
        """Bytes from address to the end of its slot."""
        return self._core.usable_size(address)

    def close(self) -> None:
        """Gives all memory back to the system.  From then on every method raises HeapError."""
        self._core.close()

    def _fail_os_call(self, k: int, *, onwards: bool = False) -> None:
        """Test door: the k-th next call to the operating system fails, and if onwards all later
        ones; 0: none does."""
        self._core._fail_os_call(k, onwards)

    def _os_calls(self) -> int:
        """Test door: calls made to the operating system so far."""
        return self._core._os_calls()

    def _memstats_slow(self) -> MemStats:
        """Test door: memstats() by walking every span."""
        return memstats_from_core(*self._core._memstats_slow())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        try:
            m = self.memstats()
        except HeapError:
            return f"<goalloc.Heap, {self._layout}, closed>"
        return (
            f"<goalloc.Heap, {self._layout}, {m.heap_objects} blocks, {m.heap_alloc} bytes live, "
            f"{m.heap_sys} bytes of heap>"
        )

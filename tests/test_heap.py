"""goalloc.Heap: what it gives, what it refuses, and how it ends."""

import ctypes
import gc
import weakref

import pytest

import goalloc
from goalloc import HeapError

SIZES = [0, 1, 7, 8, 15, 16, 17, 100, 1024, 1025, 8192, 32768, 32769, 100_000, 3 << 20]
LARGEST = goalloc.size_classes()[-1].size


@pytest.mark.parametrize("noscan", [False, True])
@pytest.mark.parametrize("n", SIZES)
def test_blocks_hold_what_is_written(heap, n, noscan):
    pattern = bytes(i & 0xFF for i in range(n))
    blocks = [heap.malloc(n, noscan) for _ in range(5)]
    assert len(set(blocks)) == 5
    for p in blocks:
        assert heap.usable_size(p) >= n
        ctypes.memmove(p, pattern, n)
    assert all(ctypes.string_at(p, n) == pattern for p in blocks)
    for p in blocks:
        heap.free(p)
    # The cache keeps the tiny block that it cuts parts from, as in Go.
    assert heap.memstats().heap_objects == (noscan and n < 16)


@pytest.mark.parametrize("n", SIZES)
def test_calloc_is_zero_on_used_memory(heap, n):
    p = heap.malloc(n)
    ctypes.memset(p, 0xFF, n)
    heap.free(p)
    assert ctypes.string_at(heap.calloc(n), n) == bytes(n)
    assert ctypes.string_at(heap.calloc(n, 3), 3 * n) == bytes(3 * n)


@pytest.mark.parametrize("old", SIZES)
def test_realloc_keeps_the_beginning(heap, old):
    pattern = bytes((i * 7) & 0xFF for i in range(old))
    for new in SIZES:
        p = heap.malloc(old)
        ctypes.memmove(p, pattern, old)
        q = heap.realloc(p, new)
        kept = min(old, new)
        assert ctypes.string_at(q, kept) == pattern[:kept]
        assert heap.memstats().heap_objects == 1
        heap.free(q)


def test_realloc_of_no_block_is_malloc(heap):
    assert heap.usable_size(heap.realloc(0, 100)) == 112


def test_free_of_no_block_does_nothing(heap):
    heap.free(0)
    assert heap.memstats().frees == 0


def test_c_alignment(heap):
    for n in range(1, 600):
        assert heap.malloc(n) % (16 if n >= 16 else 8) == 0


@pytest.mark.parametrize("align", [1, 2, 8, 16, 64, 512, 4096, 8192, 65536, 1 << 20])
def test_stated_alignment(heap, align):
    for n in (1, 3, 40, 5000, 40_000):
        for noscan in (False, True):
            p = heap.malloc(n, noscan, align=align)
            assert p % align == 0
            assert heap.usable_size(p) >= n


def test_tiny_blocks_share_a_slot_and_live_alone(heap):
    parts = [heap.malloc(1, noscan=True) for _ in range(16)]
    assert heap.memstats().heap_inuse == 8192
    assert max(parts) - min(parts) < 32
    for p in parts[:-1]:
        heap.free(p)
    assert heap.usable_size(parts[-1]) >= 1
    with pytest.raises(HeapError, match="double free"):
        heap.free(parts[0])
    heap.free(parts[-1])


def test_a_stated_alignment_packs_tiny_blocks_tighter(heap):
    """An 11-byte request may begin with a pointer, unless the caller says otherwise."""
    first = heap.malloc(3, noscan=True, align=1)
    assert heap.malloc(11, noscan=True, align=1) == first + 3


def test_large_blocks_are_page_runs(heap):
    p = heap.malloc(LARGEST + 1)
    span = heap.span_of(p)
    assert (span.size_class, span.nelems, span.start, span.npages) == (0, 1, p, 5)


# ---- misuse -------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [8, 100, 2048, 32768, 100_000])
@pytest.mark.parametrize("operation", ["free", "realloc"])
def test_misuse_is_named_and_harmless(heap, n, operation):
    def misuse(address):
        with pytest.raises(HeapError) as caught:
            heap.free(address) if operation == "free" else heap.realloc(address, 5)
        return str(caught.value)

    again = {"free": "double free of", "realloc": "realloc of freed"}[operation]
    keep, gone = heap.malloc(n), heap.malloc(n)
    heap.malloc(n)
    heap.free(gone)
    before = heap.memstats()
    assert misuse(gone).startswith(f"{again} {gone:#x}")
    assert misuse(keep + 1).startswith(f"{operation} of interior pointer {keep + 1:#x}")
    assert misuse(16).startswith(f"{operation} of foreign pointer 0x10")
    mine = ctypes.create_string_buffer(100)
    outside = ctypes.addressof(mine)
    assert misuse(outside).startswith(f"{operation} of foreign pointer {outside:#x}")
    assert heap.memstats() == before
    heap.check()


def test_a_block_of_another_heap_is_foreign(heap):
    with goalloc.Heap() as other:
        p = other.malloc(64)
        with pytest.raises(HeapError, match="^free of foreign pointer"):
            heap.free(p)
        with pytest.raises(HeapError, match="foreign pointer"):
            heap.usable_size(p)


@pytest.mark.parametrize(
    "call, error",
    [
        (lambda h: h.malloc(-1), ValueError),
        (lambda h: h.malloc("1"), TypeError),
        (lambda h: h.malloc(1.0), TypeError),
        (lambda h: h.malloc(1, align=3), ValueError),
        (lambda h: h.malloc(1, align=0), ValueError),
        (lambda h: h.calloc(-1), ValueError),
        (lambda h: h.free(-1), ValueError),
        (lambda h: h.free(1 << 64), ValueError),
        (lambda h: h.free(None), TypeError),
        (lambda h: h.realloc(8, -1), ValueError),
        (lambda h: h.usable_size(0), ValueError),
        (lambda h: h.spans("live"), ValueError),
        (lambda h: h.span_of("x"), TypeError),
    ],
)
def test_bad_arguments(heap, call, error):
    with pytest.raises(error):
        call(heap)


@pytest.mark.parametrize("layout", ["", "Sparse", None, 1])
def test_bad_layout(layout):
    with pytest.raises(ValueError, match="layout"):
        goalloc.Heap(layout)


# ---- out of memory ------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1 << 46, (1 << 63) - 1, 1 << 63, 1 << 64, 1 << 100])
def test_impossible_sizes(heap, n):
    for call in (
        lambda: heap.malloc(n),
        lambda: heap.calloc(n),
        lambda: heap.calloc(n, n),
        lambda: heap.malloc(1, align=1 << 47),
    ):
        with pytest.raises(MemoryError):
            call()
    p = heap.malloc(10)
    with pytest.raises(MemoryError):
        heap.realloc(p, n)
    assert heap.usable_size(p) == 16


def churn(heap):
    """Blocks of many classes, some freed, some resized: reaches every place that asks for memory."""
    live = [heap.malloc(n, noscan=n % 3 == 0) for n in range(1, 40_000, 997) for _ in range(3)]
    for p in live[::2]:
        heap.free(p)
    live = live[1::2]
    for i, p in enumerate(live):
        live[i] = heap.realloc(p, 50_000)
    live.append(heap.malloc(5 << 20))
    for p in live:
        heap.free(p)


@pytest.mark.parametrize("onwards", [False, True])
@pytest.mark.parametrize("layout", ["sparse", "linear"])
def test_every_os_call_may_fail(layout, onwards):
    """The k-th call fails, for every k that the work makes: MemoryError, and a heap that is whole."""
    k = 0
    while True:
        k += 1
        with goalloc.Heap(layout) as heap:
            start = heap._os_calls()
            heap._fail_os_call(k, onwards=onwards)
            failed = False
            try:
                churn(heap)
            except MemoryError:
                failed = True
            reached = heap._os_calls() - start >= k
            heap._fail_os_call(0)
            heap.check()
            churn(heap)
            heap.check()
        if not reached:
            assert not failed
            break
    assert k > 3


# ---- the end ------------------------------------------------------------------------------------


def test_a_closed_heap_refuses_everything():
    heap = goalloc.Heap()
    p = heap.malloc(10)
    heap.close()
    heap.close()
    assert heap.closed
    assert repr(heap) == "<goalloc.Heap, sparse, closed>"
    for call in (
        lambda: heap.malloc(1),
        lambda: heap.calloc(1),
        lambda: heap.realloc(p, 1),
        lambda: heap.free(p),
        lambda: heap.usable_size(p),
        heap.memstats,
        heap.class_stats,
        heap.spans,
        heap.arenas,
        heap.snapshot,
        heap.check,
        heap.free_os_memory,
        lambda: heap.span_of(p),
    ):
        with pytest.raises(HeapError, match="closed"):
            call()


def test_blocks_keep_nothing_alive():
    heap = goalloc.Heap()
    heap.malloc(1 << 20)
    gone = weakref.ref(heap)
    del heap
    gc.collect()
    assert gone() is None


def mapped_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * 4096


def test_ended_heaps_give_their_address_space_back():
    goalloc.Heap().malloc(100)
    before = mapped_bytes()
    for layout in ("sparse", "linear"):
        for _ in range(20):
            heap = goalloc.Heap(layout)
            heap.malloc(1 << 20)
            del heap
    assert mapped_bytes() - before < 64 << 20


def test_free_os_memory_gives_back_what_is_idle(heap):
    blocks = [heap.malloc(100_000) for _ in range(50)]
    for p in blocks:
        heap.free(p)
    heap.free_os_memory()
    m = heap.memstats()
    assert m.heap_released == m.heap_idle
    assert heap.free_os_memory() == 0
    p = heap.malloc(100_000)
    ctypes.memset(p, 1, 100_000)


def test_giving_back_may_be_refused(heap):
    """Half a page of ours may have been given back, and the system then refuse the rest."""
    blocks = sorted(heap.malloc(64) for _ in range(1000))
    first = heap.span_of(blocks[500])
    inside = [p for p in blocks if first.start <= p < first.end]
    assert len(inside) == first.nelems
    for p in inside[len(inside) // 2 :]:
        heap.free(p)
    heap.free_os_memory()
    assert heap.memstats().heap_inuse_released > 0
    for p in inside[: len(inside) // 2]:
        heap.free(p)
    heap._fail_os_call(1, onwards=True)
    assert heap.free_os_memory() == 0
    heap._fail_os_call(0)
    heap.check()
    assert heap.free_os_memory() > 0


def test_linear_layout_falls_back_to_sparse_arenas():
    with goalloc.Heap("linear", linear_bytes=64 << 20) as heap:
        blocks = [heap.malloc(7 << 20) for _ in range(20)]
        assert {a.linear for a in heap.arenas()} == {True, False}
        for p in blocks:
            heap.free(p)
        heap.check()


def test_repr_says_what_is_in_it(heap):
    heap.malloc(100)
    assert "1 blocks, 112 bytes live" in repr(heap)

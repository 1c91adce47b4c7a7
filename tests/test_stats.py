"""MemStats, ClassStats, Span and Arena: the equations, and that records are good records."""

import ctypes
import json
import pickle
import random

import pytest

import goalloc


@pytest.fixture
def busy(heap, seed):
    """A heap with live and freed blocks of all kinds; .live maps address to noscan."""
    rng = random.Random(seed)
    heap.live = {}
    heap.asked = 3000
    for _ in range(heap.asked):
        n = rng.choice([1, 5, 12, 16, 60, 200, 1000, 5000, 30_000, 70_000])
        noscan = rng.random() < 0.4
        heap.live[heap.malloc(n, noscan)] = noscan
    for p in rng.sample(sorted(heap.live), 1500):
        heap.free(p)
        del heap.live[p]
    return heap


def assert_memstats_add_up(m):
    assert m.sys == (
        m.heap_sys + m.stack_sys + m.mspan_sys + m.mcache_sys + m.buck_hash_sys + m.gc_sys
        + m.other_sys
    )  # fmt: skip
    assert m.heap_idle + m.heap_inuse == m.heap_sys
    assert m.mallocs - m.frees == m.heap_objects
    assert m.alloc == m.heap_alloc <= m.total_alloc
    assert m.heap_released <= m.heap_idle
    assert m.mspan_inuse <= m.mspan_sys and m.mcache_inuse <= m.mcache_sys
    assert sum(b.mallocs for b in m.by_size) <= m.mallocs
    assert all(b.frees <= b.mallocs for b in m.by_size)


def test_memstats_add_up(busy):
    m = busy.memstats()
    assert_memstats_add_up(m)
    assert m.mallocs == busy.asked
    assert [b.size for b in m.by_size] == [c.size for c in goalloc.size_classes()]


def test_memstats_equal_a_slow_walk(busy):
    assert busy.memstats() == busy._memstats_slow()


def test_heap_alloc_is_the_slots_of_live_blocks(heap):
    for n in (1, 100, 5000, 32768, 100_000):
        before = heap.memstats().heap_alloc
        p = heap.malloc(n)
        assert heap.memstats().heap_alloc - before == heap.usable_size(p)


def test_an_empty_heap_has_no_blocks(heap):
    m = heap.memstats()
    assert (m.heap_objects, m.heap_alloc, m.mallocs, m.heap_inuse) == (0, 0, 0, 0)
    assert_memstats_add_up(m)


def test_class_stats_add_up(busy):
    classes = busy.class_stats()
    assert [c.span_class for c in classes] == list(range(134))
    sizes = goalloc.size_classes()
    for c in classes:
        assert c.span_class == c.size_class << 1 | c.noscan
        assert c.capacity == c.live + c.free
        assert c.cached <= c.free
        assert c.mallocs - c.frees >= c.live
        assert c.elem_size == sizes[c.size_class].size
        assert c.span_bytes == sizes[c.size_class].span_bytes
        if c.size_class:
            assert c.live_bytes == c.live * c.elem_size
            assert c.free_bytes == c.free * c.elem_size
            assert c.tail_bytes == c.spans * sizes[c.size_class].tail_waste
    m = busy.memstats()
    assert sum(c.live_bytes for c in classes) == m.heap_alloc
    assert sum(c.live_bytes + c.free_bytes + c.tail_bytes for c in classes) == m.heap_inuse


def test_spans_hold_exactly_the_live_blocks(busy):
    spans = busy.spans()
    found = {p for s in spans for p in s.live_addresses()}
    # Tiny blocks share a slot; the cache keeps the one that it cuts parts from, as in Go.
    slots = {p // 16 * 16 if noscan and p not in found else p for p, noscan in busy.live.items()}
    assert slots <= found and len(found - slots) <= 1
    assert len(found) == busy.memstats().heap_objects


def test_spans_are_in_order_and_do_not_overlap(busy):
    spans = busy.spans()
    assert spans == sorted(spans, key=lambda s: s.start)
    for a, b in zip(spans, spans[1:]):
        assert a.end <= b.start
        assert not (a.end == b.start and a.state == b.state == "free"), "not coalesced"


def test_spans_add_up_to_the_class_stats(busy):
    by_class = {}
    for s in busy.spans("in_use"):
        by_class.setdefault(s.span_class, []).append(s)
        assert s.alloc_count == s.alloc_bits.bit_count() == len(s.live_addresses())
        assert s.alloc_bits < 1 << s.nelems
        assert s.occupancy == s.alloc_count / s.nelems
    for c in busy.class_stats():
        spans = by_class.get(c.span_class, [])
        assert c.spans == len(spans)
        assert c.live == sum(s.alloc_count for s in spans)
        assert c.capacity == sum(s.nelems for s in spans)


@pytest.mark.parametrize("state", ["in_use", "manual", "free"])
def test_spans_of_one_state(busy, state):
    assert busy.spans(state) == [s for s in busy.spans() if s.state == state]


def test_span_of_finds_the_span_of_every_byte(busy):
    for s in busy.spans():
        for address in (s.start, s.start + 1, s.end - 1):
            assert busy.span_of(address) == s
    assert busy.span_of(0) is None
    mine = ctypes.create_string_buffer(8)
    assert busy.span_of(ctypes.addressof(mine)) is None


def test_arenas_hold_the_spans(busy):
    arenas = busy.arenas()
    assert sum(a.pages_in_use for a in arenas) == sum(s.npages for s in busy.spans("in_use"))
    for s in busy.spans():
        assert any(a.start <= s.start and s.end <= a.start + a.size for a in arenas)
    assert {a.linear for a in arenas} == {busy.layout == "linear"}


# ---- records ------------------------------------------------------------------------------------


@pytest.fixture
def records(busy):
    return {
        "MemStats": [busy.memstats()],
        "ClassStats": busy.class_stats(),
        "Span": busy.spans(),
        "Arena": busy.arenas(),
        "SizeClass": goalloc.size_classes(),
        "BySize": busy.memstats().by_size,
    }


def test_records_pickle_sort_and_hash(records):
    for kind, values in records.items():
        copies = pickle.loads(pickle.dumps(values))
        assert copies == values
        assert {type(c).__name__ for c in copies} == {kind}
        assert sorted(values, reverse=True)[::-1] == sorted(values)
        assert len(set(values)) == len(set(copies)) > 0


def test_records_are_frozen(records):
    for values in records.values():
        name = values[0]._fields[0]
        with pytest.raises(AttributeError):
            setattr(values[0], name, 1)
        with pytest.raises(AttributeError):
            values[0].note = 1


def test_records_turn_into_plain_dicts(records):
    for values in records.values():
        for record in values[:3]:
            plain = record.as_dict()
            assert list(plain) == list(record._fields)
            assert json.loads(json.dumps(plain)) == plain


def test_reprs_are_one_clear_line(records):
    for kind, values in records.items():
        for value in values:
            assert repr(value).startswith(kind + "(")
            assert "\n" not in repr(value) and len(repr(value)) < 700

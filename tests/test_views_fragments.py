"""Fragmentation: by class it is counted, by call site it is shared out so that it adds up."""

import pickle
import random
from array import array
from math import exp, sqrt

import pytest
from htmlcheck import parsed, tables, text_of, titles

from goalloc.display.fragments import _where
from goalloc.fragments import fragmentation_of, held_bytes

SITES = [("load", "/srv/app/data.py", 12), ("Cache.put", "/srv/app/cache.py", 40),
         ("<b>eval</b>", "<string>", 1)]  # fmt: skip


def profile_of(blocks, rate=1):
    """What _core.profile_read(blocks=True) says of {address: (site, size)}."""
    samples = sorted(set(blocks.values()))
    return {
        "rate": rate,
        "functions": [(name, filename, 1) for name, filename, _ in SITES] + [("main", "m.py", 1)],
        "locations": [(i, line) for i, (_, _, line) in enumerate(SITES)] + [(len(SITES), 99)],
        "stacks": [(i, len(SITES)) for i in range(len(SITES))],
        "samples": [(site, size, rate, 2, 0, 9, 3, 6) for site, size in samples],
        "block_addresses": array("Q", blocks).tobytes(),
        "block_samples": array("I", map(samples.index, blocks.values())).tobytes(),
    }


@pytest.fixture
def scattered(heap, seed):
    """(heap, {address: (site, slot size)}): survivors of three sites among much that was freed."""
    rng = random.Random(seed)
    blocks = {}
    for _ in range(20_000):
        size = rng.choice([64, 128, 512, 2048])
        blocks[heap.malloc(size)] = rng.choice([0, 0, 0, 1, 2]), size
    for p in rng.sample(sorted(blocks), 19_000):
        heap.free(p)
        del blocks[p]
    big = heap.malloc(100_000)
    blocks[big] = 0, heap.usable_size(big)
    return heap, blocks


# ---- by class -----------------------------------------------------------------------------------


def test_classes_are_counted(scattered):
    heap, blocks = scattered
    f = heap.snapshot().fragmentation()
    stats = {c.span_class: c for c in heap.class_stats() if c.spans and c.size_class}
    assert {c.span_class for c in f.classes} == stats.keys()
    for c in f.classes:
        k = stats[c.span_class]
        spans = [s for s in heap.spans("in_use") if s.span_class == c.span_class]
        assert (c.spans, c.live_bytes) == (k.spans, k.live_bytes)
        assert c.sparse == sum(s.alloc_count * 4 < s.nelems for s in spans)
        assert sum(c.fullness) == c.spans
        needed = -(-k.live // spans[0].nelems)
        needless = sum(s.alloc_count > 0 for s in spans) - needed
        assert c.packable_bytes == needless * spans[0].nelems * c.elem_size
        assert c.held_bytes == sum(s.nelems * s.elem_size - s.alloc_count * s.elem_size
                                   for s in spans if s.alloc_count)  # fmt: skip
    assert f.held_bytes == sum(c.held_bytes for c in f.classes) > 0
    assert [c.held_bytes for c in f.classes] == sorted((c.held_bytes for c in f.classes))[::-1]


def test_what_is_given_back_is_not_held(scattered):
    heap, _ = scattered
    before = heap.snapshot().fragmentation()
    heap.free_os_memory()
    after = heap.snapshot().fragmentation()
    given = sum(c.released_bytes for c in after.classes)
    assert given == heap.memstats().heap_inuse_released > 0
    assert after.held_bytes < before.held_bytes
    assert sum(c.packable_bytes for c in after.classes) < sum(
        c.packable_bytes for c in before.classes
    )


def test_a_full_span_holds_nothing(heap):
    for _ in range(128 * 3):
        heap.malloc(64)
    (c,) = heap.snapshot().fragmentation().classes
    assert (c.held_bytes, c.packable_bytes, c.sparse, c.fullness[10]) == (0, 0, 0, 3)


@pytest.mark.parametrize("survivors, packable", [((5, 0), 0), ((3, 3), 6), ((6, 6), 0), ((1, 6), 0)])
def test_packing_frees_no_more_than_is_held(heap, survivors, packable):
    """A span without a live block needs no packing, and the tail behind the slots is no free slot."""
    size, nelems = 9472, 6
    spans = [[heap.malloc(size) for _ in range(nelems)] for _ in survivors]
    for blocks, kept in zip(spans, survivors):
        for p in blocks[kept:]:
            heap.free(p)
    (c,) = heap.snapshot().fragmentation().classes
    assert (c.spans, c.live_bytes) == (2, sum(survivors) * size)  # the central keeps an empty one
    assert c.held_bytes == sum(nelems - n for n in survivors if n) * size
    assert c.packable_bytes == packable * size <= c.held_bytes


def test_nothing_is_fragmented(heap):
    f = heap.snapshot().fragmentation()
    assert str(f) == "no spans: nothing is fragmented"
    parsed(f._repr_html_())


# ---- by call site -------------------------------------------------------------------------------


def by_hand(heap, blocks):
    """Site -> bytes held: each live block of a span has the same share of its free slots."""
    shares = dict.fromkeys(range(len(SITES)), 0.0)
    for p, (site, _) in blocks.items():
        span = heap.span_of(p)
        shares[site] += held_bytes(span) / span.alloc_count
    return shares


def test_sites_add_up_when_all_blocks_are_known(scattered):
    heap, blocks = scattered
    f = fragmentation_of(heap.snapshot(), profile_of(blocks))
    expected = by_hand(heap, blocks)
    assert {s[:3]: s.held_bytes for s in f.sites} == {
        SITES[i]: round(held) for i, held in expected.items()
    }
    assert sum(s.held_bytes for s in f.sites) == pytest.approx(f.held_bytes, abs=3)
    for s in f.sites:
        mine = [(p, size) for p, (site, size) in blocks.items() if SITES[site] == s[:3]]
        assert (s.samples, s.live_objects) == (len(mine), len(mine))
        assert s.live_bytes == sum(size for _, size in mine)
        assert s.spans == len({heap.span_of(p).start for p, _ in mine})
        assert s.stack == (s[:3], ("main", "m.py", 99))
    assert [s.held_bytes for s in f.sites] == sorted((s.held_bytes for s in f.sites))[::-1]


def test_samples_estimate_the_whole(scattered, seed):
    """Within five standard deviations of the sum that sampling each block by chance has."""
    heap, blocks = scattered
    rate, rng = 1024, random.Random(seed)
    expected, variance, sampled = 0.0, 0.0, {}
    for p, (site, size) in blocks.items():
        chance = 1 - exp(-size / rate)
        span = heap.span_of(p)
        share = held_bytes(span) / span.alloc_count
        expected += share
        variance += share**2 * (1 - chance) / chance
        if rng.random() < chance:
            sampled[p] = site, size
    f = fragmentation_of(heap.snapshot(), profile_of(sampled, rate))
    assert expected == pytest.approx(f.held_bytes)
    estimate = sum(s.held_bytes for s in f.sites)
    assert abs(estimate - expected) < 5 * sqrt(variance)
    assert sum(s.samples for s in f.sites) == len(sampled) < len(blocks)


def test_blocks_freed_since_are_left_out(scattered):
    heap, blocks = scattered
    profile = profile_of({**blocks, 0x1000: (0, 64), 1 << 46: (1, 64)})
    gone = sorted(blocks)[::2]
    for p in gone:
        heap.free(p)
        del blocks[p]
    f = fragmentation_of(heap.snapshot(), profile)
    assert sum(s.samples for s in f.sites) == len(blocks)


@pytest.mark.parametrize("by, keys", [
    ("function", {(name, filename, 0) for name, filename, _ in SITES}),
    ("file", {("", filename, 0) for _, filename, _ in SITES}),
])  # fmt: skip
def test_sites_by_function_and_file(scattered, by, keys):
    heap, blocks = scattered
    f = fragmentation_of(heap.snapshot(), profile_of(blocks), by)
    assert {s[:3] for s in f.sites} == keys


def test_no_such_sites(heap):
    with pytest.raises(ValueError, match="'module'"):
        fragmentation_of(heap.snapshot(), None, "module")


# ---- display ------------------------------------------------------------------------------------


def test_html(scattered):
    heap, blocks = scattered
    heap.free_os_memory()
    f = fragmentation_of(heap.snapshot(), profile_of(blocks))
    tree = parsed(f._repr_html_(), limit=80_000)
    classes, sites = tables(tree)
    assert [int(row[1].replace(",", "")) for row in classes[1:]] == [c.spans for c in f.classes]
    assert [row[-1].partition(" from ")[0] for row in sites[1:]] == [_where(s[:3]) for s in f.sites]
    callers = {row[-1].partition(" from ")[2] for row in sites[1:] if "app/" in row[-1]}
    assert callers == {"main (m.py:99)"}
    assert "<b>eval</b> (<string>:1)" in text_of(tree)
    assert any(title.endswith("bytes given back") for title in titles(tree))
    assert 'title="load (app/data.py:12)\nmain (m.py:99)"' in f._repr_html_()


def test_text(scattered):
    heap, blocks = scattered
    some = dict(sorted(blocks.items())[::2])
    text = str(fragmentation_of(heap.snapshot(), profile_of(some)))
    assert "load (app/data.py:12)" in text and "whose survivors hold it" in text
    assert f"estimated from {len(some):,} live samples" in text
    assert "that the profile does not know: a lower rate (goalloc.set_profile_rate), set before" in text
    assert "rough" not in text
    few = dict(sorted(blocks.items())[:50])
    assert "rough estimate" in str(fragmentation_of(heap.snapshot(), profile_of(few)))
    assert "heap profile is off" in str(heap.snapshot().fragmentation())


def test_many_sites_are_bounded(heap, monkeypatch):
    many = [(f"f{i}", "/x/y.py", i) for i in range(300)]
    monkeypatch.setattr(f"{__name__}.SITES", many)
    blocks = {heap.malloc(1024): (i, 1024) for i in range(300)}
    for p in list(blocks)[::3]:
        heap.free(p)
    f = fragmentation_of(heap.snapshot(), profile_of(blocks))
    assert len(f.sites) == 200
    assert len(tables(parsed(f._repr_html_()))[1]) == 13
    assert "All 200 call sites" in str(f)


def test_what_is_one_is_told_as_one(heap):
    block = heap.malloc(64)
    f = fragmentation_of(heap.snapshot(), profile_of({block: (0, 64)}))
    assert "\n1 call site: " in str(f) and " from 1 live sample (" in str(f)
    assert repr(f).endswith(" bytes held, 1 class, 1 call site)")
    none = fragmentation_of(heap.snapshot(), profile_of({}))
    assert "is not known: the heap profile has no live samples: a lower rate" in str(none)


def test_a_name_that_no_text_can_hold():
    assert _where(("f", "/tmp/caf\udce9.py", 3)) == "f (tmp/caf\\udce9.py:3)"


def test_it_is_a_good_record(scattered):
    heap, blocks = scattered
    f = fragmentation_of(heap.snapshot(), profile_of(blocks))
    assert pickle.loads(pickle.dumps(f)) == f
    assert f.as_dict()["sites"][0]["function"] == f.sites[0].function
    assert "\n" not in repr(f) and len(repr(f)) < 120


# ---- of a process -------------------------------------------------------------------------------

SURVIVORS = """
import goalloc
kept = [bytearray(700) for _ in range(30_000)][::50]
f = goalloc.fragmentation()
goalloc.check()
print(len(kept), sum(s.live_bytes for s in f.sites), f.held_bytes, sum(s.held_bytes for s in f.sites))
"""


def test_survivors_of_a_process(in_mode):
    """All blocks are known, so all that is held is explained, but for what came and went meanwhile."""
    found = in_mode(SURVIVORS, env={"GOALLOC_PROFILE_RATE": "1"})
    kept, live, held, known = map(int, found.split())
    assert live >= kept * 704
    assert known > 3_000_000
    assert 0.9 * held < known < 1.02 * held


LIBRARY = """
import json, goalloc
def load():
    return json.loads(json.dumps([{"id": i, "name": f"record {i}"} for i in range(20_000)]))
kept = load()[::50]
f = goalloc.fragmentation(by="function")
print(f.sites[0].function, len(kept))
print(f)
"""


def test_the_code_is_named_and_who_called_it(in_mode):
    """What the JSON decoder made lies scattered; who called it is said too."""
    found = in_mode(LIBRARY, env={"GOALLOC_PROFILE_RATE": "1"})
    assert found.startswith("JSONDecoder.raw_decode 400\n")
    assert "JSONDecoder.raw_decode (json/decoder.py) from load (<string>:" in found


def test_a_process_without_a_profile(in_mode):
    code = (
        "import goalloc; from goalloc import _core; _core.set_profile_rate(0)\n"
        "f = goalloc.fragmentation(); print(f.classes != (), f.sites)\n"
        "assert 'profile' in str(f) and f._repr_html_()"
    )
    found = in_mode(code, env={"GOALLOC_PROFILE_RATE": "0"})
    assert found == "True None\n"

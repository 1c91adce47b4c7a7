"""Arena and span maps: each page and each slot is drawn once, in the look that its state has."""

import random
import re

import pytest
from htmlcheck import boxes, parsed, shapes, text_of, titles

import goalloc
from goalloc.display.shading import GROUPS, group_of, shade
from goalloc.display.spanmap import chosen
from goalloc.maps import ArenaMap

PAGE = 8192
PITCH, LEFT = 7, 50  # of the picture of an arena


@pytest.fixture
def worn(heap, seed):
    """A heap with spans of all kinds, some nearly empty, with pages given back."""
    return wear(heap, seed, 2500)


def wear(heap, seed, nblocks):
    rng = random.Random(seed)
    blocks = [
        heap.malloc(rng.choice([16, 64, 100, 700, 1152, 3000, 9000, 30_000, 100_000]))
        for _ in range(nblocks)
    ]
    rng.shuffle(blocks)
    for p in blocks[: nblocks * 9 // 10]:
        heap.free(p)
    heap.free_os_memory()
    for _ in range(10):
        heap.malloc(20_000)
    return heap


def pages_drawn(tree):
    """Page -> css classes, from the rectangles alone."""
    drawn = {}
    rows = sorted({y for css, found in shapes(tree) if "q" not in css for _, y, _, _ in found})
    pitch = rows[1] - rows[0] if len(rows) > 1 else 14
    for css, found in shapes(tree):
        if "q" in css:
            continue  # holes: drawn over pages
        for x, y, width, _ in found:
            first = round((x - LEFT) / PITCH) + round(y / pitch) * 128
            for page in range(first, first + -(-round(width) // PITCH)):
                assert page not in drawn, "two spans on a page"
                drawn[page] = css
    return drawn


def test_every_page_of_every_span_is_drawn_once(worn):
    m = worn.snapshot().arena_map()
    drawn = pages_drawn(parsed(m._repr_html_()))
    expected = {}
    for span in m.spans:
        first = (span.start - m.arena.start) // PAGE
        for page in range(first, first + span.npages):
            expected[page] = span
    assert drawn.keys() == expected.keys()
    for page, span in expected.items():
        if span.state == "free":
            look = "cr" if span.scavenged else "cf"
        else:
            look = group_of(span.elem_size, span.size_class)[0]
        assert drawn[page][0] == look, span
        if span.state == "in_use" and span.npages == 1:
            assert " ".join(drawn[page]) == look + shade(span.occupancy)


def test_each_span_has_its_tooltip(worn):
    m = worn.snapshot().arena_map()
    told = titles(parsed(m._repr_html_()))
    assert len(told) == len(m.spans)
    for span, title in zip(m.spans, told):
        assert title.startswith(f"{span.start:#x}, {span.npages} page")
        if span.state == "in_use" and span.size_class:
            assert f"{span.alloc_count} of {span.nelems} x {span.elem_size} B" in title
        assert (f"{span.released_bytes} B given back" in title) == bool(span.os_released)


def test_what_is_given_back_inside_spans_is_hollow(worn):
    m = worn.snapshot().arena_map()
    tree = parsed(m._repr_html_())
    holes = [box for css, found in shapes(tree) if "q" in css for box in found]
    given = sum(s.os_released.bit_count() for s in m.spans)
    assert len(holes) == given > 0


def test_the_key_adds_up(worn):
    s = worn.snapshot()
    text = text_of(parsed(s.arena_map()._repr_html_()))
    assert f"{s.arenas[0].pages_in_use * PAGE / 2**20:.1f} MiB of" in text
    for _, _, name in GROUPS:
        assert name in text


def test_page_fullness(heap):
    """Of a span of several pages each has its own."""
    blocks = [heap.malloc(1152) for _ in range(7)]  # a span of one page, seven slots
    for p in blocks[:4]:
        heap.free(p)
    m = heap.snapshot().arena_map()
    span = heap.span_of(blocks[-1])
    (part,) = [part for _, s, part in m.pages() if s.start == span.start]
    assert part == pytest.approx(3 / 7)
    blocks = [heap.malloc(9472) for _ in range(6)]  # seven pages, six slots
    span = heap.span_of(blocks[0])
    for p in blocks[1:]:
        heap.free(p)
    parts = [part for _, s, part in heap.snapshot().arena_map().pages() if s.start == span.start]
    assert parts[0] == 1.0 and 0 < parts[1] < 1 and parts[2:] == [0.0] * 5


def test_a_full_arena_stays_small():
    """A notebook keeps every picture: with too many spans for a tooltip each, rows share them."""
    with goalloc.Heap() as heap:
        blocks = [heap.malloc(size) for size in (64, 48, 400, 64) * (64 << 20 >> 10)]
        for p in blocks[1::3]:
            heap.free(p)
        m = heap.snapshot().arena_map()
        html = m._repr_html_()
        tree = parsed(html, limit=150_000)
        assert len(m.spans) > 4000
        assert len(pages_drawn(tree)) == sum(
            min(s.npages, 8192 - (s.start - m.arena.start) // PAGE) for s in m.spans
        )
        assert len(str(m).splitlines()) <= 40
        told = re.findall(r"\+(\d+) MiB: ([\d,]+) spans? of 64 B noscan, ([\d,]+) of ([\d,]+) live", html)
        mine = [s for s in m.spans if s.elem_size == 64 and s.noscan]
        sums = [sum(int(row[i].replace(",", "")) for row in told) for i in (1, 2, 3)]
        assert sums == [len(mine), sum(s.alloc_count for s in mine), sum(s.nelems for s in mine)]


def test_a_worn_arena_of_many_sizes_is_bounded(heap, seed):
    """With too many sizes in each row for a tooltip each, kinds share them."""
    rng = random.Random(seed)
    sizes = [c.size for c in goalloc.size_classes()[1:]]
    blocks = [heap.malloc(rng.choice(sizes)) for _ in range(15_000)]
    rng.shuffle(blocks)
    for p in blocks[:10_000]:
        heap.free(p)
    m = heap.snapshot().arena_map()
    tree = parsed(m._repr_html_(), limit=300_000)
    told = [title for title in titles(tree) if title.startswith("+")]
    assert len(m.spans) > 1000 and len(told) == len(titles(tree)) <= 64 * 8
    assert len(pages_drawn(tree)) == sum(1 for _ in m.pages())
    assert re.search(r"^\+\d+ MiB: \d+ spans?, to 32 KiB, [\d,]+ of [\d,]+ live$", "\n".join(told), re.M)


def test_text_of_an_arena(heap, seed):
    m = wear(heap, seed, 700).snapshot().arena_map()
    rows = []
    shown = r"^ *\+[\d.]+ MiB \|(.{64})\|(?: and (\d+) more lines? of these)?$"
    for signs, more in re.findall(shown, str(m), re.M):
        rows += [signs] * (1 + int(more or 0))
    assert rows and len(set("".join(rows)) - set("░▒▓█■≡· ")) == 0
    assert "■" in str(m) and "given back inside spans" in str(m)
    end = max(s.end for s in m.spans) - m.arena.start
    assert len(rows) == -(-end // (1 << 20)) * 2
    for page, span, part in m.pages():
        sign = rows[page // 64][page % 64]
        if span.state == "free":
            assert sign == (" " if span.scavenged else "·")
        elif span.size_class == 0:
            assert sign == "■"


def test_lines_of_nothing_are_one_in_text():
    with goalloc.Heap() as heap:
        blocks = [heap.malloc(1 << 20) for _ in range(20)]
        full = str(heap.snapshot().arena_map()).splitlines()
        for p in blocks[1:-1]:
            heap.free(p)
        less = str(heap.snapshot().arena_map()).splitlines()
        (line,) = (line for line in less if "more lines of these" in line)
        assert re.fullmatch(r" +\+1(\.\d)? MiB \|([· ])\2{63}\| and \d+ more lines of these", line)
        count = int(re.search(r"and (\d+) more", line)[1])
        assert count > 10 and len(full) - len(less) >= count - 1
        assert not any("more line" in line for line in full)  # what is used is never folded


def test_one_more_line_is_said_of_one():
    with goalloc.Heap() as heap:
        blocks = [heap.malloc(1 << 20) for _ in range(6)]
        told = []
        for p in blocks[1:5]:
            heap.free(p)
            heap.free_os_memory()  # all at once, whenever the scavenger comes
            told += re.findall(r"and (\d+ more lines?) of these", str(heap.snapshot().arena_map()))
    assert "1 more line" in told and len(set(told)) > 1
    assert all(more.endswith("s") is (more != "1 more line") for more in told)


def test_several_arenas_and_a_span_across_them():
    with goalloc.Heap() as heap:
        heap.malloc(80 << 20)
        s = heap.snapshot()
        assert len(s.arenas) == 2
        drawn = [len(pages_drawn(parsed(s.arena_map(i)._repr_html_()))) for i in range(2)]
        assert sum(drawn) == sum(span.npages for span in s.spans)
        assert s.arena_map(s.arenas[1]).arena == s.arena_map(-1).arena == s.arenas[1]
        with pytest.raises(ValueError, match="no arena 2: there are 2"):
            s.arena_map(2)
        with pytest.raises(ValueError, match="not an arena of this snapshot"):
            s.arena_map(s.arenas[0]._replace(start=0))


def test_no_arena_to_map(heap):
    with pytest.raises(ValueError, match="no arenas"):
        heap.snapshot().arena_map()


# ---- spans --------------------------------------------------------------------------------------


def slots_drawn(tree, cell):
    """Slots by look, from the rectangles alone."""
    counts = {}
    for group in tree.iter("g"):
        for path in group.iter("path"):
            look = path.get("class").split()
            if "q" not in look:
                n = sum(round((w + 0.5) / cell) for _, _, w, _ in boxes(path))
                counts[look[0]] = counts.get(look[0], 0) + n
    return counts


@pytest.mark.parametrize("size, cell", [(16, 3.5), (64, 7), (700, 224 / 11), (3000, 224 / 8)])
def test_every_slot_is_drawn_once(worn, size, cell):
    m = worn.snapshot().span_map(size)
    assert 0 < len(m.spans)
    counts = slots_drawn(parsed(m._repr_html_()), cell)
    shown = [s for s in m.spans if f"{s.start:#x}" in m._repr_html_()]
    css = group_of(m.spans[0].elem_size, m.size_class)[0]
    assert counts[css] == sum(s.alloc_count for s in shown)
    assert sum(counts.values()) == sum(s.nelems for s in shown)


def test_slots_that_are_given_back():
    with goalloc.Heap() as heap:
        blocks = [heap.malloc(1024) for _ in range(8)]
        for p in blocks[1:]:
            heap.free(p)
        heap.free_os_memory()
        m = heap.snapshot().span_map(1024)
        assert slots_drawn(parsed(m._repr_html_()), 28) == {"c3": 1, "cf": 3, "cr": 4}
        assert "4.0 KiB given back" in str(m)


def test_spans_of_one_class_by_fullness(worn):
    m = worn.snapshot().span_map(60)
    assert {s.elem_size for s in m.spans} == {64}
    assert [s.alloc_count for s in m.spans] == sorted(
        (s.alloc_count for s in worn.spans("in_use") if s.elem_size == 64), reverse=True
    )
    rows = re.findall(r"^0x\w+ \|(.{64})\| +(\d+) of 128", str(m), re.M)
    assert [int(n) for _, n in rows] == [s.alloc_count for s in chosen(m.spans, 24)]
    for signs, n in rows:
        assert sum(sign != "·" for sign in signs) <= int(n)


def test_scan_and_noscan(heap):
    heap.malloc(64, noscan=True)
    heap.malloc(64)
    s = heap.snapshot()
    assert len(s.span_map(64).spans) == 2
    assert [x.noscan for x in s.span_map(64, noscan=True).spans] == [True]
    assert "noscan" in str(s.span_map(64, noscan=True)) and "noscan" in repr(s.span_map(64, True))


def test_many_spans_are_bounded_and_it_is_said():
    with goalloc.Heap() as heap:
        blocks = [heap.malloc(8) for _ in range(200_000)]
        for p in blocks[::2]:
            heap.free(p)
        m = heap.snapshot().span_map(8)
        html = m._repr_html_()
        parsed(html, limit=600_000)
        assert f"16 of {len(m.spans)} spans shown" in html
        assert f"24 of {len(m.spans)} spans shown" in str(m)
        assert len(str(m).splitlines()) == 26


def test_chosen_is_even_and_keeps_the_ends():
    assert chosen(range(5), 10) == [0, 1, 2, 3, 4]
    assert chosen(range(100), 4) == [0, 33, 66, 99]


def test_a_class_without_spans(heap):
    heap.malloc(64)
    m = heap.snapshot().span_map(1000)
    assert "no spans" in str(m)
    assert "no spans" in text_of(parsed(m._repr_html_()))


@pytest.mark.parametrize("size, why", [(0, "at least 1"), (32769, "large object")])
def test_no_class_to_map(heap, size, why):
    with pytest.raises(ValueError, match=why):
        heap.snapshot().span_map(size)


def test_an_arena_of_no_spans_is_drawn():
    arena = goalloc.Arena(0xC000000000, 64 << 20, 0, 0, False)
    m = ArenaMap(arena, ())
    assert pages_drawn(parsed(m._repr_html_())) == {}
    assert "address space only" in m._repr_html_()

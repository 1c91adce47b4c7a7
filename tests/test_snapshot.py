"""Snapshots: one moment, good manners, and text whose lines add up."""

import pickle
import re

import pytest

import goalloc
from goalloc.display.html import snapshot_html
from goalloc.display.ledger import ledger_lines


@pytest.fixture
def filled(heap):
    blocks = [heap.malloc(n, noscan=n % 2 == 0) for n in range(1, 50_000, 501)]
    for p in blocks[::3]:
        heap.free(p)
    return heap


def assert_lines_add_up(lines):
    """The lines one step deeper add up to the line above them."""
    for i, (depth, label, nbytes) in enumerate(lines):
        below = []
        for deeper, _, n in lines[i + 1 :]:
            if deeper <= depth:
                break
            if deeper == depth + 1:
                below.append(n)
        assert not below or sum(below) == nbytes, label


def test_a_snapshot_is_what_the_heap_says(filled):
    s = filled.snapshot()
    assert s.memstats == filled.memstats()
    assert list(s.classes) == filled.class_stats()
    assert list(s.spans) == filled.spans()
    assert list(s.arenas) == filled.arenas()


def test_a_snapshot_does_not_change_with_the_heap(filled):
    before = filled.snapshot()
    copy = pickle.dumps(before)
    filled.malloc(100)
    assert before == pickle.loads(copy)
    assert before != filled.snapshot()
    assert before.spans == pickle.loads(copy).spans


def test_snapshots_are_frozen_and_sort_by_time(filled):
    first, second = filled.snapshot(), filled.snapshot()
    assert sorted([second, first]) == [first, second]
    assert len({first, second, first}) == 2
    with pytest.raises(AttributeError):
        first.nanotime = 0
    with pytest.raises(AttributeError):
        del first.memstats
    with pytest.raises(AttributeError):
        first.note = 1


def test_diff_is_self_minus_other(filled):
    before = filled.snapshot()
    p = filled.malloc(100)
    filled.malloc(100_000)
    after = filled.snapshot()
    d = after.diff(before)
    assert d.memstats.heap_objects == 2
    assert d.memstats.heap_alloc == after.memstats.heap_alloc - before.memstats.heap_alloc
    assert d.memstats.by_size[goalloc.size_class_of(100).index].mallocs == 1
    assert [(c.size_class, c.live) for c in d.classes] == [(0, 1), (8, 1)]
    assert d.nanoseconds > 0
    assert pickle.loads(pickle.dumps(d)) == d
    assert "+2 blocks" in repr(d) and "+2 blocks" in str(d)
    filled.free(p)
    back = filled.snapshot().diff(after)
    assert back.memstats.heap_objects == -1
    assert "-1 blocks" in str(back)


def test_no_difference(filled):
    s = filled.snapshot()
    d = s.diff(s)
    assert d.classes == () and not any(d.memstats[:-2])


def test_as_dict_has_all_of_it(filled):
    s = filled.snapshot()
    plain = s.as_dict()
    assert plain["memstats"] == s.memstats.as_dict()
    assert len(plain["classes"]) == 134
    assert len(plain["spans"]) == len(s.spans) and len(plain["arenas"]) == len(s.arenas)


def test_ledger_adds_up(filled):
    s = filled.snapshot()
    assert_lines_add_up(ledger_lines(s.memstats, s.classes))
    assert_lines_add_up(ledger_lines(s.memstats))


def parsed(text):
    """(depth, label, bytes) of each line of a ledger as a reader sees it."""
    for line in text.splitlines():
        found = re.match(r"( *)(\S.*?)  +(-?[\d,]+) +[\d.-]+ (B|KiB|MiB|GiB)$", line)
        if found:
            indent, label, number, _ = found.groups()
            yield len(indent) // 2, label, int(number.replace(",", ""))


def test_text_adds_up_as_printed(filled):
    s = filled.snapshot()
    lines = list(parsed(str(s)))
    assert lines == ledger_lines(s.memstats, s.classes)
    assert list(parsed(str(s.memstats))) == ledger_lines(s.memstats)
    assert lines[0] == (0, "from the system", s.memstats.sys)


def test_what_is_given_back_inside_spans_is_shown(heap):
    survivors = [heap.malloc(64) for _ in range(10_000)][::1000]
    for p in {p for s in heap.spans() for p in s.live_addresses()} - {*survivors}:
        heap.free(p)
    heap.free_os_memory()
    s = heap.snapshot()
    given = s.memstats.heap_inuse_released
    assert given > 0
    assert given == sum(span.released_bytes for span in s.spans if span.state == "in_use")
    free = sum(span.released_bytes for span in s.spans if span.state == "free")
    assert free == s.memstats.heap_released
    assert (4, "given back", given) in parsed(str(s))
    assert f"{given:,}" in s._repr_html_()
    assert any(f", {t.released_bytes} bytes given back" in repr(t) for t in s.spans)


def test_text_names_the_busiest_classes(heap):
    for _ in range(1000):
        heap.malloc(2048)
    text = str(heap.snapshot())
    assert re.search(r"^2,048 scan +250 +1,000 +0 +2,048,000 +0$", text, re.M)


def test_html_has_the_numbers_and_needs_nothing_else(filled):
    s = filled.snapshot()
    html = s._repr_html_()
    assert html == snapshot_html(s)
    assert f"{s.memstats.sys:,}" in html
    assert html.count("<table>") == html.count("</table>") == 2
    assert "http" not in html and "<script" not in html


def test_dataframes(filled):
    pytest.importorskip("pandas")
    s = filled.snapshot()
    classes = s.to_dataframe()
    assert len(classes) == 134
    assert classes["live_bytes"].sum() == s.memstats.heap_alloc
    assert list(s.to_dataframe("spans")["start"]) == [span.start for span in s.spans]
    assert len(s.to_dataframe("arenas")) == len(s.arenas)


def test_unknown_dataframe(filled):
    with pytest.raises(ValueError, match="'blocks'"):
        filled.snapshot().to_dataframe("blocks")


def test_a_large_heap_is_copied_packed(heap):
    """Spans become objects only when they are asked for."""
    for _ in range(100_000):
        heap.malloc(64)
    s = heap.snapshot()
    assert s._spans is None
    assert sum(span.alloc_count for span in s.spans if span.state == "in_use") == 100_000
    assert s.spans is s.spans


def test_diff_takes_a_snapshot_only(heap):
    with pytest.raises(TypeError, match="takes a Snapshot, not int"):
        heap.snapshot().diff(3)

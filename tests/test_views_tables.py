"""The memory bill, ledgers, tables and differences: numbers that add up, bars as long as they say."""

import pickle

import pytest
from htmlcheck import boxes, parsed, shapes, tables, text_of, titles
from pychild import needs_replaceable
from test_snapshot import assert_lines_add_up
from test_snapshot import parsed as parsed_ledger

import goalloc
from goalloc.bill import MemoryBill, Resident, resident_from_smaps
from goalloc.display.classtable import _parts, in_use
from goalloc.display.ledger import class_name
from goalloc.tables import ClassTable


@pytest.fixture
def worn(heap):
    blocks = [heap.malloc(n % 3000 + 1, noscan=n % 3 == 0) for n in range(0, 90_000, 31)]
    for p in blocks[: len(blocks) * 2 // 3]:
        heap.free(p)
    for _ in range(20):
        heap.malloc(100_000)
    heap.free_os_memory()
    return heap


def number(text):
    return int(text.replace(",", ""))


# ---- the bill -----------------------------------------------------------------------------------

SMAPS = b"""\
55d0c0000000-55d0c0200000 r-xp 00000000 08:01 1234                       /usr/bin/python 3
Size:               2048 kB
Rss:                1000 kB
55d0c1000000-55d0c1200000 rw-p 00000000 00:00 0                          [heap]
Rss:                 200 kB
c000000000-c000400000 rw-p 00000000 00:00 0
Rss:                3000 kB
c000400000-c004000000 ---p 00000000 00:00 0                              [anon: GoHeap]
Rss:                  40 kB
7f0000000000-7f0000100000 rw-p 00000000 00:00 0
Rss:                 700 kB
7ffe00000000-7ffe00021000 rw-p 00000000 00:00 0                          [stack]
Rss:                  30 kB
7ffe00030000-7ffe00032000 r-xp 00000000 00:00 0                          [vdso]
Rss:                   4 kB
"""


def made_up(worn):
    arenas = [goalloc.Arena(0xC000000000, 64 << 20, 0, 0, False)]
    s = worn.snapshot()
    return MemoryBill(s.memstats, s.classes, resident_from_smaps(SMAPS.splitlines(), arenas))


def test_mappings_are_sorted_by_what_they_are(worn):
    r = made_up(worn).resident
    kib = [n // 1024 for n in r]
    assert kib == [4974, 3040, 1004, 200, 30, 700]
    assert r.rss == sum(r[1:])


def test_the_bill_adds_up(worn):
    bill = made_up(worn)
    lines = bill.lines()
    assert_lines_add_up(lines)
    found = {what: nbytes for _, what, nbytes in lines}
    m = bill.memstats
    assert found["in RAM"] == bill.resident.rss
    assert found["live blocks"] == m.heap_alloc
    assert found["span structures"] == m.mspan_sys
    assert found["programs, libraries, mapped files"] == 1004 << 10
    assert list(parsed_ledger(str(bill))) == lines
    rows = tables(parsed(bill._repr_html_()))[0][1:]
    assert [(row[0].strip(), number(row[1])) for row in rows] == [line[1:] for line in lines]
    assert m.heap_inuse_released > 0 and "given back inside spans" in str(bill)


def test_without_proc_the_bill_is_the_ledger(worn):
    bill = made_up(worn)._replace(resident=None)
    assert bill.lines()[0] == (0, "from the system", bill.memstats.sys)
    assert "unknown" in repr(bill)
    parsed(bill._repr_html_())


def test_a_bill_is_a_good_record(worn):
    bill = made_up(worn)
    assert pickle.loads(pickle.dumps(bill)) == bill
    assert bill.as_dict()["resident"]["brk"] == 200 << 10
    assert "\n" not in repr(bill)
    assert isinstance(bill.resident, Resident)


BILL = """
import goalloc
blocks = [bytearray(b"x" * 5000) for _ in range(4000)]
bill = goalloc.memory_bill()
found = {what: nbytes for _, what, nbytes in bill.lines()}
assert found["live blocks"] > 20_000_000 * (goalloc.mode() != "wrap")
assert bill.resident.rss > 20_000_000 and bill.resident.heap > 20_000_000
assert found["goalloc's heap"] <= bill.resident.rss
statm = goalloc.bill.rss()
assert abs(statm - bill.resident.rss) < 8_000_000, (statm, bill)
print(bill)
"""


def test_the_bill_of_a_process(in_mode):
    lines = list(parsed_ledger(in_mode(BILL)))
    assert_lines_add_up(lines)
    assert lines[0][1] == "in RAM"


@needs_replaceable
def test_the_bill_in_wrap_mode(python):
    code = (
        "import goalloc; goalloc.install('wrap'); bill = goalloc.memory_bill(); print(bill)\n"
        "assert bill._repr_html_() and goalloc.snapshot()._repr_html_()\n"
        "assert 'were asked for' in goalloc.class_stats()._repr_html_()\n"
        "assert goalloc.memstats()._repr_html_() and goalloc.snapshot()\n"
        "assert 'asked bytes' in str(goalloc.class_stats())\n"
        "a = goalloc.snapshot(); print(goalloc.snapshot().diff(a)._repr_html_()[:0])"
    )
    output = python.output("-c", code)
    assert_lines_add_up(list(parsed_ledger(output)))
    assert "wrap mode" in output


# ---- ledgers ------------------------------------------------------------------------------------


def test_memstats_in_a_notebook(worn):
    m = worn.memstats()
    tree = parsed(m._repr_html_(), limit=20_000)
    rows = tables(tree)[0][1:]
    assert [(row[0].strip(), number(row[1])) for row in rows] == [
        (label, nbytes) for _, label, nbytes in parsed_ledger(str(m))
    ]


def test_the_bars_of_a_ledger_are_to_scale(worn):
    s = worn.snapshot()
    tree = parsed(s.memstats._repr_html_())
    by_title = {path.find("title").text: boxes(path)[0] for path in tree.iter("path")}
    whole = by_title[f"from the system: {s.memstats.sys:,} bytes"]
    heap = by_title[f"heap: {s.memstats.heap_sys:,} bytes"]
    idle = by_title[f"idle: {s.memstats.heap_idle:,} bytes"]
    assert heap[2] / whole[2] == pytest.approx(s.memstats.heap_sys / s.memstats.sys, abs=0.01)
    in_use = by_title[f"in use: {s.memstats.heap_inuse:,} bytes"]
    assert in_use[0] == heap[0] and idle[0] == pytest.approx(in_use[0] + in_use[2], abs=0.2)


# ---- classes ------------------------------------------------------------------------------------


def test_class_stats_are_a_list_that_shows_as_a_table(worn):
    classes = worn.class_stats()
    assert isinstance(classes, list) and len(classes) == 134
    assert classes == list(worn.snapshot().classes)
    assert pickle.loads(pickle.dumps(classes)) == classes
    assert repr(classes) == repr(list(classes))
    assert len(str(classes).splitlines()) == len(in_use(classes)) + 2


def test_the_bars_of_classes_are_their_bytes(worn):
    classes = worn.class_stats()
    shown = in_use(classes)
    tree = parsed(classes._repr_html_())
    rows = {row[0].text: row for table in tree.iter("table") for row in table.findall("tbody/tr")}
    assert rows.keys() == {class_name(c) for c in shown}
    most = max(sum(_parts(c)) for c in shown)
    for c in shown:
        row = rows[class_name(c)]
        cells = ["".join(cell.itertext()) for cell in row]
        assert [number(n) for n in cells[1:5]] == [c.spans, c.live, c.free, c.cached]
        width = sum(w for path in row.iter("path") for _, _, w, _ in boxes(path))
        span_bytes = sum(_parts(c))
        assert width == pytest.approx(span_bytes / most * 260, abs=2.5)
    assert sum(sum(_parts(c)) for c in shown) == worn.memstats().heap_inuse


def test_small_classes_of_a_long_table_are_folded_away(worn):
    shown = in_use(worn.class_stats())
    tree = parsed(worn.class_stats()._repr_html_())
    (details,) = tree.iter("details")
    folded = {row.find("td").text for row in details.findall("table/tbody/tr")}
    most = max(sum(_parts(c)) for c in shown)
    assert folded == {class_name(c) for c in shown if sum(_parts(c)) < 0.02 * most} != set()
    assert len(tables(tree)[0]) - 1 + len(folded) == len(shown)
    assert "<details>" not in worn.snapshot()._repr_html_()


def test_text_bars_are_as_long_as_their_bytes(worn):
    classes = worn.class_stats()
    bars = [line.rsplit("%", 1)[-1].strip() for line in str(classes).splitlines()[1:-1]]
    longest = max(in_use(classes), key=lambda c: sum(_parts(c)))
    assert len(max(bars, key=len)) == 30
    assert len(bars[in_use(classes).index(longest)]) == 30


def test_no_classes_yet(heap):
    assert str(heap.class_stats()) == "no spans in use"
    assert "no spans in use" in text_of(parsed(heap.class_stats()._repr_html_()))


# ---- spans, arenas, sizes, single records -------------------------------------------------------


def test_spans_are_a_list_that_shows_as_a_table(worn):
    spans = worn.spans()
    assert isinstance(spans, list) and len(spans) > 40
    rows = tables(parsed(spans._repr_html_(), limit=60_000))[0][1:]
    assert [row[0] for row in rows] == [f"{s.start:#x}" for s in spans[:40]]
    assert f"the first 40 of {len(spans)} spans" in str(spans)
    assert len(str(spans).splitlines()) == 42
    few = worn.spans("free")
    assert "the first" not in str(few) and len(tables(parsed(few._repr_html_()))[0]) == len(few) + 1


def test_arenas_are_a_list_that_shows_as_a_table(worn):
    arenas = worn.arenas()
    assert isinstance(arenas, list)
    assert f"{arenas[0].start:#x}" in str(arenas)
    assert f"{arenas[0].pages_in_use:,} pages in use" in titles(parsed(arenas._repr_html_()))


def test_size_classes_show_as_a_table():
    sizes = goalloc.size_classes()
    assert isinstance(sizes, list)
    assert str(sizes).splitlines()[0].startswith("class  bytes/obj")
    rows = tables(parsed(sizes._repr_html_()))[0][1:]
    assert len(rows) == 66 and rows[7][:2] == ["8", "112"]


def test_any_record_shows_its_fields(worn):
    span = next(s for s in worn.spans("in_use") if s.os_released)
    for record in (span, worn.arenas()[0], goalloc.size_class_of(100), worn.class_stats()[3]):
        rows = tables(parsed(record._repr_html_(), limit=20_000))[0][1:]
        assert [row[0] for row in rows] == list(record._fields)
    assert ["start", hex(span.start)] in tables(parsed(span._repr_html_()))[0]


# ---- differences --------------------------------------------------------------------------------


def test_a_difference_in_red_and_blue(heap):
    blocks = [heap.malloc(1024) for _ in range(1000)]
    before = heap.snapshot()
    for p in blocks[100:]:
        heap.free(p)
    for _ in range(50):
        heap.malloc(30_000)
    d = heap.snapshot().diff(before)
    tree = parsed(d._repr_html_(), limit=60_000)
    looks = {}
    for path in tree.iter("path"):
        if path.find("title") is not None:
            looks[path.find("title").text] = path.get("class"), boxes(path)[0]
    grown = looks[f"32,768 scan: +{50 * 32768:,} live bytes"]
    shrunk = looks[f"1,024 scan: -{900 * 1024:,} live bytes"]
    assert grown[0] == "cm" and grown[1][0] == 95
    assert shrunk[0] == "cl" and shrunk[1][0] + shrunk[1][2] == pytest.approx(95, abs=0.1)
    assert 0 < shrunk[1][2] < grown[1][2] <= 95
    assert all(0 <= x and x + w <= 190.1 for _, (x, _, w, _) in looks.values())
    assert len(d.classes) == 2


def test_no_difference_is_drawn_too(heap):
    heap.malloc(100)
    s = heap.snapshot()
    tree = parsed(s.diff(s)._repr_html_())
    assert not [css for css, _ in shapes_with_titles(tree)]


def shapes_with_titles(tree):
    return [(p.get("class"), p) for p in tree.iter("path") if p.find("title") is not None]


def test_names_are_escaped():
    """No display trusts a text that it is given."""
    from goalloc.display.lists import record_html

    tree = parsed(record_html("<b>&", [("<i>", "<script>alert(1)</script>")]))
    assert "<script>alert(1)</script>" in text_of(tree)
    assert shapes(tree) == []


def test_an_empty_table_is_a_table():
    assert str(ClassTable()) == "no spans in use"
    parsed(ClassTable()._repr_html_())

"""What is goalloc's own in a profile, and what the cells of a notebook are called."""

import pytest
from profiledata import core_profile
from pychild import needs_replaceable

from goalloc import HeapProfile
from goalloc.profiles import VALUES
from goalloc.profiles.own import take_own
from goalloc.profiles.tables import COUNTS

FOLDER = take_own.__code__.co_filename.removesuffix("profiles/own.py")
CELL = "/tmp/ipykernel_1/2.py"


def core_profile_with_own():
    """The small program, which also reads profiles, and runs a cell of a notebook by the magic."""
    raw = core_profile()
    ours = len(raw["functions"])
    raw["functions"] += [
        ("heap_profile", FOLDER + "profiles/live.py", 40),
        ("_run", FOLDER + "notebook.py", 180),
        ("load", CELL, 1),
        ("theirs", FOLDER.removesuffix("goalloc/") + "goalloc_of_others/live.py", 7),
    ]
    first = len(raw["locations"])
    raw["locations"] += [(ours + i, 9) for i in range(4)]
    live, run, cell, theirs = range(first, first + 4)
    rows = raw["samples"]
    for stack in ((4, live, 0), (live, cell, run, 0), (cell, run, 0), (theirs, 0)):
        rows.append((len(raw["stacks"]), 4096, raw["rate"], 2, 0, 10, 4, 8))
        raw["stacks"].append(stack)
    return raw


def test_what_is_taken_out_is_counted():
    whole = HeapProfile._from_core(core_profile_with_own())
    raw = core_profile_with_own()
    left_out = take_own(raw)
    part = HeapProfile._from_core(raw, left_out=left_out)
    assert len(whole) - len(part) == 2
    for index, own in zip(COUNTS, left_out):
        assert part.total(index) + own == whole.total(index) and own > 0
    assert {s.stack[0].function for s in part.samples} >= {"load", "theirs"}
    raw = core_profile()
    assert take_own(raw) == (0,) * len(COUNTS) and raw == core_profile()


def test_every_display_says_what_is_left_out():
    p = HeapProfile._from_core(core_profile(), left_out=(9, 9 << 20, 3, 5 << 20, 4, 7 << 20))
    shown = {"inuse_space": "5.0 MiB", "inuse_objects": "3", "temporary_space": "4.0 MiB"}
    for index, amount in shown.items():
        told = f"; {amount} of goalloc's own left out"
        for text in (
            str(p.top(value=index)), p.top(value=index)._repr_html_().replace("&#x27;", "'"),
            str(p.tree(index)), p.flamegraph(index).data()["notes"][0],
        ):  # fmt: skip
            assert told in text, index
    assert p.total() == HeapProfile._from_core(core_profile()).total()


def test_sums_differences_and_files_keep_the_count():
    p = HeapProfile._from_core(core_profile(), left_out=(9, 900, 3, 300, 4, 400), cells={CELL: 3})
    q = HeapProfile._from_core(core_profile(), left_out=(19, 1900, 2, 200, 4, 400), cells={CELL: 5, "b": 1})
    assert q.diff(p).about.left_out == (10, 1000, -1, -100, 0, 0)
    assert "-100 B of goalloc's own left out" in str(q.diff(p).top())
    assert q.merge(p).about.left_out == (28, 2800, 5, 500, 8, 800)
    assert q.merge(HeapProfile._from_core(core_profile())).about.left_out == q.about.left_out
    assert dict(q.diff(p).about.cells) == {CELL: 5, "b": 1}
    for peak in (True, False):
        back = HeapProfile.from_pprof(q.to_pprof(peak=peak)).about
        assert (back.left_out, back.cells) == (q.about.left_out, q.about.cells)
    hostile = p.about._replace(left_out=(10**30, 2, 3, 4, 5, 6), cells=(("\n: 7: \x1b", 1 << 40),))
    back = HeapProfile.from_pprof(HeapProfile(p._tables, hostile).to_pprof()).about
    assert (back.left_out, back.cells) == ((), hostile.cells)


def test_a_file_says_what_is_left_out_in_words():
    """`go tool pprof` prints the comments of a file above each of its tables."""
    p = HeapProfile._from_core(core_profile(), left_out=(36_691, 6_520_793, 1, 1_668, 4, 400))
    told = (
        "goalloc: its own is left out: 36,691 blocks and 6,520,793 bytes allocated; "
        "1 block and 1,668 bytes in use; 4 blocks and 400 bytes at the peak"
    )
    data = p.to_pprof(compress=False)
    assert told.encode() in data
    for numbers, left_out in ((b"-36,69", (-3669, *p.about.left_out[1:])), (b"36,6 1", ())):
        back = HeapProfile.from_pprof(data.replace(b"36,691", numbers))
        assert back.about.left_out == left_out


def test_cells_are_shown_by_their_number():
    raw = core_profile_with_own()
    take_own(raw)
    p = HeapProfile._from_core(raw, cells={CELL: 3})
    assert any(row.name.endswith("load Cell [3]:9") for row in p.top(None, by="line"))
    assert any(row.name == "Cell [3]" for row in p.top(None, by="file"))
    assert "Cell [3]:1" in p.flamegraph().data()["places"]
    assert "load Cell [3]:9" in str(p.tree(by="line"))
    assert "load Cell [3]:9" in p.to_collapsed(by="line")
    assert "Cell [3]" in [f.get("file") for f in p.to_speedscope()["shared"]["frames"]]
    assert len(p.filter(file=r"Cell \[3\]")) == len(p.filter(file=CELL)) == 1
    assert CELL in {f.filename for s in p.samples for f in s.stack}
    for text in (str(p.top(None, by="line")), p._repr_html_(), str(p.tree(by="file"))):
        assert "ipykernel" not in text


def test_a_flame_graph_names_only_what_it_draws():
    raw = core_profile_with_own()
    take_own(raw)
    p = HeapProfile._from_core(raw)
    for part in (p, p.filter(thread=4002)):
        data = part.flamegraph().data()
        assert set(data["groups"]) | {len(data["names"]) - 1} == set(range(len(data["names"])))
        assert "goalloc.profiles.live.heap_profile" not in data["names"]
        assert len({len(data[name]) for name in ("names", "shorts", "places", "hues")}) == 1


READ = """
import goalloc
from goalloc import heap_profile
heap_profile().diff(heap_profile()).top()
goalloc.set_profile_rate(1)
def work(): return [bytearray(3000) for _ in range(50)]
kept = work()
profiles = [heap_profile() for _ in range(3)]
assert profiles[-1].about.left_out[1] > profiles[1].about.left_out[1] > 0
change = profiles[-1].diff(profiles[0])
assert not change.filter(module=r"^goalloc"), change.top()
assert change.about.left_out[3] > 0
assert "of goalloc's own left out" in str(change.top())
whole = heap_profile(own=True)
assert whole.about.left_out == () and whole.filter(module=r"^goalloc\\.profiles").total("alloc_space") > 0
assert whole.filter(function="work").total("inuse_objects") >= 100
for p in (profiles[0], whole):
    assert goalloc.HeapProfile.from_pprof(p.to_pprof(peak=True)).about.left_out == p.about.left_out
from goalloc.web.gotext import heap_text
assert "work" in heap_text() and "profiles/live.py" not in heap_text()
"""


def test_reading_a_profile_is_not_in_the_next(in_mode):
    in_mode(READ)


CELLS = """
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config
config = Config()
config.HistoryManager.enabled = False  # one file for all that run at a time
shell = InteractiveShell.instance(config=config)
def cell(text): return shell.run_cell(text, store_history=True)
cell("import goalloc; goalloc.install(); goalloc.set_profile_rate(1)")
cell("def load(n): return [bytearray(3000) for _ in range(n)]")
assert cell("%load_ext goalloc").success
assert cell("%%goalloc --rate 1 --view none\\ntable = load(100)").success
assert cell("p = goalloc.heap_profile(); f = goalloc.fragmentation()").success
p, f = shell.user_ns["p"], shell.user_ns["f"]
mine = p.filter(function="^load$")
assert mine.total("inuse_objects") >= 200, mine.top()
names = {row.name for row in mine.top(None, by="line")}
assert "__main__.load Cell [2]:1" in names and not any("/tmp/ipy" in name for name in names), names
assert "\u2514 Cell [4]:1" in str(mine.tree(by="line")), mine.tree(by="line")
assert "Cell [4]" in mine.flamegraph().data()["shorts"]
from goalloc.display.fragments import _where
told = {_where(site[:3]) for site in f.sites if site.function.split(".")[0] == "load"}
assert told and all(text.endswith("(Cell [2]:1)") for text in told), told
raw = {frame.filename for s in mine.samples for frame in s.stack if frame.function == "load"}
assert len(raw) == 1 and "Cell" not in raw.pop()
"""


@needs_replaceable
def test_cells_of_a_running_ipython(python):
    pytest.importorskip("IPython")
    python.output("-c", CELLS)


def test_values_of_what_is_left_out_have_all_names():
    p = HeapProfile._from_core(core_profile(), left_out=(9, 900, 3, 300, 4, 400))
    assert all("goalloc's own" in p._left_out(index) for index in VALUES)

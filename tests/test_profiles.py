"""Heap profiles: Go's golden values, sums that agree however they are made, and good manners."""

import json
import pickle

import pytest
from profiledata import RATE, core_profile, large_core_profile

import goalloc
from goalloc import Frame, HeapProfile, Thread
from goalloc.commands.summary import summary
from goalloc.profiles import VALUES
from goalloc.profiles.modules import go_package, module_of
from goalloc.profiles.tables import scale_sample

MAIN = "/srv/app/main.py"


@pytest.fixture
def profile():
    return HeapProfile._from_core(core_profile())


# --- values -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "count, nbytes, scaled",
    [
        # Go's own golden values, from the tests of its runtime/pprof.
        (4, 4096, (2050, 2099200)),
        (3, 3072, (1537, 1574400)),
        (1, 524288, (1, 829411)),
        (0, 4096, (0, 0)),
        (4, 0, (0, 0)),
    ],
)
def test_samples_are_scaled_as_in_go(count, nbytes, scaled):
    assert scale_sample(count, nbytes, RATE) == scaled
    size = nbytes // count if count else 16
    raw = core_profile(samples=[(0, size, RATE, 2, 0, count, 0, count)] if size else [])
    for sample in HeapProfile._from_core(raw).samples:
        assert (sample.alloc_objects, sample.alloc_space) == scaled
        assert (sample.inuse_objects, sample.inuse_space) == scaled
        assert (sample.peak_objects, sample.peak_space) == scaled


def test_at_rate_1_the_counts_are_the_truth():
    raw = core_profile(rate=1, samples=[(0, 48, 1, 2, 0, 1001, 1000, 17)])
    (sample,) = HeapProfile._from_core(raw).samples
    assert (sample.alloc_objects, sample.alloc_space) == (1001, 48048)
    assert (sample.inuse_objects, sample.inuse_space) == (1, 48)
    assert (sample.peak_objects, sample.peak_space) == (17, 816)
    assert (sample.temporary_objects, sample.temporary_space) == (1000, 48000)


def test_each_sample_keeps_the_rate_at_which_it_was_taken():
    rows = [(0, 1024, RATE, 2, 0, 4, 0, 4), (0, 1024, 1, 2, 0, 4, 0, 4)]
    profile = HeapProfile._from_core(core_profile(rate=1, samples=rows))
    assert [s.alloc_objects for s in profile.samples] == [2050, 4]


def test_no_rate_is_too_large_for_the_formula():
    raw = core_profile(samples=[(0, 16, 1 << 62, 2, 0, 1000, 0, 0)])
    (sample,) = HeapProfile._from_core(raw).samples
    assert sample.alloc_space == 2**63 - 1


def test_a_sample_says_what_who_and_where(profile):
    sample = profile.samples[0]
    assert sample.stack[0] == Frame(
        "JSONDecoder.decode", "/usr/lib/python3.11/json/decoder.py", 337, "json.decoder", 332
    )
    assert [f.function for f in sample.stack] == [
        "JSONDecoder.decode",
        "Store.load",
        "main",
        "<module>",
    ]
    assert (sample.size, sample.domain, sample.thread) == (4096, "obj", Thread(4001, "MainThread"))
    assert str(sample.stack[1]) == "store.Store.load (/srv/app/store.py:25)"
    assert json.loads(json.dumps(sample.as_dict()))["stack"][0]["line"] == 337


def test_total_is_the_sum_over_the_samples(profile):
    for index in VALUES:
        assert profile.total(index) == sum(getattr(s, index) for s in profile.samples) > 0


def test_names_that_are_wrong_are_told(profile):
    for call in (
        lambda: profile.total("live"),
        lambda: profile.top(value="bytes"),
        lambda: profile.tree("x"),
        lambda: profile.flamegraph("x"),
        lambda: profile.to_collapsed("x"),
    ):
        with pytest.raises(ValueError, match="no value '(live|bytes|x)'; there are alloc_objects"):
            call()
    with pytest.raises(ValueError, match="cannot sum by 'stack'; .* module, thread, size, domain$"):
        profile.top(by="stack")
    for call in (lambda: profile.tree(by="thread"), lambda: profile.to_collapsed(by="thread")):
        with pytest.raises(ValueError, match="'thread'; there are function, line, file, module$"):
            call()
    with pytest.raises(ValueError, match="cannot sort by 'name'"):
        profile.top(sort="name")


# --- top and tree -----------------------------------------------------------------------------


def by_hand(profile, key, index):
    """flat and cum of each key, summed sample by sample."""
    flat, cum = {}, {}
    for sample in profile.samples:
        value = getattr(sample, index)
        for frame_key in {key(frame) for frame in sample.stack}:
            cum[frame_key] = cum.get(frame_key, 0) + value
        flat[key(sample.stack[0])] = flat.get(key(sample.stack[0]), 0) + value
    return {k: (flat.get(k, 0), cum[k]) for k in cum if flat.get(k, 0) or cum[k]}


KEYS = {
    "function": lambda f: f.qualified,
    "line": lambda f: f"{f.qualified} {f.filename}:{f.line}" if f.filename else f.function,
    "file": lambda f: f.filename or f.function,
    "module": lambda f: f.module or f.function,
}


@pytest.mark.parametrize("by", KEYS)
@pytest.mark.parametrize("index", VALUES)
def test_top_is_what_a_sum_by_hand_gives(profile, by, index):
    top = profile.top(None, by=by, value=index)
    assert {row.name: (row.flat, row.cum) for row in top} == by_hand(profile, KEYS[by], index)
    flats = [row.flat for row in top]
    assert flats == sorted(flats, reverse=True) and sum(flats) == top.total
    assert top[len(top) - 1].sum_percent == pytest.approx(100)


SAMPLE_KEYS = {
    "thread": lambda s: str(s.thread),
    "size": lambda s: f"{s.size:,} B",
    "domain": lambda s: s.domain,
}


@pytest.mark.parametrize("by", SAMPLE_KEYS)
@pytest.mark.parametrize("index", VALUES)
def test_top_of_what_samples_have_besides_frames(profile, by, index):
    sums = {}
    for sample in profile.samples:
        name = SAMPLE_KEYS[by](sample)
        sums[name] = sums.get(name, 0) + getattr(sample, index)
    top = profile.top(None, by=by, value=index)
    expected = {name: (n, n) for name, n in sums.items() if n}
    assert {row.name: (row.flat, row.cum) for row in top} == expected and expected
    assert sum(row.flat for row in top) == top.total
    of_functions = sum(row.flat_error**2 for row in profile.top(None, value=index))
    assert sum(row.flat_error**2 for row in top) == pytest.approx(of_functions)
    assert f", by {by}\n" in str(top) and f">{by}</th>" in top._repr_html_()


def test_top_of_threads_by_name_and_of_what_is_not_known():
    threads = [(0, ""), (7, "pool"), (8, "pool"), (9, "")]
    rows = [(0, 64, 1, 3, thread, 1 + thread, 0, 0) for thread in range(len(threads))]
    profile = HeapProfile._from_core(core_profile(rate=1, threads=threads, samples=rows))
    blocks = [(row.name, row.flat) for row in profile.top(by="thread", value="inuse_objects")]
    assert blocks == [("pool", 5), ("thread 9", 4), ("<unknown>", 1)]
    assert [row.name for row in profile.top(by="domain")] == ["<unknown>"]
    told = summary(profile).partition("\nthread")[2].partition("\n\n")[0]
    names = [line.split("  ")[0] for line in told.splitlines()[1:]]
    assert names == ["pool", "thread 9", "<unknown>"]


def test_recursion_counts_once(profile):
    rows = {row.name: row for row in profile.top(None, value="alloc_objects")}
    recursive = sum(
        s.alloc_objects for s in profile.samples if "main" in {f.function for f in s.stack}
    )
    assert rows["main.main"].cum == recursive


def test_top_prints_as_pprof_does(profile):
    text = str(profile.top(2))
    first, head, *rows = text.splitlines()
    assert first == (
        "9.3 MiB (bytes in use), estimated from a sample every 512.0 KiB, by function; "
        "4 more not shown"
    )
    assert head == "    flat  flat %  sum %       cum  cum %"
    *rows, legend = rows
    assert [row.split()[-1] for row in rows] == ["json.decoder.JSONDecoder.decode", "frame>"]
    assert rows[0].startswith(" 7.5 MiB   80.8%  80.8%   7.5 MiB  80.8%  json")
    assert rows[1].startswith("~1.0 MiB") and legend.startswith("~ ")
    assert len({row.index("%") for row in rows}) == 1


@pytest.mark.parametrize("view", ["top", "tree"])
def test_a_table_is_equal_to_its_copy_and_to_no_other(profile, view):
    make = getattr(profile, view)
    one, copy, *others = make(), pickle.loads(pickle.dumps(make())), make(by="file"), make(value="alloc_space")
    assert one == copy and hash(one) == hash(copy) and {one, copy, *others} == {one, *others}
    assert one != getattr(profile.filter(domain="obj"), view)() and one != str(one)
    assert profile.top(1) != profile.top(2) and profile.top() != profile.tree()


def test_what_has_no_line_is_shown_without(profile):
    names = {row.name for row in profile.top(None, by="line")}
    assert "<no Python frame>" in names and "main.main /srv/app/main.py:12" in names
    (native,) = (s.stack[0] for s in profile.samples if s.domain == "raw")
    assert str(native) == "<no Python frame>"
    assert str(native._replace(filename="a.go")) == "<no Python frame> (a.go)"
    assert str(native._replace(filename="a.go", line=3)) == "<no Python frame> (a.go:3)"


def test_top_by_cum(profile):
    cums = [row.cum for row in profile.top(None, sort="cum")]
    assert cums == sorted(cums, reverse=True)


def test_top_as_data_and_as_html(profile):
    top = profile.top(1, value="alloc_objects")
    data = json.loads(json.dumps(top.as_dict()))
    assert data["value"] == "alloc_objects" and data["hidden"] == 6
    assert data["rows"][0]["name"] == top[0].name == "main.walk.<locals>.<lambda>"
    html = top._repr_html_()
    assert "main.walk.&lt;locals&gt;.&lt;lambda&gt;" in html and "<lambda>" not in html
    assert f"{top[0].flat:,}" in html


def walk(node):
    yield node
    for child in node:
        yield from walk(child)


@pytest.mark.parametrize("index", VALUES)
def test_tree_adds_up(profile, index):
    root = profile.tree(index).root
    assert root.total == profile.total(index) and root.name == "all"
    nodes = list(walk(root))
    for node in nodes:
        assert node.total == node.own + sum(child.total for child in node)
        assert [abs(c.total) for c in node] == sorted((abs(c.total) for c in node), reverse=True)
    assert sum(node.own for node in nodes) == root.total


def test_tree_prints_calls_below_their_callers(profile):
    text = str(profile.tree())
    assert [line[28:] for line in text.splitlines()[1:6]] == [
        "all",
        "├ main.<module>",
        "│ └ main.main",
        "│   └ store.Store.load",
        "│     └ json.decoder.JSONDecoder.decode",
    ]
    assert "... cut off after 2 lines" in profile.tree().to_text(lines=2)
    assert "(1 smaller)" in profile.tree().to_text(least=20)


def test_a_tree_so_many_levels_deep(profile):
    tree = profile.tree()
    whole = names_in(tree.to_text())
    assert max(map(indent, whole)) > 6
    for depth in (0, 1, 3, 100):
        assert names_in(tree.to_text(depth=depth)) == [n for n in whole if indent(n) <= 2 * depth]


def names_in(text):
    return [line.partition("%  ")[2] for line in text.splitlines()[1:]]


def indent(name):
    return len(name) - len(name.lstrip("├└│ "))


def test_tree_as_data(profile):
    nodes = json.loads(json.dumps(profile.tree().as_dict()))["nodes"]
    assert nodes[0]["parent"] is None and nodes[0]["total"] == profile.total()
    assert all(nodes[node["parent"]]["total"] >= node["total"] for node in nodes[1:])


# --- a good Python object ---------------------------------------------------------------------


def test_it_pickles_compares_and_is_frozen(profile):
    copy = pickle.loads(pickle.dumps(profile))
    assert copy == profile and hash(copy) == hash(profile) and copy is not profile
    assert copy.samples == profile.samples
    assert copy != profile.filter(domain="raw") and profile != 3
    with pytest.raises(AttributeError, match="frozen"):
        profile.about = None
    with pytest.raises(AttributeError, match="frozen"):
        del profile.about
    assert profile.samples is profile.samples
    assert {pickle.loads(pickle.dumps(s)) for s in profile.samples} == set(profile.samples)


def test_repr_is_one_clear_line(profile):
    assert repr(profile.top(2)) == "<Top: 2 of 6 by function, 9.3 MiB, bytes in use>"
    assert repr(profile.tree("alloc_objects")) == "<Tree: 9 calls, 69,236, blocks allocated>"
    assert repr(profile) == (
        "<HeapProfile: 11,419 blocks, 9,771,638 bytes in use, 6 samples, rate 524,288>"
    )
    assert repr(profile.diff(profile)).startswith("<HeapProfile difference: +0 blocks, +0 bytes")


def test_a_terminal_of_ipython_shows_the_text(profile):
    for shown in (profile.top(), profile.tree(), profile.flamegraph()):
        told = []
        printer = type("Printer", (), {"text": lambda self, text, told=told: told.append(text)})()
        shown._repr_pretty_(printer, False)
        assert told == [str(shown)]


def test_an_empty_profile_is_shown_with_its_reason():
    raw = core_profile(samples=[], stacks=[], locations=[], functions=[])
    empty = HeapProfile._from_core(raw, note="sampling is off")
    assert empty.samples == () and empty.note == "sampling is off" and len(empty) == 0
    for shown in (empty.top(), empty.tree(), empty.flamegraph()):
        assert "sampling is off" in str(shown) and "sampling is off" in shown._repr_html_()
    assert empty.to_collapsed() == ""
    assert HeapProfile.from_pprof(empty.to_pprof()).note == "sampling is off"


def test_what_was_dropped_is_never_silent():
    profile = HeapProfile._from_core(core_profile(dropped_samples=1234, truncated_stacks=7))
    read_back = HeapProfile.from_pprof(profile.to_pprof())
    for p in (profile, profile.filter(domain="obj"), read_back, profile.merge(read_back)):
        for shown in (p.top(), p.tree(), p.flamegraph()):
            for text in (str(shown), shown._repr_html_()):
                assert ",234 samples dropped" in text or "2,468 samples dropped" in text
                assert "samples had a stack too deep to keep whole" in text


# --- other tools ------------------------------------------------------------------------------


def test_collapsed_stacks(profile):
    lines = [line.rpartition(" ") for line in profile.to_collapsed().splitlines()]
    assert sum(int(value) for _, _, value in lines) == profile.total()
    assert lines[0][0] == "main.<module>;main.main;store.Store.load;json.decoder.JSONDecoder.decode"


def test_collapsed_names_cannot_break_lines():
    raw = core_profile()
    raw["functions"][0] = ("a;b 1\nmain 999\r", "x\n.py", 1)
    text = HeapProfile._from_core(raw).to_collapsed()
    for line in text.splitlines():
        stack, _, value = line.rpartition(" ")
        assert value.isdigit() and stack.split(";")[0] != "main 999"
    assert "a,b 1\\nmain 999\\r;main.main" in text


def test_speedscope(profile):
    document = json.loads(json.dumps(profile.to_speedscope("job")))
    assert document["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    assert document["name"] == "job" and document["activeProfileIndex"] == 0
    frames = document["shared"]["frames"]
    assert all(frame["name"] for frame in frames)
    assert [p["name"] for p in document["profiles"]][0] == "inuse_space"
    assert {p["name"] for p in document["profiles"]} == set(VALUES)
    for p in document["profiles"]:
        assert p["type"] == "sampled" and p["unit"] in ("bytes", "none")
        assert len(p["samples"]) == len(p["weights"]) and all(w > 0 for w in p["weights"])
        assert p["endValue"] - p["startValue"] == sum(p["weights"]) == profile.total(p["name"])
        assert all(0 <= i < len(frames) for stack in p["samples"] for i in stack)
    outermost = document["profiles"][0]["samples"][0][0]
    assert frames[outermost] == {"name": "main.<module>", "file": MAIN, "line": 70}


def test_speedscope_of_a_difference_has_no_negative_weight(profile):
    less = profile.filter(thread=4001)
    for d, way in ((profile.diff(less), "grown"), (less.diff(profile), "shrunk")):
        sums = {p["name"]: p["endValue"] for p in d.to_speedscope()["profiles"]}
        assert sums[f"inuse_space {way}"] == abs(d.total()) > 0
        assert sum(sums.values()) == sum(abs(d.total(index)) for index in VALUES)


def test_dataframe(profile):
    pytest.importorskip("pandas")
    frame = profile.to_dataframe()
    assert len(frame) == len(profile)
    for index in VALUES:
        assert frame[index].sum() == profile.total(index)
    by_function = frame.groupby("function")["inuse_space"].sum()
    assert by_function["json.decoder.JSONDecoder.decode"] == profile.top()[0].flat
    assert frame["stack"][0] == profile.samples[0].stack


# --- modules ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "filename, module",
    [
        ("/usr/lib/python3.13/json/decoder.py", "json.decoder"),
        ("/usr/lib/python3.13/json/__init__.py", "json"),
        ("/v/lib/python3.11/site-packages/a/b/c.py", "a.b.c"),
        ("/usr/lib/python3/dist-packages/apt/cache.py", "apt.cache"),
        ("/x/lib/python313.zip/abc.py", "abc"),
        ("/srv/app/main.py", "main"),
        ("main.py", "main"),
        ("<frozen importlib._bootstrap>", "importlib._bootstrap"),
        ("<string>", "<string>"),
        ("<stdin>", "__main__"),
        ("<python-input-3>", "__main__"),
        ("/tmp/ipykernel_812/3047.py", "__main__"),
        ("", ""),
    ],
)
def test_module_of_a_file(filename, module):
    assert module_of(filename) == module


def test_what_is_loaded_is_known_better():
    raw = core_profile()
    modules = {MAIN: "__main__", "/srv/app/store.py": "app.store"}
    names = [row.name for row in HeapProfile._from_core(raw, modules).top(None)]
    assert {"__main__.main", "app.store.Store.load", "json.decoder.JSONDecoder.decode"} <= {*names}


@pytest.mark.parametrize(
    "function, package",
    [
        ("main.main", "main"),
        ("net/http.(*Server).Serve", "net/http"),
        ("example.com/a/b.init.0.func1", "example.com/a/b"),
        ("memcpy", ""),
    ],
)
def test_package_of_a_go_function(function, package):
    assert go_package(function) == package


def test_a_large_profile_is_summed_without_an_object_per_sample(seed):
    profile = HeapProfile._from_core(large_core_profile(20_000, 30, seed))
    assert profile.top().total == profile.tree().root.total == profile.total()
    profile.to_pprof(), profile.to_collapsed(), profile.to_speedscope(), profile.flamegraph().data()
    assert profile._samples is None
    assert len(profile.samples) == 20_000


def test_profiles_of_files_need_no_core(python):
    code = (
        "import sys, goalloc.profiles.pprof_read, goalloc.profiles.flamegraph\n"
        "import goalloc.profiles.top, goalloc.profiles.export, goalloc.profiles.algebra\n"
        "print('goalloc._core' in sys.modules)"
    )
    assert python.output("-c", code) == "False\n"


def test_exports():
    assert goalloc.HeapProfile is HeapProfile and goalloc.Frame is Frame

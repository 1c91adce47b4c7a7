"""goalloc.profile(): what one piece of code did, and %%goalloc in IPython."""

import re

import pytest
from pychild import needs_replaceable

import goalloc

HEAD = """
import goalloc
goalloc.install()

def make(n, size):
    return [bytearray(size) for _ in range(n)]

def work():
    kept = make(100, 5000)
    for _ in range(3):
        gone = make(200, 5000)
        del gone
    return kept
"""


def test_exact_figures_of_what_is_alive_temporary_and_at_the_peak(in_mode):
    in_mode(
        HEAD
        + """
old = make(50, 5000)
with goalloc.profile(rate=1) as p:
    kept = work()
q = p.profile.filter(function="make", min_size=5000)
size = goalloc.size_class_of(5001).size
assert q.total("alloc_objects") == 700, q.total("alloc_objects")
assert q.total("inuse_objects") == 100
assert q.total("temporary_objects") == 600
assert q.total("peak_space") == 300 * size, (q.total("peak_space"), size)
assert not p.profile.is_diff and not p.profile.note
assert goalloc.profile_rate() == 524288
"""
    )


def test_stacks_begin_with_the_function_of_the_block(in_mode):
    in_mode(
        HEAD
        + """
def outer():
    with goalloc.profile(rate=1) as p:
        kept = work()
    return p

def caller():
    return outer()

p = caller()
firsts = {s.stack[-1].function for s in p.profile.samples}
assert firsts == {"outer"}, firsts
assert {f.function for s in p.profile.samples for f in s.stack} >= {"work", "make"}
assert "set_profile_rate" not in str(p.top(None))
"""
    )


def test_blocks_of_before_that_are_freed_are_told_apart(in_mode):
    in_mode(
        HEAD
        + """
goalloc.set_profile_rate(1)
old = make(50, 5000)
with goalloc.profile(rate=1) as p:
    del old
    kept = make(10, 5000)
size = goalloc.size_class_of(5001).size
assert 50 * size <= p.freed_space < 51 * size + 4096, (p.freed_space, size)
assert all(min(p.profile.values(index), default=0) >= 0 for index in goalloc_values)
""".replace("goalloc_values", "('alloc_space', 'inuse_space', 'peak_space', 'temporary_space')")
    )


def test_other_threads_are_seen_and_keep_their_stacks(in_mode):
    in_mode(
        HEAD
        + """
import threading
with goalloc.profile(rate=1) as p:
    t = threading.Thread(target=work, name="helper")
    t.start(); t.join()
q = p.profile.filter(function="^make$", min_size=5000)
assert q.total("alloc_objects") == 700
assert any(f.function == "Thread.run" for s in q.samples for f in s.stack)
"""
    )


def test_an_exception_ends_it_well_and_rates_are_put_back(in_mode):
    in_mode(
        HEAD
        + """
goalloc.set_profile_rate(77777)
p = goalloc.profile()
try:
    with p:
        work()
        raise KeyError("mine")
except KeyError:
    pass
assert p.profile.total("alloc_space") > 0
assert goalloc.profile_rate() == 77777
with goalloc.profile() as p:
    try:
        with p:
            pass
    except RuntimeError as error:
        assert "in use already" in str(error)
    else:
        raise SystemExit("one in itself")
assert goalloc.profile_rate() == 77777 and p.profile is not None
for bad in (0, -5):
    try:
        goalloc.profile(bad)
    except ValueError:
        pass
    else:
        raise SystemExit("bad rate taken")
unfinished = goalloc.profile()
try:
    unfinished.profile
except RuntimeError:
    pass
"""
    )


def test_pieces_in_each_other(in_mode):
    """Each is told what happened while it ran, also the peak: before, in or after the inner one."""
    in_mode(
        HEAD
        + """
size = goalloc.size_class_of(5001).size

def peaks(p):
    q = p.profile.filter(function="^make$", min_size=5000)
    return q.total("alloc_objects"), q.total("inuse_objects"), q.total("peak_space") // size

def spike(n):
    gone = make(n, 5000)

def outer(before, inside, after):
    with goalloc.profile(rate=1) as first:
        spike(before)
        kept = make(10, 5000)
        with goalloc.profile(rate=4096) as second:
            spike(inside)
        with goalloc.profile(rate=1) as third:
            pass
        spike(after)
    assert goalloc.profile_rate() == 524288
    assert first.profile.rate == second.profile.rate == 1 and not first.profile.about.mixed_rates
    return [peaks(p) for p in (first, second, third)]

assert outer(300, 100, 50) == [(460, 10, 300), (100, 0, 100), (0, 0, 0)]
assert outer(100, 300, 50) == [(460, 10, 310), (300, 0, 300), (0, 0, 0)]
assert outer(100, 50, 300) == [(460, 10, 310), (50, 0, 50), (0, 0, 0)]
with goalloc.profile(rate=8192) as first:
    with goalloc.profile(rate=1) as second:
        kept = make(100, 5000)
assert first.profile.about.mixed_rates and not second.profile.about.mixed_rates
assert "of mixed sampling rates" in str(first)
assert first.profile.filter(function="^make$", min_size=5000).total("inuse_objects") == 100
"""
    )


def test_pieces_in_two_threads_overlap(in_mode):
    in_mode(
        HEAD
        + """
import threading
goalloc.set_profile_rate(99999)
begun, ended = threading.Event(), threading.Event()

def other():
    with goalloc.profile(rate=1) as p:
        begun.set()
        ended.wait()
        found.append(make(7, 5000))
    found.append(p)

found = []
t = threading.Thread(target=other)
with goalloc.profile(rate=1) as first:
    t.start()
    begun.wait()
    kept = make(5, 5000)
ended.set()
t.join()
assert goalloc.profile_rate() == 99999
counts = [p.profile.filter(function="^make$", min_size=5000).total("inuse_objects") for p in (first, found[1])]
assert counts == [5, 12], counts
"""
    )


def test_a_decorated_function_is_measured_call_by_call(in_mode):
    """Also while it calls itself, is called by others, and raises; stacks begin with the function."""
    in_mode(
        HEAD
        + """
import threading
p = goalloc.profile(rate=1)

@p
def load(n, deeper=0, *, fail=False):
    "Loads."
    kept = make(n, 5000)
    if deeper:
        load(n, deeper - 1)
        inner.append(blocks())
    if fail:
        raise KeyError("mine")
    return kept

def blocks():
    return p.profile.filter(function="^make$", min_size=5000).total("alloc_objects")

inner = []
assert (load.__name__, load.__doc__, load.code_profile) == ("load", "Loads.", p)
assert len(load(7)) == blocks() == 7
assert {s.stack[-1].function for s in p.profile.samples} == {"load"}, p.top(None)
load(9)
assert blocks() == 9 and p.seconds > 0
load(2, deeper=2)
assert inner == [2, 4] and blocks() == 6, (inner, blocks())
try:
    load(3, fail=True)
except KeyError:
    assert blocks() == 3
t = threading.Thread(target=load, args=(5,))
t.start(); t.join()
assert blocks() == 5 and goalloc.profile_rate() == 524288

class Store:
    @goalloc.profile(rate=1)
    def fill(self, n):
        self.rows = make(n, 5000)

store = Store()
store.fill(4)
p = Store.fill.code_profile
assert blocks() == 4 and len(store.rows) == 4

@goalloc.profile(rate=1)
def outer():
    with goalloc.profile(rate=1) as inside:
        kept = make(2, 5000)
    return inside

assert outer().profile.total("alloc_space") >= 10_000
own = goalloc.heap_profile().filter(function="^(load|Store.fill)$").filter(function="^make$", min_size=5000)
assert own.total("alloc_objects") == 7 + 9 + 6 + 3 + 5 + 4  # the program's, though goalloc calls it
"""
    )


@pytest.mark.parametrize("wrong", ["3", "list", "generator", "coroutine", "agenerator"])
def test_what_cannot_be_measured_by_the_call_is_no_function_to_decorate(wrong):
    def generator():
        yield

    async def coroutine(): ...

    async def agenerator():
        yield

    with pytest.raises(TypeError, match="decorates functions" if wrong in ("3", "list") else "by `with"):
        goalloc.profile()(eval(wrong))


def test_the_decorator_has_parentheses():
    with pytest.raises(TypeError, match=r"goalloc\.profile\(\), with parentheses"):

        @goalloc.profile
        def function(): ...


def test_without_goalloc_in_place_it_says_so(python):
    python.output(
        "-c",
        """
import goalloc
try:
    with goalloc.profile():
        pass
except goalloc.InstallError as error:
    assert "install()" in str(error)
else:
    raise SystemExit("nothing said")
"""
    )


def test_figures_add_up_in_text_and_html(in_mode):
    out = in_mode(
        HEAD
        + """
with goalloc.profile(rate=1) as p:
    kept = work()
total = p.profile.total
assert total("alloc_space") == total("inuse_space") + total("temporary_space")
print(p)
html = p._repr_html_()
assert "This code" in html and "goalloc-flame" in html and "work" in html
assert "goalloc-flame" not in p.to_html("top")
try:
    p.to_html("nothing")
except ValueError as error:
    print(error)
"""
    )
    assert re.search(r"allocated +3\.\d MiB in 1,4\d\d blocks", out), out  # objects, and what they hold
    assert "no view 'nothing'; there are all, top, tree, flame, none" in out


# ---- IPython ------------------------------------------------------------------------------------

SHELL = """
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
shell = InteractiveShell.instance()
def cell(text):
    with capture_output() as seen:
        result = shell.run_cell(text)
    texts = [o.data.get("text/plain", "") for o in seen.outputs]
    pages = [o.data.get("text/html", "") for o in seen.outputs]
    return result, seen.stdout, texts, pages
"""


@pytest.fixture(scope="module")
def ipython():
    return pytest.importorskip("IPython")


@needs_replaceable
def test_the_extension_installs_goalloc_and_profiles_cells(ipython, python):
    python.output(
        "-c",
        SHELL
        + '''
result, told, texts, pages = cell("%load_ext goalloc")
assert "import mode" in told, told
import goalloc
assert goalloc.mode() == "import"
cell("""
def load(n):
    return [bytearray(3000) for _ in range(n)]
""")
result, told, texts, pages = cell("""%%goalloc --rate 1 -n 3 -o measured
table = load(400)
print("printed")
len(table)
""")
assert result.success, result
assert "printed" in told
assert shell.user_ns["measured"].profile.filter(function="load").total("inuse_objects") >= 400
assert len(shell.user_ns["table"]) == 400
assert any("alive at the end" in text and "load" in text for text in texts), texts
assert any("goalloc-flame" in page for page in pages)
number = shell.run_cell("%%goalloc -r 1 -v none -o numbered\\nx = load(9)", store_history=True).execution_count
assert f"Cell [{number}]" in str(shell.user_ns["numbered"].tree()), (number, shell.user_ns["numbered"].tree())
names = {s.stack[-1].function for s in shell.user_ns["measured"].profile.filter(function="load").samples}
assert names == {"<module>"}, names        # the cell, not what runs IPython
names = {f.function for s in shell.user_ns["measured"].profile.samples for f in s.stack}
assert not any("run_cell" in name for name in names), names
result, told, texts, pages = cell("%goalloc")
assert result.success and "in RAM" in str(result.result)
for view in ("profile", "classes", "map", "fragmentation"):
    result, *_ = cell(f"%goalloc {view}")
    assert result.success and result.result is not None, view
'''
    )


@needs_replaceable
def test_a_cell_that_fails_and_bad_options_leave_all_as_it_was(ipython, python):
    python.output(
        "-c",
        SHELL
        + '''
cell("%load_ext goalloc")
import goalloc
rate = goalloc.profile_rate()
result, told, texts, pages = cell("""%%goalloc
block = bytearray(100_000)
1 / 0
""")
assert isinstance(result.error_in_exec, ZeroDivisionError)
assert any("alive at the end" in text for text in texts)
assert goalloc.profile_rate() == rate
for line in ("%%goalloc --rate nonsense", "%%goalloc --view nothing", "%%goalloc -o 1x",
             "%%goalloc 'half", "%goalloc nothing"):
    result, told, texts, pages = cell(line + ("\\n1" if line[1] == "%" else ""))
    assert type(result.error_in_exec).__name__ == "UsageError", (line, result)
    assert goalloc.profile_rate() == rate
for line in ("%%goalloc --top -1", "%%goalloc --top=few", "%%goalloc -o class"):
    assert type(cell(line + "\\n1")[0].error_in_exec).__name__ == "UsageError", line
for code, part in (("y = 1\\nx = = 2", "line 2:\\n    x = = 2\\n"), ("x = (", "line 1:"),
                   ("await nothing", "goalloc.profile()"), ("async with a: pass", "goalloc.profile()")):
    error = cell("%%goalloc\\n" + code)[0].error_in_exec
    assert type(error).__name__ == "UsageError" and part in str(error), repr(error)
result, told, texts, pages = cell("%%goalloc --view none\\nvalue = 1\\nvalue / 0")
assert "value / 0" in told and "notebook.py" not in told, told
assert cell("%%goalloc --view none\\n1 + 1")[0].success
goalloc.uninstall()
result, told, texts, pages = cell("%%goalloc -o none\\n1 + 1")
assert type(result.error_in_exec).__name__ == "UsageError" and not texts, (result, texts)
assert "goalloc.install()" in str(result.error_in_exec) and "none" not in shell.user_ns
goalloc.install()
result, told, *_ = cell("%unload_ext goalloc")
assert result.success and "Python's own allocator again" in told, told
assert "goalloc" not in shell.magics_manager.magics["cell"] and goalloc.mode() is None
cell("%load_ext goalloc")
assert goalloc.mode() == "import" and cell("%%goalloc -v none\\n1 + 1")[0].success
cell("%unload_ext goalloc")
goalloc.install()
cell("%load_ext goalloc")
result, told, *_ = cell("%unload_ext goalloc")
assert "stays in import mode" in told and goalloc.mode() == "import", told
'''
    )


@needs_replaceable
def test_what_a_cell_shows_is_not_of_it(ipython, python):
    """To print a list takes more than to make it; it is shown behind the measured piece, as ever."""
    python.output(
        "-c",
        SHELL
        + '''
import sys
cell("%load_ext goalloc")
def run(text):
    with capture_output(display=False) as seen:
        return shell.run_cell(text, store_history=True), seen.stdout
result, out = run("%%goalloc -r 1 -v none -o m\\n[bytes(1000) for _ in range(500)]")
n, m = result.execution_count, shell.user_ns["m"].profile
assert out.startswith("Out[%d]" % n) and out.index("[b'") < out.index("alive at the end"), out
assert 500 < m.total("inuse_objects") < 510 and m.total("alloc_objects") < 900, m.total("alloc_objects")
assert m.filter(module="IPython").total("alloc_objects") == 0
kept = shell.user_ns["Out"][n]
assert len(kept) == 500 and kept is result.result is shell.user_ns["_"] is shell.user_ns["_%d" % n]
for text in ("%%goalloc -v none\\nx = 3\\nx;", "%%goalloc -v none\\nx = 3\\nx ;  # quiet",
             "%%goalloc -v none\\nNone", "%%goalloc -v none\\nx = 4"):
    result, out = run(text)
    assert result.success and "Out[" not in out and shell.user_ns["_"] is kept, (text, out)
hook = sys.displayhook
class Bad:
    def __repr__(self): raise KeyError("no repr")
shell.user_ns["bad"] = Bad()
for text, part in (("1 / 0", "ZeroDivisionError"), ("bad", "no repr")):
    result, out = run("%%goalloc -v none\\n" + text)
    assert part in out and "alive at the end" in out and sys.displayhook is hook, out
result, out = run("%%goalloc -v none -o outer\\nget_ipython().run_cell('%%goalloc -v none\\\\n40 + 2').result")
assert out.count("]: 42\\n") == 2 and out.index("]: 42") < out.index("alive"), out
result, out = run("%%goalloc -v none\\nimport sys\\nsys.displayhook = lambda v: print('mine', v)\\n42")
assert "mine 42" in out and "Out[" not in out, out
sys.displayhook = hook
assert run("%%capture captured\\n%%goalloc -v none\\n6 * 7")[0].success
assert [o.data["text/plain"] for o in shell.user_ns["captured"].outputs][0] == "42"
'''
    )


@needs_replaceable
def test_cells_in_cells_and_in_blocks_are_profiled_each(ipython, python):
    python.output(
        "-c",
        SHELL
        + """
cell("%load_ext goalloc")
inner = "get_ipython().run_cell_magic('goalloc', '--rate 1 -v none -o inner', 'x = bytearray(5000)')"
for code in ("%%goalloc -v none -o outer\\n%%goalloc --rate 1 -v none -o inner\\nx = bytearray(5000)",
             "%%goalloc -v none -o outer\\n" + inner,
             "import goalloc\\nwith goalloc.profile() as outer:\\n    " + inner,
             "%%goalloc --rate 1 -v none -o outer\\nimport goalloc\\n"
             "with goalloc.profile() as inner: x = bytearray(5000)"):
    shell.user_ns.pop("inner", None), shell.user_ns.pop("outer", None)
    result, told, texts, pages = cell(code)
    assert result.success and "Traceback" not in told, (code, told)
    for piece in ("inner", "outer"):
        assert shell.user_ns[piece].profile.total("alloc_space") >= 5000, (code, piece)
import goalloc
goalloc.install()
result, told, texts, pages = cell("%%goalloc -v none\\ngoalloc.uninstall()")
assert result.success and len(texts) == 1 and "alive at the end" in texts[0], (told, texts)
""",
    )


@needs_replaceable
def test_in_a_terminal_views_show_as_text_and_the_help_has_the_names(ipython, python):
    python.output(
        "-c",
        SHELL
        + """
from IPython.lib.pretty import pretty
cell("%load_ext goalloc")
import goalloc
for view in ("bill", "profile", "classes", "map", "fragmentation"):
    shown = cell(f"%goalloc {view}")[0].result
    assert pretty(shown) == str(shown) != repr(shown), view
s = goalloc.snapshot()
for shown in (s.span_map(64), s, s.memstats, s.diff(s)):
    assert pretty(shown) == str(shown) != repr(shown), shown
usage = [line.strip() for line in shell.magics_manager.magics["cell"]["goalloc"].__doc__.splitlines()]
assert any(line.startswith("%goalloc [") for line in usage), usage
assert any(line.startswith("%%goalloc [") for line in usage), usage
""",
    )

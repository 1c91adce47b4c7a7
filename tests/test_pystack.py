"""The walker alone: in scenes of all kinds, at every allocation of programs, in odd states.

tests/c/stack_door.c is the walker as a module, and hooks in Python's allocator table that call it at
any allocation.  Hooks stay, so what needs them runs in a child Python.
"""

import importlib.util
import itertools
import os
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path

import cbuild
import pytest
from stackscenes import FRAMES_MAX, SCENES, oracle
from stock import PROGRAMS

SOURCES = "pystack linetable locations table budget persistent os_posix lock fatal".split()
NO_FRAME = ("<no Python frame>", "", 0, 0)
TRUNCATED = ("<truncated>", "", 0, 0)
TEXT_MAX = 4096
EVERYWHERE = PROGRAMS / "everywhere.py"

pytestmark = pytest.mark.skipif("t" in sys.abiflags, reason="threads share what the module keeps")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the module is."""
    folder = tmp_path_factory.mktemp("stack_door")
    objects = []
    flags = ["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O2", "-g", "-fPIC"]
    python = sysconfig.get_path("include")
    for source in [cbuild.CTESTS / "stack_door.c", *(cbuild.CSRC / f"{s}.c" for s in SOURCES)]:
        objects.append(folder / f"{source.stem}.o")
        cbuild.compile_c(
            *flags, "-iquote", cbuild.CSRC, "-isystem", python, "-c", source, "-o", objects[-1]
        )
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    cbuild.compile_c("-shared", *objects, "-pthread", "-o", folder / f"stack_door{suffix}")
    return folder


@pytest.fixture(scope="module")
def door(folder):
    sys.path.insert(0, str(folder))
    yield importlib.import_module("stack_door")
    sys.path.remove(str(folder))


@pytest.fixture
def child(python, folder):
    """child(code, *args) -> what a Python prints that has the module at hand."""
    helpers = os.pathsep.join([str(folder), str(Path(__file__).parent)])

    def run(code, *args):
        code = "import os, sys, stack_door as door\nfrom stackscenes import oracle\n" + code
        return python.output("-c", code, *args, env={"PYTHONPATH": helpers})

    return run


def cut(text):
    """As UTF-8 of TEXT_MAX bytes at most."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= TEXT_MAX and (text.isascii() or len(encoded) <= TEXT_MAX - 3):
        return encoded.decode()
    if text.isascii():
        return text[:TEXT_MAX]
    sizes = itertools.accumulate(len(c.encode("utf-8", "replace")) for c in text)
    starts = [0, *sizes][: len(text)]
    return "".join(c for c, start in zip(text, starts) if start + 4 <= TEXT_MAX)


def wanted(frame, limit):
    """What a walk of at most `limit` frames gives."""
    stack = oracle(frame, limit + 1)
    stack = [(cut(name), cut(file), first, line) for name, file, first, line in stack]
    if len(stack) > limit:
        stack[limit - 1 :] = [TRUNCATED]
    return stack


@pytest.mark.parametrize("name", SCENES)
def test_scene(door, name):
    """Twice, since the second time all is known.  The line of the probe itself is another."""
    wrong, probes = [], 0

    def probe(*ignored):
        nonlocal probes
        probes += 1
        for limit in 1000, FRAMES_MAX:
            got, thread = door.walk(limit)
            want = wanted(sys._getframe(0), limit)
            if got[1:] != want[1:] or thread[0] != threading.get_native_id():
                wrong.append((got, want, thread))

    for _ in range(2):
        SCENES[name](probe)
    assert not wrong, wrong[0]
    assert probes or name == "monitoring"
    assert door.counts()[2] == 0


def test_truncation(door):
    """max locations are enough for a stack of max frames, and not for one more."""

    def down(n):
        return down(n - 1) if n else [door.walk(m)[0] for m in (1000, *range(1, 400))]

    for n in 1, 2, 50:
        whole, *cuts = down(n)
        for m, got in enumerate(cuts, 1):
            if m >= len(whole):
                assert got == whole
            else:
                assert len(got) == m
                assert got[-1] == TRUNCATED
                assert got[:-1] == whole[: m - 1]


def test_lone_surrogates(door):
    names = {"door": door}
    exec(compile("def f(): return door.walk()", "x", "exec"), names)
    f = names["f"]
    f.__code__ = f.__code__.replace(co_name="f", co_qualname="a\ud800b", co_filename="\udcff.py")
    assert f()[0][0][:2] == ("a?b", "?.py")


def test_no_thread_state(door):
    assert door.walk_detached() == ([NO_FRAME], door.walk()[1])


def test_attached_or_not_is_seen(door):
    """Also without the word of the caller."""
    assert len(door.walk(400, False)[0]) > 1
    results = []
    thread = threading.Thread(target=lambda: results.append(door.walk(400, False)))
    thread.start()
    thread.join()
    assert results[0][0][0][0].endswith("<lambda>")


def test_name_of_the_thread(door):
    """That of the system."""
    libc = pytest.importorskip("ctypes").CDLL(None)
    seen = []

    def work():
        libc.prctl(15, b"sampled", 0, 0, 0)
        seen.append((door.walk()[1], threading.get_native_id()))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [((seen[0][1], "sampled"), seen[0][1])]


@pytest.mark.parametrize("walks", [1, 2, 10, 100])
def test_name_that_is_set_later(door, walks):
    """At once by a thread that has just begun, after a few walks by others."""
    libc = pytest.importorskip("ctypes").CDLL(None)
    seen = []

    def work():
        libc.prctl(15, b"young", 0, 0, 0)
        seen.extend(door.walk(1)[1][1] for _ in range(walks))
        libc.prctl(15, b"renamed", 0, 0, 0)
        seen.extend(door.walk(1)[1][1] for _ in range(32))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert set(seen[:walks]) == {"young"} and seen[-1] == "renamed"
    assert seen[walks] == "renamed" or walks > 10


BIG = 1_000_000

RECORDED = """
def recorded():
    where, domain, size = door.last()
    return where[0], where[1], domain, size
"""


def test_at_an_allocation(child):
    """In the domain mem or obj, and raw with and without the GIL; an exception set or not."""
    child(RECORDED + f"""
def big():
    door.hook({BIG}, 200)
    block, want = bytes({BIG}), oracle(sys._getframe())
    got, thread, domain, size = recorded()
    assert got == want, (got, want)
    assert domain == 2 and size > {BIG} and thread[0] == __import__('threading').get_native_id()
    door.hook({BIG}, 200)
    block, want = [None] * {BIG}, oracle(sys._getframe())
    got, thread, domain, size = recorded()
    assert got == want and domain == 1, (got, want)
    for domain in 0, 1:
        door.hook({BIG}, 200)
        want = door.alloc(domain, {BIG}, False), oracle(sys._getframe())
        assert recorded()[0] == want[1]
    door.hook({BIG}, 200)
    door.alloc(0, {BIG}, True)
    assert recorded()[0] == [{NO_FRAME}]

class C:
    def __del__(self): big()

big()
try:
    raise ValueError
except ValueError:
    big()
C()
[big() for _ in range(2)]
""")


def test_at_every_allocation(child):
    """Of imports, threads, generators, collections, tracing, and the interpreter's end."""
    work = "import runpy; runpy.run_path(sys.argv[1])"
    out = child(f"door.hook(0, {FRAMES_MAX})\n{work}\nprint(*door.counts())", EVERYWHERE)
    walks, empty, dropped, nbytes = map(int, out.split())
    assert walks > 100000
    assert 0 < empty < walks / 100
    assert dropped == 0
    assert nbytes < 4_000_000


def test_fork(child):
    code = f"""
import threading
door.hook(0, {FRAMES_MAX})
def work():
    for i in range(2000): str(i) * 10
threads = [threading.Thread(target=work) for _ in range(3)]
for t in threads: t.start()
for _ in range(5):
    if (pid := os.fork()) == 0:
        work()
        where, thread = door.walk()
        assert thread[0] == threading.get_native_id() == os.getpid(), thread
        assert [f[0] for f in where] == ['<module>'], where
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
for t in threads: t.join()
print('done')
"""
    options = "import warnings; warnings.simplefilter('ignore')\n"  # of threads that fork
    assert child(options + code) == "done\n"


SUBINTERPRETERS = """
try: import _interpreters as interpreters
except ImportError:
    try: import _xxsubinterpreters as interpreters
    except ImportError: print('skip'); sys.exit()
def run(i, code):
    problem = interpreters.run_string(i, code)
    assert problem is None, problem
def create(own):
    if sys.version_info < (3, 12): return interpreters.create(isolated=own)
    if sys.version_info < (3, 13): return interpreters.create(isolated=own)
    return interpreters.create('isolated' if own else 'legacy')
"""


@pytest.mark.parametrize("own", [False, True])
def test_subinterpreters(child, own):
    code = SUBINTERPRETERS + f"""
import threading
inside = '''
import sys
sys.path[:0] = {{path!r}}
import stack_door as door
def f(): return door.walk(), door.walk(9, True)
(stack, thread), (same, _) = f()
assert [frame[0] for frame in stack] == ['f', '<module>'] == [frame[0] for frame in same], stack
assert [frame[3] for frame in stack] == [5, 6]
'''.format(path=sys.path[:3])
busy = inside + '''
import json, re
for n in range(20): json.loads(json.dumps([str(i) for i in range(100)])); exec('def g(): return [n]')
'''
own = {own}
ids = [create(own) for _ in range(3)]
for i in ids: run(i, inside)
door.hook(0, {FRAMES_MAX})
for i in ids: run(i, busy)
threads = [threading.Thread(target=run, args=(i, busy)) for i in ids]
for t in threads: t.start()
for _ in range(1000): str(_) * 50; door.alloc(0, 100, True)
for t in threads: t.join()
for i in ids: interpreters.destroy(i)
assert door.counts()[0] > 10000
print('done')
"""
    out = child(code)
    if out == "skip\n":
        pytest.skip("no module for subinterpreters")
    assert out == "done\n"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="asked for by another name, and unmarked")
def test_no_mark_behind_others(child):
    """Who has an index for data of code objects may be asking for their memory right now: another
    index that came then would have no room."""
    child("""
import ctypes
ask = ctypes.pythonapi.PyUnstable_Eval_RequestCodeExtraIndex
ask.restype, ask.argtypes = ctypes.c_ssize_t, [ctypes.c_void_p]
assert ask(None) == 0
door.walk()
assert ask(None) == 1
""")


def test_memory_is_bounded(child):
    """Functions without end that are made and die: what is kept of them stays below the cap."""
    out = child("""
for i in range(120000):
    if door.counts()[2] > 10: break
    names = {'door': door}
    exec(compile('def f(): return door.walk(2)', 'x' * 1500 + str(i), 'exec'), names)
    names['f']()
where, thread = door.walk()
assert where[0][0] == '<dropped>' or where[0][0] == '<module>', where
print(*door.counts())
""")
    _, _, dropped, nbytes = map(int, out.split())
    assert dropped > 0
    assert nbytes <= 64 * 2**20


RUN_AGAIN = """
import dis, os, sys
sys.path[:0] = os.environ["PYTHONPATH"].split(os.pathsep)
import stack_door as door
run = int(os.environ.get("RUNS", "0"))
os.environ["RUNS"] = str(run + 1)
def f(): return door.walk()[0][0]
code = f.__code__.replace(co_filename="x")
nops = bytes([dis.opmap["NOP"], 0]) * 1_000_000
code = code.replace(co_code=code.co_code + nops)
for _ in range(60 * (run + 1)):
    f.__code__ = code
    f.__code__ = code.replace(co_qualname=f"f{run}")
    assert f()[0] == f"f{run}", (f(), run)
print("right")
"""


def test_python_started_again(python, folder, embedding):
    """Counts versions of code objects anew; large ones come to the same address, each a mapping."""
    env = {"PYTHONPATH": str(folder), "MALLOC_MMAP_THRESHOLD_": "100000"}
    assert python.output(RUN_AGAIN, executable=embedding, env=env) == "right\n" * 4


FILE_SET_AGAIN = """
from _imp import _fix_co_filename as set_file
def f(): return door.walk()[0][0][1]
for i in range(100):
    set_file(f.__code__, "x")
    set_file(f.__code__, f"/{i:04}/{__name__}.py")
    assert f() == f"/{i:04}/{__name__}.py"
print("right")
"""


def test_file_set_again(child):
    """By imp, of the same code object, to a name at the address of the one before."""
    assert child(FILE_SET_AGAIN) == "right\n"


def test_programs_are_unharmed(folder, tmp_path):
    """A test of CPython's own, with a walk at every allocation."""
    if importlib.util.find_spec("test.test_generators") is None:
        pytest.skip("this Python has no tests")
    code = (
        f"import stack_door as d, sys; d.hook(0, {FRAMES_MAX})\n"
        "from test import regrtest\n"
        "sys.argv = ['regrtest', 'test_generators', 'test_coroutines', 'test_code', 'test_exceptions']\n"
        "regrtest.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(folder)}, cwd=tmp_path, timeout=900,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]

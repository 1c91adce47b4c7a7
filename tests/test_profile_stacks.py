"""The stacks of the heap profile: in the scenes of stackscenes.py, exact by count, in every mode.

test_pystack.py has the walker alone.
"""

from pathlib import Path

import pytest
from pychild import needs_launch
from stock import PROGRAMS

# Blocks of a size that nobody else asks for are counted by where they are asked for, and so they are in
# the profile.
PROBES = f"""
import os, sys, threading
sys.path.insert(0, {str(Path(__file__).parent)!r})
from collections import Counter
from stackscenes import FRAMES_MAX, SCENES, oracle
from goalloc import _core

TRUNCATED = ("<truncated>", "", 0, 0)
NO_FRAME = ("<no Python frame>", "", 0, 0)
PAGES = 45
SIZE = PAGES * 8192 - 1000
wanted = Counter()

def cut(text):
    data = text.encode("utf-8", "replace")
    return text if len(data) <= 4000 else data[:4000].decode("utf-8", "ignore")

def probe(*ignored):
    stack = oracle(sys._getframe(1), FRAMES_MAX + 1)
    bytes(SIZE)
    if len(stack) > FRAMES_MAX:
        stack[FRAMES_MAX - 1:] = [TRUNCATED]
    stack = tuple((cut(n), cut(f), first, line) for n, f, first, line in stack)
    wanted[threading.get_native_id(), stack] += 1

def stacks(raw, size):
    places = [(*raw["functions"][f], line) for f, line in raw["locations"]]
    counts = Counter()
    for stack, rounded, rate, domain, thread, allocs, frees, peak in raw["samples"]:
        if size <= rounded < size + 8192:
            where = tuple((cut(n), cut(f), first, line)
                          for n, f, first, line in map(places.__getitem__, raw["stacks"][stack]))
            counts[domain, raw["threads"][thread], where] += allocs
    return counts

def profiled():
    counts = Counter()
    for (domain, thread, where), n in stacks(_core.profile_read(), SIZE).items():
        assert domain == 2 and where[0][0] == "probe", (domain, where)
        counts[thread[0], where[1:]] += n
    return counts
"""


@pytest.fixture
def scenes_in(in_any_mode):
    return lambda code: in_any_mode(PROBES + code)


def test_scenes(scenes_in):
    """Read at the end, when most of the code objects are gone."""
    out = scenes_in("""
_core.set_profile_rate(1)
for scene in SCENES.values(): scene(probe)
SCENES["threads"](lambda *args: SCENES["code_objects_that_die"](probe))
_core.set_profile_rate(0)
got = profiled()
for key in wanted.keys() | got.keys():
    assert got[key] == wanted[key], (got[key], wanted[key], key)
raw = _core.profile_read()
assert raw["dropped_samples"] == 0
assert raw["truncated_stacks"] > 0
print(len(wanted) > 100)
""")
    assert out == "True\n"


def test_domains(scenes_in):
    """With the GIL there are frames in all of them, without it there are none."""
    out = scenes_in("""
import ctypes
_core.set_profile_rate(1)
def site():
    for domain in "raw", "mem", "obj":
        _core._domain_free(domain, _core._domain_malloc(domain, SIZE))
def detached():
    lib = ctypes.CDLL(None)
    lib.PyMem_RawFree.argtypes = [ctypes.c_void_p]
    lib.PyMem_RawMalloc.argtypes = [ctypes.c_size_t]
    lib.PyMem_RawMalloc.restype = ctypes.c_void_p
    lib.PyMem_RawFree(lib.PyMem_RawMalloc(SIZE))
site()
detached()
counts = stacks(_core.profile_read(), SIZE)
for (domain, thread, where), n in sorted(counts.items()):
    assert thread[0] == threading.get_native_id()
    print(domain, n, [frame[0] for frame in where])
""")
    frames = "['site', '<module>']\n"
    assert out == f"0 1 ['<no Python frame>']\n0 1 {frames}1 1 {frames}2 1 {frames}"


def test_interpreters(scenes_in):
    """Their frames, in the domains whose callers have the GIL."""
    out = scenes_in("""
try: import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
code = '''
import sys
sys.path[:] = {sys.path!r}
from goalloc import _core
def site():
    for domain in "mem", "obj": _core._domain_free(domain, _core._domain_malloc(domain, {SIZE}))
site()
'''
i = interpreters.create()
_core.set_profile_rate(1)
assert not interpreters.run_string(i, code.format(SIZE=SIZE, sys=sys))
thread = threading.Thread(target=interpreters.run_string, args=(i, "site()"))
thread.start()
thread.join()
interpreters.destroy(i)
counts = Counter()
for (domain, thread, where), n in stacks(_core.profile_read(), SIZE).items():
    counts[domain, tuple(frame[0] for frame in where)] += n
print(sorted(counts.items()))
""")
    frames = "('site', '<module>')"
    assert out == f"[((1, {frames}), 2), ((2, {frames}), 2)]\n"


def test_fork(scenes_in):
    """The child's thread is another one; what the parent had sampled is still there."""
    out = scenes_in("""
_core.set_profile_rate(1)
def once(): probe()
once()
if (pid := os.fork()) == 0:
    once()
    ids = {thread for thread, where in profiled()}
    os._exit(ids != {os.getpid(), os.getppid()} or profiled() != wanted)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), profiled() == wanted)
""")
    assert out == "0 True\n"


def test_everywhere(in_any_mode):
    """Every block of a program that goes everywhere, to the last of the interpreter."""
    out = in_any_mode(
        "import runpy, sys; runpy.run_path(sys.argv[1])\n"
        "from goalloc import _core\n"
        "raw = _core.profile_read()\n"
        "print(len(raw['samples']) > 5000, raw['rate'], raw['dropped_samples'])",
        PROGRAMS / "everywhere.py",
        env={"GOALLOC_PROFILE_RATE": "1"},
    )
    assert out == "True 1 0\n"


@needs_launch
def test_from_the_start(python):
    """The blocks of an interpreter that is being made have no frames; then come imports."""
    out = python.output(
        "-m", "goalloc", "run", "-c",
        "from goalloc import _core\n"
        "raw = _core.profile_read()\n"
        "names = {raw['functions'][raw['locations'][stack[-1]][0]][0] for stack in raw['stacks']}\n"
        "print(sorted(name for name in names if name.startswith('<')))",
        env={"GOALLOC_PROFILE_RATE": "1"},
    )  # fmt: skip
    assert "<no Python frame>" in out and "<module>" in out

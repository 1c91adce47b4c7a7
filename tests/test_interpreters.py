"""Interpreters of both kinds, with the GIL shared and with one of their own, under goalloc."""

import sys
import textwrap

import pytest
from pychild import needs_replaceable
from stock import MODES, PROGRAMS

pytestmark = needs_replaceable

KINDS = [
    "legacy",
    pytest.param(
        "isolated",
        marks=pytest.mark.skipif(sys.version_info < (3, 12), reason="one GIL for all before 3.12"),
    ),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "program",
    [
        pytest.param("interpreters_many", marks=pytest.mark.slow),
        "interpreters_busy",
        "interpreters_made",
        "interpreters_switch",
        "interpreters_channels",
        "interpreters_left",
        "fork_interpreters",
    ],
)
def test_as_without(programs, program, mode, kind):
    assert programs.same(mode, program, kind)[0] == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", ["sparse", "linear"])
def test_either_layout_of_arenas(programs, kind, layout):
    programs.same("launch", "interpreters_busy", kind, env={"GOALLOC_LAYOUT": layout})


@pytest.mark.skipif(sys.version_info < (3, 14), reason="new in 3.14")
@pytest.mark.parametrize("mode", MODES)
def test_pool_of_interpreters(programs, mode):
    code = (
        "from concurrent.futures import InterpreterPoolExecutor as Pool\n"
        "import json\n"
        "with Pool(4) as pool:\n"
        "    print([len(s) for s in pool.map(json.dumps, [list(range(n)) for n in range(200)])])\n"
    )
    script = programs.python.folder / "pool.py"
    script.write_text(code)
    assert programs.same(mode, script)[0] == 0


# What CPython 3.11 and 3.12 do at the end of each interpreter's making, done by hand: the C library's
# functions are in the raw domain for a moment.  Other threads are at work in it by chance only.  In
# begin_gap malloc is another one of libc's, so that nobody knows it for a gap that has stayed open.
GAP = textwrap.dedent(
    """
    import ctypes, sys
    sys.path.insert(0, {programs!r})
    import goalloc, interps
    from ctypes import c_size_t, c_void_p
    class Functions(ctypes.Structure):
        _fields_ = [(name, c_void_p) for name in ("ctx", "malloc", "calloc", "realloc", "free")]
    def function(name, result, *arguments):
        return ctypes.PYFUNCTYPE(result, *arguments)((name, ctypes.pythonapi))
    malloc = function("PyMem_RawMalloc", c_void_p, c_size_t)
    realloc = function("PyMem_RawRealloc", c_void_p, c_void_p, c_size_t)
    free = function("PyMem_RawFree", None, c_void_p)
    take_out = function("_PyMem_SetDefaultAllocator", ctypes.c_int, ctypes.c_int, c_void_p)
    get = function("PyMem_GetAllocator", None, ctypes.c_int, c_void_p)
    put_back = function("PyMem_SetAllocator", None, ctypes.c_int, c_void_p)
    RAW, found = 0, Functions()
    def ours(p):
        return goalloc.span_of(p) is not None
    def make_interpreter():
        interps.destroy(interps.create("legacy"))
    def begin_gap():
        gap = Functions()
        get(RAW, ctypes.byref(found))
        for _ in range(1_000):
            take_out(RAW, ctypes.byref(found))
            get(RAW, ctypes.byref(gap))
            if gap.free != found.free:
                break
        gap.ctx = 16    # aligned_alloc(16, n)
        gap.malloc = ctypes.cast(ctypes.CDLL(None).aligned_alloc, c_void_p)
        put_back(RAW, ctypes.byref(gap))
    """
).format(programs=str(PROGRAMS))
has_gaps = pytest.mark.skipif(sys.version_info >= (3, 13), reason="no gaps since 3.13")


@has_gaps
@pytest.mark.parametrize("debug", [None, "1"])
def test_blocks_that_cross_a_gap(in_mode, debug):
    code = GAP + textwrap.dedent(
        """
        make_interpreter()
        sizes = [1, 16, 100, 5_000, 40_000, 3 << 20]
        freed, grown = [malloc(n) for n in sizes], [malloc(n) for n in sizes]
        for p, n in zip(grown, sizes): ctypes.memset(p, 7, n)
        begin_gap()
        for p in freed: free(p)
        late = [realloc(p, 2 * n) for p, n in zip(grown, sizes)]
        theirs = [malloc(n) for n in sizes]
        put_back(RAW, ctypes.byref(found))
        assert not any(map(ours, theirs))
        for p, n in zip(late, sizes):
            assert ctypes.string_at(p, n) == b"\\x07" * n
        for p, n in zip(theirs[::2], sizes[::2]): free(realloc(p, 2 * n))
        for p in theirs[1::2] + late: free(p)
        goalloc.check()
        print(ours(malloc(100)), goalloc.mode())
        """
    )
    env = {} if debug is None else {"GOALLOC_DEBUG": debug}
    assert in_mode(code, env=env) == f"True {in_mode.mode}\n"


@has_gaps
def test_blocks_that_cross_a_gap_after_uninstall(in_mode):
    code = GAP + textwrap.dedent(
        """
        kept = [malloc(n) for n in (16, 100, 40_000)]
        goalloc.uninstall()
        make_interpreter()
        begin_gap()
        for p in kept: free(p)
        put_back(RAW, ctypes.byref(found))
        goalloc.check()
        print("ok")
        """
    )
    assert in_mode(code) == "ok\n"


@pytest.mark.skipif(sys.version_info[:2] != (3, 12), reason="two GILs, and gaps")
def test_a_gap_that_stays_open_is_closed(in_mode):
    code = GAP + textwrap.dedent(
        """
        import time
        make_interpreter()
        take_out(RAW, ctypes.byref(found))
        print(goalloc.mode())
        kept = bytearray(40_000)
        time.sleep(0.01)
        kept += bytearray(80_000)
        print(ours(malloc(100)), goalloc.mode())
        """
    )
    assert in_mode(code) == f"{in_mode.mode}\nTrue {in_mode.mode}\n"


@has_gaps
def test_installed_while_an_interpreter_is_made(python):
    code = GAP + textwrap.dedent(
        """
        import time
        take_out(RAW, ctypes.byref(found))
        goalloc.install()
        p = malloc(100)
        put_back(RAW, ctypes.byref(found))
        free(p)
        kept = [bytearray(40_000)]
        time.sleep(0.01)
        kept.append(bytearray(40_000))
        if sys.version_info >= (3, 12):
            assert ours(malloc(100)) and goalloc.mode() == "import"
        print("ok")
        """
    )
    assert python.output("-c", code) == "ok\n"

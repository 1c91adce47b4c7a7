"""What threads share: a private heap, the profile in wrap mode; and a Python without a GIL.

Without a GIL the threads of these programs run at the same time; with one they only take turns.
"""

import sys
import textwrap

import pytest
from pychild import LAUNCHABLE
from stock import PROGRAMS

import goalloc

needs_free_threaded = pytest.mark.skipif(LAUNCHABLE, reason="of free-threaded builds")

THREADS = textwrap.dedent(
    """
    import random, sys, threading
    import goalloc
    def in_threads(work, n=4):
        errors = []
        def guarded(i):
            try: work(i)
            except BaseException as error: errors.append(error)
        threads = [threading.Thread(target=guarded, args=(i,)) for i in range(n)]
        for t in threads: t.start()
        for t in threads: t.join()
        if errors: raise errors[0]
    """
)

# ---- a private heap --------------------------------------------------------------------------------

SHARED_HEAP = THREADS + textwrap.dedent(
    """
    seed, layout = int(sys.argv[1]), sys.argv[2]
    heap = goalloc.Heap(layout)
    slots = [[] for _ in range(8)]      # each thread frees what the others have put here
    def work(i):
        rng = random.Random(seed + i)
        for step in range(500):
            size = rng.choice((1, 8, 100, 1000, 5000, 40_000))
            noscan = size > 16 and step % 2 == 0      # tiny blocks are objects as long as they are cut
            p = heap.malloc(size, noscan) if step % 7 else heap.calloc(3, size)
            if step % 5 == 0: p = heap.realloc(p, 2 * size, noscan)
            assert heap.usable_size(p) >= size
            slots[rng.randrange(8)].append(p)
            try: heap.free(slots[rng.randrange(8)].pop())
            except IndexError: pass
            if step % 50 == 0:
                s = heap.snapshot()
                assert sum(x.alloc_count or 0 for x in s.spans) == s.memstats.heap_objects
            if step % 200 == 0:
                heap.free_os_memory(); heap.set_memory_limit(1 << 20); heap.memory_limit()
                heap.check()
    in_threads(work)
    heap.check()
    for p in [p for slot in slots for p in slot]: heap.free(p)
    heap.check()
    m = heap.memstats()
    assert m.heap_objects == 0 and m.mallocs == m.frees > 2000, m
    print("ok")
    """
)


@pytest.mark.parametrize("layout", ["sparse", "linear"])
def test_threads_share_a_heap(python, seed, layout):
    assert python.output("-c", SHARED_HEAP, seed, layout) == "ok\n"


CLOSED_MEANWHILE = THREADS + textwrap.dedent(
    """
    class Closing:                      # a number that closes the heap when it is asked for
        def __init__(self, heap): self.heap = heap
        def __index__(self): self.heap.close(); return 8
    calls = {
        "malloc": lambda heap, n: heap.malloc(n),
        "align": lambda heap, n: heap.malloc(8, align=n),
        "calloc": lambda heap, n: heap.calloc(n, 8),
        "realloc": lambda heap, n: heap.realloc(n, 8),
        "realloc to": lambda heap, n: heap.realloc(0, n),
        "free": lambda heap, n: heap.free(n),
        "usable_size": lambda heap, n: heap.usable_size(n),
        "span_of": lambda heap, n: heap.span_of(n),
        "set_memory_limit": lambda heap, n: heap.set_memory_limit(n),
    }
    for name, call in calls.items():
        heap = goalloc.Heap()
        try: call(heap, Closing(heap))
        except goalloc.HeapError as error: assert str(error) == "the heap is closed"
        else: raise AssertionError(name)

    for turn in range(10):              # closed by one thread, while the others use it
        heap = goalloc.Heap()
        def work(i):
            try:
                for _ in range(turn * 20 if i == 0 else 10_000):
                    heap.free(heap.malloc(100)); repr(heap); heap.memory_limit()
                    heap.snapshot()
            except goalloc.HeapError as error:
                assert str(error) == "the heap is closed"
                return
            if i == 0: heap.close()
        in_threads(work, 3)
    print("ok")
    """
)


def test_a_heap_closed_while_it_is_used(python):
    assert python.output("-c", CLOSED_MEANWHILE) == "ok\n"


# ---- wrap mode -------------------------------------------------------------------------------------

PROFILED = THREADS + textwrap.dedent(
    """
    from goalloc import _core
    goalloc.install("wrap")
    goalloc.set_profile_rate(1)
    ODD, N = 26_007, 600
    kept = [[] for _ in range(4)]
    def site(domain): return _core._domain_malloc(domain, ODD)
    def work(i):
        for step in range(N):
            domain = ("raw", "mem", "obj")[step % 3]
            p = site(domain)
            if step % 4 == 0: kept[i].append((domain, p))
            else: _core._domain_free(domain, p)
            if step % 200 == 0: goalloc.heap_profile(); goalloc.snapshot(); goalloc.memstats()
    in_threads(work)
    def counts():
        at = [s for s in goalloc.heap_profile().samples if s.size == ODD and s.stack[0].function == "site"]
        return sum(s.alloc_objects for s in at), sum(s.inuse_objects for s in at)
    assert counts() == (4 * N, N), counts()
    in_threads(lambda i: [_core._domain_free(*block) for block in kept[i - 1]])
    assert counts() == (4 * N, 0), counts()
    print("ok")
    """
)


def test_the_profile_of_threads_is_exact_in_wrap_mode(python):
    assert python.output("-c", PROFILED) == "ok\n"


LEFT_NOTHING = THREADS + textwrap.dedent(
    """
    import zlib
    stop = threading.Event()
    def busy(i):
        while not stop.is_set():
            if i == 0:
                for turn in range(15):
                    assert goalloc.install("wrap") == goalloc.mode() == "wrap"
                    zlib.compress(bytes(1000))
                    goalloc.uninstall()
                    assert goalloc.mode() is None
                stop.set()
            else:
                zlib.compress(bytes(20_000)); [bytearray(n) for n in range(1000, 3000, 50)]
    goalloc.set_profile_rate(1)
    in_threads(busy, 3)
    samples = goalloc.heap_profile().samples
    assert len(samples) > 10
    assert not any(s.inuse_objects for s in samples)
    goalloc.check()
    print("ok")
    """
)


def test_after_wrap_mode_nothing_is_in_use(python):
    """What a thread was about to count as wrap mode ended is not left in the profile."""
    assert python.output("-c", LEFT_NOTHING) == "ok\n"


# ---- a Python without a GIL ------------------------------------------------------------------------


@needs_free_threaded
@pytest.mark.parametrize("module", ["goalloc._core", "goalloc.web", "goalloc.cli", "goalloc.notebook"])
def test_the_gil_stays_off(python, module):
    code = f"import sys, {module}, goalloc; goalloc.install(); print(sys._is_gil_enabled())"
    assert python.output("-W", "error", "-c", code) == "False\n"


@needs_free_threaded
def test_the_gil_may_be_on(python):
    """It is the same build, so the same allocators."""
    code = "import sys, goalloc; print(sys._is_gil_enabled(), goalloc.install())"
    assert python.output("-X", "gil=1", "-c", code) == "True wrap\n"


@needs_free_threaded
@pytest.mark.parametrize("options", [[], ["-X", "dev"]])
def test_launching_is_refused_in_one_sentence(python, options):
    result = python(*options, "-m", "goalloc", "run", "-c", "print(1)")
    assert (result.returncode, result.stdout) == (0, "1\n")
    (warning,) = result.stderr.splitlines()
    assert "free-threaded" in warning


@needs_free_threaded
@pytest.mark.parametrize("program", ["threads_queues", "threads_foreign"])
def test_programs_run_on_as_ever(programs, program):
    """installed.py calls install(), which wraps."""
    assert programs.same("import", program)[0] == 0


@needs_free_threaded
def test_install_and_uninstall_while_others_allocate(python):
    assert python.output(PROGRAMS / "toggling.py") == "done\n"


@needs_free_threaded
def test_it_was_built_for_it():
    assert not sys._is_gil_enabled() and goalloc.mode() is None

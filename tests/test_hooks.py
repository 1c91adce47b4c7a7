"""goalloc in a process: both modes, all domains, threads, fork, subinterpreters, the way out."""

import sys
import textwrap

import pytest
from pychild import needs_replaceable

BEGIN = textwrap.dedent(
    """
    import goalloc
    from goalloc import _core
    DOMAINS = ("raw", "mem", "obj")
    def ours(p):
        return goalloc.span_of(p) is not None
    """
)
CHURN = textwrap.dedent(
    """
    def churn(rounds=3000):
        kept = []
        for i in range(rounds):
            kept.append(bytearray(i % 3000))
            kept.append({i: str(i)})
            if i % 3 == 0:
                del kept[:3]
        return len(kept)
    """
)


def test_mode_is_told(in_mode):
    assert in_mode("print(goalloc.mode(), goalloc.install())" if in_mode.mode == "import" else
                   "import goalloc; print(goalloc.mode(), goalloc.install())") == (
        f"{in_mode.mode} {in_mode.mode}\n"
    )  # fmt: skip


def test_every_domain_is_served(in_mode):
    code = BEGIN + textwrap.dedent(
        """
        import ctypes
        for domain in DOMAINS:
            for n in (0, 1, 15, 16, 100, 513, 5000, 32768, 40_000, 1 << 20):
                p = _core._domain_malloc(domain, n)
                assert ours(p), (domain, n)
                ctypes.memset(p, 0xAB, n)
                q = _core._domain_realloc(domain, p, 2 * n + 1)
                assert ours(q) and ctypes.string_at(q, n) == b"\\xab" * n
                _core._domain_free(domain, q)
                z = _core._domain_calloc(domain, n, 3)
                assert ours(z) and ctypes.string_at(z, 3 * n) == bytes(3 * n)
                _core._domain_free(domain, z)
            assert ours(_core._domain_realloc(domain, 0, 10))
            _core._domain_free(domain, 0)
        goalloc.check()
        print("ok")
        """
    )
    assert in_mode(code) == "ok\n"


def test_raw_blocks_are_noscan_and_the_others_scan(in_mode):
    code = BEGIN + textwrap.dedent(
        """
        for domain in DOMAINS:
            print(domain, goalloc.span_of(_core._domain_malloc(domain, 100)).noscan)
        """
    )
    assert in_mode(code) == "raw True\nmem False\nobj False\n"


def test_memory_error_comes_and_goes(in_mode):
    code = BEGIN + textwrap.dedent(
        """
        for domain in DOMAINS:
            for n in (1 << 46, (1 << 63) - 1):
                try:
                    _core._domain_malloc(domain, n)
                except MemoryError:
                    continue
                raise AssertionError(domain)
        try:
            bytearray(1 << 46)
        except MemoryError:
            print("ok")
        goalloc.check()
        """
    )
    assert in_mode(code) == "ok\n"


def test_equations_hold_at_every_call_with_threads_running(in_mode):
    code = BEGIN + CHURN + textwrap.dedent(
        """
        import threading, zlib
        stop = False
        def work():
            while not stop:
                churn(300)
                zlib.compress(bytes(100_000))    # raw blocks, without the GIL
        threads = [threading.Thread(target=work) for _ in range(4)]
        for t in threads: t.start()
        for _ in range(50):
            m = goalloc.memstats()
            assert m.sys == (m.heap_sys + m.stack_sys + m.mspan_sys + m.mcache_sys
                             + m.buck_hash_sys + m.gc_sys + m.other_sys)
            assert m.heap_idle + m.heap_inuse == m.heap_sys
            assert m.mallocs - m.frees == m.heap_objects
            s = goalloc.snapshot()
            assert sum(c.live_bytes for c in s.classes) == s.memstats.heap_alloc
            goalloc.check()
        stop = True
        for t in threads: t.join()
        goalloc.check()
        print("ok")
        """
    )
    assert in_mode(code) == "ok\n"


def test_fork_with_threads(in_mode):
    code = BEGIN + CHURN + textwrap.dedent(
        """
        import os, threading, warnings
        warnings.simplefilter("ignore")
        stop = False
        def work():
            while not stop: churn(100)
        threads = [threading.Thread(target=work) for _ in range(3)]
        for t in threads: t.start()
        for _ in range(20):
            pid = os.fork()
            if pid == 0:
                status = 1
                try:
                    churn(500)
                    goalloc.check()
                    status = 0
                finally:
                    os._exit(status)
            assert os.waitpid(pid, 0)[1] == 0
        stop = True
        for t in threads: t.join()
        print("ok")
        """
    )
    assert in_mode(code) == "ok\n"


def test_exit_with_daemon_threads(in_mode):
    code = BEGIN + CHURN + textwrap.dedent(
        """
        import threading, time
        def work():
            while True: churn(50)
        for _ in range(4): threading.Thread(target=work, daemon=True).start()
        time.sleep(0.2)
        print("ok")
        """
    )
    assert in_mode(code) == "ok\n"


INTERPRETERS = textwrap.dedent(
    """
    import sys, threading
    try:
        import _interpreters as interpreters
    except ImportError:
        import _xxsubinterpreters as interpreters
    def create(own_gil):
        if sys.version_info >= (3, 13):
            return interpreters.create("isolated" if own_gil else "legacy")
        return interpreters.create(isolated=own_gil)
    def run(interpreter, code):
        error = interpreters.run_string(interpreter, code)
        assert error is None, error
    """
)


@pytest.mark.parametrize("own_gil", [False, True])
def test_subinterpreters(in_mode, own_gil):
    if own_gil and sys.version_info < (3, 12):
        pytest.skip("interpreters share the GIL before 3.12")
    inside = CHURN + "import goalloc; churn(); goalloc.check(); assert goalloc.mode()"
    code = BEGIN + INTERPRETERS + CHURN + textwrap.dedent(
        f"""
        def work():
            for _ in range(3):
                i = create({own_gil})
                run(i, {inside!r})
                interpreters.destroy(i)
        threads = [threading.Thread(target=work) for _ in range(3)]
        for t in threads: t.start()
        for _ in range(10):
            churn(200)
            goalloc.check()
        for t in threads: t.join()
        goalloc.check()
        print("ok")
        """
    )
    assert in_mode(code) == "ok\n"


@pytest.mark.parametrize("own_gil", [False, True])
def test_private_heaps_in_subinterpreters(python, own_gil):
    if own_gil and sys.version_info < (3, 12):
        pytest.skip("interpreters share the GIL before 3.12")
    inside = (
        "import goalloc\n"
        "with goalloc.Heap() as heap:\n"
        "    heap.free(heap.malloc(100)); heap.check()\n"
        "    try: heap.free(8)\n"
        "    except goalloc.HeapError: pass\n"
    )
    code = INTERPRETERS + textwrap.dedent(
        f"""
        import goalloc
        goalloc.Heap().malloc(5)
        for _ in range(3):
            i = create({own_gil})
            run(i, {inside!r})
            interpreters.destroy(i)
        print("ok", goalloc.Heap().malloc(5) > 0)
        """
    )
    assert python.output("-c", code) == "ok True\n"


# ---- import mode --------------------------------------------------------------------------------


@needs_replaceable
def test_older_blocks_are_passed_on(python):
    code = BEGIN + textwrap.dedent(
        """
        import ctypes
        old = {d: [_core._domain_malloc(d, n) for n in (1, 100, 512, 513, 70_000)] for d in DOMAINS}
        for blocks in old.values():
            for p in blocks: ctypes.memset(p, 7, 1)
        assert goalloc.install() == "import"
        for domain, blocks in old.items():
            for p in blocks[::2]: _core._domain_free(domain, p)
            for p in blocks[1::2]:
                q = _core._domain_realloc(domain, p, 3000)
                assert ctypes.string_at(q, 1) == b"\\x07"
                _core._domain_free(domain, q)
        goalloc.check()
        print("ok")
        """
    )
    assert python.output("-c", code) == "ok\n"


@needs_replaceable
def test_older_blocks_may_grow_into_new_pymalloc_arenas(python):
    code = textwrap.dedent(
        """
        import goalloc
        older = [[i] for i in range(100_000)]  # some MiB, once each has grown
        goalloc.install()
        for each in older:
            each.extend(range(10))
        assert all(goalloc.span_of(id(each)) is None for each in older[::100])
        del each, older
        goalloc.check()
        print("ok")
        """
    )
    assert python.output("-c", code) == "ok\n"


@needs_replaceable
def test_uninstall_ends_launch_mode(python):
    code = BEGIN + CHURN + textwrap.dedent(
        """
        assert goalloc.mode() == "launch"
        kept = [bytearray(n) for n in range(2000)]
        goalloc.uninstall()
        assert goalloc.mode() is None
        others = {d: [_core._domain_malloc(d, 100) for _ in range(10)] for d in DOMAINS}
        assert not any(ours(p) for blocks in others.values() for p in blocks)
        del kept
        churn()
        assert goalloc.install() == goalloc.mode() == "import"
        for d in DOMAINS:
            for p in others[d]:
                _core._domain_free(d, p)
        churn()
        goalloc.check()
        print("ok")
        """
    )
    result = python.run("-c", code)
    assert (result.returncode, result.stdout, result.stderr) == (0, "ok\n", "")


@needs_replaceable
def test_uninstall_frees_our_blocks_forever(python):
    code = BEGIN + CHURN + textwrap.dedent(
        """
        assert goalloc.mode() is None
        for _ in range(3):
            goalloc.install()
            kept = [bytearray(n) for n in range(2000)]
            mine = {d: [_core._domain_malloc(d, 100) for _ in range(10)] for d in DOMAINS}
            goalloc.uninstall()
            assert goalloc.mode() is None
            for d in DOMAINS:
                p = _core._domain_malloc(d, 100)
                assert not ours(p)
                _core._domain_free(d, p)
                for p in mine[d]:
                    assert ours(p)
                    _core._domain_free(d, p)
                    assert not any(p in s.live_addresses() for s in [goalloc.span_of(p)] if s)
            del kept
            churn()
            goalloc.check()
        print("ok")
        """
    )
    assert python.output("-c", code) == "ok\n"


@needs_replaceable
def test_installed_is_a_context_manager(python):
    code = textwrap.dedent(
        """
        import goalloc
        with goalloc.installed() as mode:
            print(mode, goalloc.mode())
            with goalloc.installed(): pass
            print(goalloc.mode())
        print(goalloc.mode())
        try:
            with goalloc.installed(): 1 / 0
        except ZeroDivisionError:
            print(goalloc.mode())
        """
    )
    assert python.output("-c", code) == "import import\nimport\nNone\nNone\n"


def test_the_mode_survives_tracemalloc(in_mode):
    code = CHURN + textwrap.dedent(
        """
        import goalloc, tracemalloc
        tracemalloc.start()
        churn()
        tracemalloc.stop()
        churn()
        goalloc.check()
        print(goalloc.mode())
        """
    )
    assert in_mode(code) == f"{in_mode.mode}\n"


# ---- misuse under Python ------------------------------------------------------------------------

MISUSE = {
    "double free of": "_core._domain_free(d, p); _core._domain_free(d, p)",
    "free of interior pointer": "_core._domain_free(d, p + 8)",
}


@needs_replaceable
@pytest.mark.parametrize("domain", ["raw", "mem", "obj"])
@pytest.mark.parametrize("crime", MISUSE)
def test_misuse_aborts_with_one_line_and_the_python_stack(python, crime, domain):
    code = BEGIN + textwrap.dedent(
        f"""
        import faulthandler; faulthandler.enable()
        def culprit(d={domain!r}):
            p = _core._domain_malloc(d, 100)
            {MISUSE[crime]}
        culprit()
        """
    )
    for result in (python.run("-c", code), python("-c", "import goalloc; goalloc.install()" + code)):
        assert result.returncode == -6
        assert result.stderr.startswith(f"goalloc: fatal: {crime} 0x"), result.stderr
        assert "in culprit" in result.stderr


@needs_replaceable
def test_foreign_pointers_are_fatal_in_launch_mode(python):
    code = BEGIN + "import ctypes; b = ctypes.create_string_buffer(99)\n"
    code += "libc = ctypes.CDLL(None); libc.malloc.restype = ctypes.c_void_p\n"
    code += "_core._domain_free('mem', libc.malloc(100))"
    result = python.run("-c", code)
    assert result.returncode == -6
    assert result.stderr.startswith("goalloc: fatal: free of foreign pointer 0x")

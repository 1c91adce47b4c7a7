"""Wrap mode: what it counts and what it leaves open; and goalloc beside tools that save and restore
the allocators, in every order."""

import shlex
import sys
import sysconfig
import textwrap

import cbuild
import pytest
from pychild import LAUNCHABLE, needs_launch, needs_replaceable
from stock import PROGRAMS
from test_hooks import BEGIN, CHURN, INTERPRETERS

# Of a class that hardly anything in a small program uses; what did is subtracted.
ODD = 26_000
COUNTS = textwrap.dedent(
    f"""
    import goalloc
    from goalloc import _core
    ODD = {ODD}
    def count(noscan):
        c = goalloc.class_stats()[goalloc.size_class_of(ODD).index << 1 | noscan]
        return c.mallocs, c.asked_bytes
    base = [count(0), count(1)]
    def odd(noscan):
        (mallocs, asked), (mallocs0, asked0) = count(noscan), base[noscan]
        return mallocs - mallocs0, asked - asked0
    """
)


@pytest.fixture
def wrapped(python):
    """wrapped(code) -> stdout of the code in a child in wrap mode."""

    def run(code, *options, **more):
        begin = "import goalloc; assert goalloc.install('wrap') == goalloc.mode() == 'wrap'\n"
        return python.output(*options, "-c", begin + code, **more)

    return run


# ---- what is counted ----------------------------------------------------------------------------


@pytest.mark.parametrize("malloc", ["pymalloc", "malloc", "debug"])
@pytest.mark.parametrize("domain", ["raw", "mem", "obj"])
def test_counts_are_exact(wrapped, domain, malloc):
    """Also where pymalloc passes a large block on to the raw domain, which is wrapped as well."""
    # Too much for anybody; but mimalloc makes 64 TiB, which the debug hooks would fill.
    too_much = [(1 << 63) - 1] + [1 << 46] * LAUNCHABLE
    code = COUNTS + textwrap.dedent(
        f"""
        noscan = {domain!r} == "raw"
        assert odd(0) == odd(1) == (0, 0)
        blocks = [_core._domain_malloc({domain!r}, ODD) for _ in range(100)]
        blocks.append(_core._domain_calloc({domain!r}, 2, ODD // 2))
        p = _core._domain_malloc({domain!r}, 10)
        blocks.append(_core._domain_realloc({domain!r}, p, ODD))
        blocks.append(_core._domain_realloc({domain!r}, 0, ODD))
        assert odd(noscan) == (103, 103 * ODD), odd(noscan)
        assert odd(not noscan) == (0, 0), odd(not noscan)
        for n in {too_much}:
            try: _core._domain_malloc({domain!r}, n)
            except MemoryError: pass
        large = goalloc.class_stats()[noscan].asked_bytes
        assert large < 1 << 40
        frees = [_core.wrap_counts()[0], _core.wrap_counts()[0]]
        for p in blocks: _core._domain_free({domain!r}, p)
        frees.append(_core.wrap_counts()[0])
        more = frees[2] - frees[1] - (frees[1] - frees[0])   # without those of asking
        assert 103 <= more < 120, more
        _core._domain_free({domain!r}, 0)
        assert odd(noscan) == (103, 103 * ODD)
        print("ok")
        """
    )
    assert wrapped(code, env={"PYTHONMALLOC": malloc}) == "ok\n"


@pytest.mark.parametrize("outer, mode", [([], "wrap"), (["-X", "dev"], None)])
def test_the_counts_are_of_the_program(python, outer, mode):
    """What goalloc needs to tell them is there before they begin, and telling them adds little."""
    code = textwrap.dedent(
        f"""
        import goalloc, sys
        assert goalloc.install({mode!r}) == "wrap"
        first = goalloc.memstats()
        modules = set(sys.modules)
        second = goalloc.memstats()
        goalloc.class_stats(), str(second)
        assert set(sys.modules) == modules, set(sys.modules) - modules
        assert first.mallocs < 1000, first
        assert second.mallocs - first.mallocs < 1000, (first, second)
        """
    )
    python.output(*outer, "-c", code)


def test_what_cannot_be_known_is_none(wrapped):
    code = textwrap.dedent(
        """
        import goalloc
        m = goalloc.memstats()
        known = {"mallocs", "frees", "total_alloc", "by_size", "note"}
        assert {k for k, v in m._asdict().items() if v is not None} == known
        assert m.mallocs >= sum(b.mallocs for b in m.by_size) > 0
        assert all(b.frees is None for b in m.by_size)
        known = {"span_class", "size_class", "noscan", "elem_size", "span_bytes", "mallocs",
                 "asked_bytes"}
        classes = goalloc.class_stats()
        assert len(classes) == 134
        for c, size in zip(classes[::2], goalloc.size_classes()):
            assert {k for k, v in c._asdict().items() if v is not None} == known
            assert (c.elem_size, c.span_bytes) == (size.size, size.span_bytes)
            assert c.occupancy is None
        for c in classes[2:]:
            assert c.asked_bytes <= c.mallocs * c.elem_size
        assert goalloc.spans() == goalloc.arenas() == [] == list(goalloc.snapshot().spans)
        assert goalloc.span_of(id(m)) is None
        goalloc.check()
        print("ok")
        """
    )
    assert wrapped(code) == "ok\n"


def test_the_displays_say_what_is_known(wrapped):
    code = CHURN + textwrap.dedent(
        """
        import goalloc, pickle
        first = goalloc.snapshot()
        churn()
        second = goalloc.snapshot()
        d = second.diff(first)
        for shown in (goalloc.memstats(), second, d):
            for text in (str(shown), repr(shown)):
                assert "asked" in text or "alloc=None" in text, text
        assert "asked bytes" in str(second) and "asked bytes" in second._repr_html_()
        assert "None" not in str(second) + str(d) + repr(second) + repr(d) + second._repr_html_()
        assert d.memstats.mallocs > 0 and d.memstats.sys is None
        assert all(c.live is None for c in d.classes)
        assert pickle.loads(pickle.dumps(second)) == second
        with goalloc.Heap() as heap:
            for a, b in ((second, heap.snapshot()), (heap.snapshot(), second)):
                try: a.diff(b)
                except ValueError as error: assert "wrap mode" in str(error)
                else: raise AssertionError
        print("ok")
        """
    )
    assert wrapped(code) == "ok\n"


def test_counts_of_threads_outlive_them(wrapped):
    # Before the counts begin: where there is no .pyc, an import compiles.
    code = "import threading, zlib\n" + COUNTS + CHURN + textwrap.dedent(
        """
        def work():
            for _ in range(100):
                for d in ("raw", "mem", "obj"):
                    _core._domain_free(d, _core._domain_malloc(d, ODD))
                zlib.compress(bytes(10_000))     # raw blocks, without the GIL
                churn(10)
        for _ in range(3):
            threads = [threading.Thread(target=work) for _ in range(5)]
            for t in threads: t.start()
            for t in threads: t.join()
        assert odd(1) == (1500, 1500 * ODD), odd(1)
        assert odd(0) == (3000, 3000 * ODD), odd(0)
        print("ok")
        """
    )
    assert wrapped(code) == "ok\n"


def test_a_forked_child_counts_on(wrapped):
    code = "import os, threading, warnings\n" + COUNTS + CHURN + textwrap.dedent(
        """
        warnings.simplefilter("ignore")
        done = threading.Event()
        threads = [threading.Thread(target=lambda: (churn(50), done.wait()), daemon=True) for _ in range(3)]
        for t in threads: t.start()
        blocks = [_core._domain_malloc("obj", ODD) for _ in range(10)]
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                t = threading.Thread(target=lambda: blocks.append(_core._domain_malloc("obj", ODD)))
                t.start(); t.join()
                status = not (goalloc.mode() == "wrap" and odd(0)[0] == 11)
                goalloc.uninstall(); goalloc.install("wrap")
            finally:
                os._exit(status)
        assert os.waitpid(pid, 0)[1] == 0
        assert odd(0)[0] == 10
        done.set()
        print("ok")
        """
    )
    assert wrapped(code) == "ok\n"


@pytest.mark.parametrize("own_gil", [False, True])
def test_subinterpreters(wrapped, own_gil):
    if own_gil and sys.version_info < (3, 12):
        pytest.skip("interpreters share the GIL before 3.12")
    inside = CHURN + textwrap.dedent(
        """
        import goalloc
        churn()
        goalloc.memstats()                # of wrap mode or not: others take it in and out
        assert sum(mallocs for mallocs, _ in goalloc._core.wrap_counts()[1]) > 0
        for _ in range(20):
            goalloc.uninstall()
            goalloc.install("wrap")
        """
    )
    code = INTERPRETERS + CHURN + textwrap.dedent(
        f"""
        import goalloc
        def work():
            for _ in range(3):
                i = create({own_gil})
                run(i, {inside!r})
                interpreters.destroy(i)
        threads = [threading.Thread(target=work) for _ in range(3)]
        for t in threads: t.start()
        for t in threads: t.join()
        churn()
        print(goalloc.mode())
        """
    )
    assert wrapped(code) == "wrap\n"


def test_in_and_out_while_threads_allocate(wrapped):
    code = CHURN + textwrap.dedent(
        """
        import goalloc, hashlib, threading
        stop = False
        data = bytes(100_000)
        def work():
            while not stop:
                churn(50)
                hashlib.new("sha256", data).copy()
        threads = [threading.Thread(target=work) for _ in range(3)]
        for t in threads: t.start()
        for i in range(500):
            goalloc.uninstall()
            assert goalloc.mode() is None
            goalloc.install("wrap")
        stop = True
        for t in threads: t.join()
        print(goalloc.mode())
        """
    )
    assert wrapped(code) == "wrap\n"


# ---- which mode it is ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "outer, env",
    [
        ([], {"PYTHONMALLOC": "debug"}),
        ([], {"PYTHONMALLOC": "malloc"}),
        ([], {"PYTHONMALLOC": "malloc_debug"}),
        ([], {"PYTHONTRACEMALLOC": "3"}),
        (["-X", "dev"], {}),
        (["-X", "tracemalloc"], {}),
        ([], {"PYTHONMALLOC": "mimalloc"}),
        ([], {"PYTHONMALLOC": "mimalloc_debug"}),
    ],
)
def test_install_wraps_where_it_must_not_replace(python, outer, env):
    if "mimalloc" in env.get("PYTHONMALLOC", "") and sys.version_info < (3, 13):
        pytest.skip("no mimalloc in this Python")
    code = CHURN + textwrap.dedent(
        """
        import goalloc
        try:
            goalloc.install("import")
        except goalloc.InstallError as error:
            print(error)
        print(goalloc.mode(), goalloc.install(), goalloc.mode(), churn() > 0)
        goalloc.uninstall()
        print(goalloc.mode(), churn() > 0)
        """
    )
    why, *lines = python.output(*outer, "-c", code, env=env).splitlines()
    assert len(why.split()) > 4
    assert lines == ["None wrap wrap True", "None True"]


@needs_replaceable
def test_install_takes_the_mode_that_is_asked_for(python):
    code = textwrap.dedent(
        """
        import goalloc
        for mode, other in ("import", "wrap"), ("wrap", "import"):
            assert goalloc.install(mode) == goalloc.install() == goalloc.install(mode) == mode
            try: goalloc.install(other)
            except goalloc.InstallError as error: print(error)
            assert goalloc.mode() == mode
            goalloc.uninstall()
            assert goalloc.mode() is None
            with goalloc.installed(mode) as now: assert now == mode
            assert goalloc.mode() is None
        try: goalloc.install("launch")
        except ValueError as error: print(error)
        """
    )
    *told, unknown = python.output("-c", code).splitlines()
    told_of = "goalloc is installed already, in {} mode; uninstall() it first".format
    assert told == [told_of("import"), told_of("wrap")]
    assert unknown == "no mode 'launch' to install; there are 'import' and 'wrap'"


def test_blocks_of_the_time_before_and_after(python):
    """Nothing of wrap mode is in a block: any of them may be freed in any mode."""
    code = BEGIN + textwrap.dedent(
        """
        goalloc.install()
        modes = ["import", "wrap", None] if goalloc.mode() == "import" else ["wrap", None]
        kept = []
        for round in range(20):
            goalloc.uninstall()
            if mode := modes[round % len(modes)]:
                assert goalloc.install(mode) == mode
            for d, p in kept[::2]:
                _core._domain_free(d, _core._domain_realloc(d, p, 2000))
            kept = kept[1::2] + [(d, _core._domain_malloc(d, n))
                                 for d in DOMAINS for n in (1, 100, 513, 5000, 70_000)]
        goalloc.uninstall()
        for d, p in kept: _core._domain_free(d, p)
        goalloc.check()
        print("ok")
        """
    )
    assert python.output("-c", code) == "ok\n"


# ---- beside others ------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def saver(tmp_path_factory):
    library = tmp_path_factory.mktemp("saver") / "saver.so"
    include = shlex.quote(f"-I{sysconfig.get_path('include')}")
    try:
        cbuild.compile_c("-shared", "-fPIC", "-O1", *shlex.split(include),
                         cbuild.CTESTS / "saver.c", "-o", library)  # fmt: skip
    except (cbuild.BuildError, OSError) as error:
        pytest.skip(f"no C compiler for an extension: {error}")
    return library


@pytest.mark.parametrize(
    "malloc, length",
    [
        ("default", 4),
        pytest.param("default", 5, marks=pytest.mark.slow),
        pytest.param("debug", 4, marks=pytest.mark.slow),
        pytest.param("malloc", 4, marks=pytest.mark.slow),
    ],
)
def test_every_order_of_install_and_other_tools(python, saver, malloc, length):
    program = PROGRAMS / "tools_in_order.py"
    done = python.output(program, length, saver, env={"PYTHONMALLOC": malloc})
    assert int(done) == 6**length


@needs_replaceable
@pytest.mark.skipif(sys.version_info < (3, 12), reason="one GIL for all before 3.12")
def test_an_interpreter_that_came_unannounced_is_told_of(python, saver):
    code = textwrap.dedent(
        f"""
        import ctypes, sys; sys.path.insert(0, {str(PROGRAMS)!r})
        import goalloc, interps
        goalloc.install("import")
        ctypes.PyDLL({str(saver)!r}).saver_keep_raw()
        interpreter = interps.create("isolated")
        interps.run(interpreter, "kept = [str(k) for k in range(2000)]")
        interps.destroy(interpreter)
        try: goalloc.check()
        except goalloc.HeapError as error: print("unannounced" in str(error))
        """
    )
    done = python("-c", code)
    assert done.stdout == "True\n", done
    assert done.stderr.count("goalloc: warning: an interpreter came whose memory") == 1


@needs_replaceable
def test_tracemalloc_that_started_first_may_stop_first(python):
    code = CHURN + textwrap.dedent(
        """
        import goalloc, tracemalloc
        tracemalloc.start()
        print(goalloc.install(), goalloc.mode(), churn() > 0)
        tracemalloc.stop()
        print(goalloc.mode(), churn() > 0)
        print(goalloc.install(), goalloc.mode(), churn() > 0)
        """
    )
    assert python.output("-c", code) == "wrap wrap True\nNone True\nimport import True\n"


# ---- launch mode below the debug hooks ----------------------------------------------------------


@pytest.fixture(params=["-X dev", "PYTHONMALLOC=debug", "PYTHONMALLOC=pymalloc_debug"])
def below_hooks(request, python):
    """below_hooks(code) -> the finished child that has the debug hooks on top of goalloc."""
    name, value = request.param.replace("=", " ").split()
    options, env = (["-X", value], {}) if name == "-X" else ([], {name: value})

    def run(code):
        return python(*options, "-m", "goalloc", "run", "-c", code, env=env)

    return run


@needs_launch
def test_launch_below_the_debug_hooks(below_hooks):
    code = BEGIN + CHURN + INTERPRETERS + textwrap.dedent(
        f"""
        import os, tracemalloc, zlib
        assert goalloc.mode() == goalloc.install() == "launch"
        for d in DOMAINS:
            for n in (0, 1, 100, 513, 70_000):
                p = _core._domain_malloc(d, n)
                assert ours(p) and p != goalloc.span_of(p).start and p % 16 == 0
                q = _core._domain_realloc(d, p, 2 * n + 1)
                assert ours(q)
                _core._domain_free(d, q)
        def another():
            i = create(sys.version_info >= (3, 12))
            run(i, "import goalloc; assert goalloc.mode() == 'launch'")
            interpreters.destroy(i)
        def work():
            churn(500)
            zlib.compress(bytes(100_000))
            # CPython 3.12 itself crashes there: it changes the raw domain's allocator for a moment.
            if sys.version_info >= (3, 13):
                another()
        threads = [threading.Thread(target=work) for _ in range(3)]
        for t in threads: t.start()
        for t in threads: t.join()
        another()
        tracemalloc.start()
        churn()
        assert goalloc.mode() == "launch"
        tracemalloc.stop()
        if (pid := os.fork()) == 0:
            churn(100)
            goalloc.check()
            os._exit(goalloc.mode() != "launch")
        assert os.waitpid(pid, 0)[1] == 0
        goalloc.check()
        print("ok")
        """
    )
    done = below_hooks(code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")


@needs_launch
def test_the_debug_hooks_still_find_what_they_are_for(below_hooks):
    code = BEGIN + textwrap.dedent(
        """
        import ctypes
        p = _core._domain_malloc("mem", 10)
        assert ctypes.string_at(p, 10) == b"\\xcd" * 10
        ctypes.memset(p + 10, 0, 1)
        _core._domain_free("mem", p)
        """
    )
    done = below_hooks(code)
    assert done.returncode == -6
    assert "bad trailing pad byte" in done.stderr and "goalloc: fatal" not in done.stderr


@needs_launch
def test_out_from_below_the_debug_hooks_and_in_again(below_hooks):
    code = BEGIN + CHURN + textwrap.dedent(
        """
        kept = [bytearray(n) for n in range(2000)]
        goalloc.uninstall()
        assert goalloc.mode() is None
        others = {d: [_core._domain_malloc(d, 100) for _ in range(10)] for d in DOMAINS}
        assert not any(ours(p) for blocks in others.values() for p in blocks)
        del kept
        churn()
        assert goalloc.install() == goalloc.mode() == "import"
        for d in DOMAINS:
            assert ours(_core._domain_malloc(d, 100))
            for p in others[d]: _core._domain_free(d, p)
        churn()
        goalloc.check()
        print("ok")
        """
    )
    done = below_hooks(code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")

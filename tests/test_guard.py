"""Guarded blocks under Python: every kind of program goes on with them, and what each crime is told as."""

import re
import signal
import sys
import textwrap

import pytest
from pychild import ISOLATED_INTERPRETERS, SANITIZERS, needs_launch, needs_replaceable
from test_crimes import BEGIN, MODES, SIZES

ALL = {"GOALLOC_GUARD": "1"}
GUARDED = BEGIN + textwrap.dedent(
    """
    def guarded(n, domain="obj", at_end=True):
        # A block that is guarded, against the page behind it, or the one before it.
        before = goalloc.set_guard_rate(1)
        blocks = [malloc(n, domain) for _ in range(8)]
        goalloc.set_guard_rate(before)
        for p in blocks:
            if goalloc.span_of(p) is None and (p % 4096 == 0) != at_end:
                return p
        raise AssertionError(blocks)
    """
)
WORK = textwrap.dedent(
    """
    import json, threading, zlib
    def work(rounds=40):
        for i in range(rounds):
            table = {str(n): [n, str(n) * (n % 40)] for n in range(100)}
            assert json.loads(json.dumps(table)) == table
            data = b"".join(bytearray(n) for n in range(0, 40000, 1370))
            assert zlib.decompress(zlib.compress(data)) == data
    threads = [threading.Thread(target=work) for _ in range(3)]
    for t in threads: t.start()
    work()
    for t in threads: t.join()
    """
)


def die(python, mode, code, **env):
    """The lines that a crime leaves, addresses as 0x."""
    code = ("import goalloc; goalloc.install()\n" if mode == "import" else "") + GUARDED + code
    command = ["-m", "goalloc", "run", "-c", code] if mode == "launch" else ["-c", code]
    done = python(*command, env=env)
    assert done.returncode == -signal.SIGABRT, done
    return re.sub("0x[0-9a-f]+", "0x", done.stderr).splitlines()


# ---- programs that do nothing wrong ---------------------------------------------------------------


@pytest.mark.parametrize("rate", ["1", "7", "500"])
def test_programs_run_on_as_ever(in_mode, rate):
    code = WORK + textwrap.dedent(
        """
        import gc, goalloc
        gc.collect()
        goalloc.check()
        m = goalloc.memstats()
        assert m.mallocs - m.frees == m.heap_objects
        print(goalloc.guard_rate())
        """
    )
    assert in_mode(code, env={"GOALLOC_GUARD": rate}) == rate + "\n"


def test_rates(in_mode):
    code = """
        import goalloc
        assert goalloc.guard_rate() == 0
        assert goalloc.set_guard_rate(100) == 0
        assert goalloc.set_guard_rate(0) == 100
        for off in (None, "off"):
            assert (goalloc.set_guard_rate(7), goalloc.set_guard_rate(off)) == (0, 7)
        for wrong in (-1, 1 << 60, "5", True, 1.5):
            try: goalloc.set_guard_rate(wrong)
            except (ValueError, TypeError) as error: print(str(error).split(" (")[0])
        assert goalloc.guard_rate() == 0
        """
    no_number = "n must be a number, for one in so many blocks, None or 'off', not "
    said = "not a rate from 0\n" * 2 + "".join(f"{no_number}{wrong}\n" for wrong in ("'5'", True, 1.5))
    assert in_mode(textwrap.dedent(code)) == said


def test_one_in_so_many(in_mode):
    """On average, in each domain, small and large."""
    code = BEGIN + textwrap.dedent(
        """
        def count(domain, n, rate, blocks):
            goalloc.set_guard_rate(rate)
            made = [malloc(n, domain) for _ in range(blocks)]
            goalloc.set_guard_rate(0)
            found = sum(goalloc.span_of(p) is None for p in made)
            for p in made: free(p, domain)
            return found
        for domain in ("raw", "mem", "obj"):
            for n in (5, 100, 5000, 50_000):
                assert count(domain, n, 0, 1000) == 0
                assert count(domain, n, 1, 100) == 100
                few = count(domain, n, 50, 4000)
                assert 30 <= few <= 150, (domain, n, few)
        assert count("obj", 200_000, 1, 10) == 0     # too large
        print("ok")
        """
    )
    assert in_mode(code) == "ok\n"


def test_the_pool_is_bounded_and_counted(in_mode):
    code = BEGIN + textwrap.dedent(
        """
        before = goalloc.memstats()
        goalloc.set_guard_rate(1)
        made = [malloc(100) for _ in range(2000)]
        goalloc.set_guard_rate(0)
        guarded = [p for p in made if goalloc.span_of(p) is None]
        assert 256 <= len(guarded) <= 1000, len(guarded)   # the more there are, the fewer come in
        m = goalloc.memstats()
        assert m.other_sys - before.other_sys >= 4096 * len(guarded)
        assert m.sys == (m.heap_sys + m.stack_sys + m.mspan_sys + m.mcache_sys
                         + m.buck_hash_sys + m.gc_sys + m.other_sys)
        for p in made: free(p)
        print("ok")
        """
    )
    assert in_mode(code) == "ok\n"


@pytest.mark.parametrize("rate", ["4", "20"])
def test_what_stays_from_the_start_leaves_room_for_later_blocks(in_mode, rate):
    code = BEGIN + textwrap.dedent(
        """
        stays = [malloc(100) for _ in range(20_000)]
        later = [malloc(100) for _ in range(20_000)]
        print(sum(goalloc.span_of(p) is None for p in later) >= 10)
        """
    )
    assert in_mode(code, env={"GOALLOC_GUARD": rate}) == "True\n"


@needs_launch
def test_a_pool_that_fills_up_is_told_of_once(python):
    code = BEGIN + textwrap.dedent(
        """
        stays = [malloc(9) for _ in range(100_000)]
        later = [malloc(9) for _ in range(40_000)]
        print(any(goalloc.span_of(p) is None for p in later))
        """
    )
    done = python.run("-c", code, env=ALL)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (0, "True\n", 1), done
    assert re.fullmatch(
        r"goalloc: warning: \d+ guarded blocks live, half of what there is room for: of the blocks to be "
        r"guarded only one in 256 is now; a larger GOALLOC_GUARD leaves more room\n", done.stderr
    )


def test_realloc_and_calloc(in_mode):
    code = BEGIN + textwrap.dedent(
        """
        for domain in ("raw", "mem", "obj"):
            for n in (1, 100, 5000, 50_000):
                goalloc.set_guard_rate(1)
                p = malloc(n, domain)
                ctypes.memset(p, 7, n)
                q = realloc(p, 2 * n, domain)        # guarded to guarded
                goalloc.set_guard_rate(0)
                assert goalloc.span_of(p) is goalloc.span_of(q) is None
                r = realloc(q, 3 * n, domain)        # to one like any other
                assert goalloc.span_of(r) is not None and ctypes.string_at(r, n) == bytes([7]) * n
                goalloc.set_guard_rate(1)
                s = realloc(r, 100_001, domain)      # and back
                assert goalloc.span_of(s) is None and ctypes.string_at(s, n) == bytes([7]) * n
                z = _core._domain_calloc(domain, n, 1)
                assert goalloc.span_of(z) is None and ctypes.string_at(z, n) == bytes(n)
                goalloc.set_guard_rate(0)
                free(s, domain)
                free(z, domain)
        print("ok")
        """
    )
    assert in_mode(code) == "ok\n"


def test_fork_with_threads(in_mode):
    code = WORK + textwrap.dedent(
        """
        import os, warnings
        warnings.simplefilter("ignore")
        background = [threading.Thread(target=work) for _ in range(2)]
        for t in background: t.start()
        for _ in range(10):
            pid = os.fork()
            if pid == 0:
                work(3)
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
        for t in background: t.join()
        print("ok")
        """
    )
    assert in_mode(code, env={"GOALLOC_GUARD": "20"}) == "ok\n"


@needs_replaceable
def test_in_and_out_again(python):
    code = GUARDED + textwrap.dedent(
        """
        for _ in range(3):
            goalloc.install()
            ours = {d: guarded(700, d) for d in ("raw", "mem", "obj")}
            goalloc.set_guard_rate(1)
            assert goalloc.mode() == "import"
            goalloc.set_guard_rate(0)
            goalloc.uninstall()
            for d, p in ours.items():
                free(realloc(p, 900, d), d)
        print("ok")
        """
    )
    assert python.output("-c", code) == "ok\n"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="interpreters share the GIL before 3.12")
def test_interpreters_with_a_gil_of_their_own(in_mode):
    assert in_mode(ISOLATED_INTERPRETERS, env={"GOALLOC_GUARD": "3"}) == "ok\n"


def test_not_in_a_debugging_run(in_mode):
    code = """
        import goalloc
        try: goalloc.set_guard_rate(1)
        except RuntimeError as error: print(error)
        """
    said = "in a debugging run (GOALLOC_DEBUG) every block is watched, and none is guarded\n"
    assert in_mode(textwrap.dedent(code), env={"GOALLOC_DEBUG": "1"}) == said


@needs_launch
def test_a_debugging_run_says_that_it_guards_nothing(python):
    done = python.run("-c", "print('ok')", env={"GOALLOC_DEBUG": "1", **ALL})
    assert (done.returncode, done.stdout) == (0, "ok\n")
    assert done.stderr == (
        "goalloc: warning: GOALLOC_GUARD is ignored: in a debugging run (GOALLOC_DEBUG) every block is "
        "watched, and none is guarded\n"
    )


# ---- crimes ---------------------------------------------------------------------------------------

BLOCK = "obj block 0x of N bytes"
CRIMES = {
    "write past the end": (
        "p = guarded(N); ctypes.memset(p + N, 0, 1)",
        f"overflow of {BLOCK}: write to 0x, 0 bytes behind its end",
    ),
    "read past the end": (
        "p = guarded(N); ctypes.string_at(p + N, 1)",
        f"overflow of {BLOCK}: read of 0x, 0 bytes behind its end",
    ),
    "by another thread": (
        "p = guarded(N); other_memset(p + N, 0, 1)",
        f"overflow of {BLOCK}: write to 0x, 0 bytes behind its end",
    ),
    "write before the start": (
        "p = guarded(N, at_end=False); ctypes.memset(p - 5, 0, 1)",
        f"underflow of {BLOCK}: write to 0x, 5 bytes before its start",
    ),
    "past the end, in its page": (
        "p = guarded(N, at_end=False); ctypes.memset(p + N, 0, 1); free(p)",
        f"overflow of {BLOCK} at byte N, found by PyObject_Free",
    ),
    "before the start, in its page": (
        "p = guarded(N); ctypes.memset(p - 5, 0, 1); realloc(p, 5)",
        f"underflow of {BLOCK}, 5 bytes before its start, found by PyObject_Realloc",
    ),
    "write after free": (
        "p = guarded(N); free(p); ctypes.memset(p + 3, 0, 1)",
        f"use after free of {BLOCK}: write to 0x, at byte 3",
    ),
    "read after free, much later": (
        "p = guarded(N); free(p); goalloc.free_os_memory(); ps = [malloc(N) for _ in range(9999)]\n"
        "ctypes.string_at(p, 1)",
        f"use after free of {BLOCK}: read of 0x, at byte 0",
    ),
    "write after realloc": (
        "p = guarded(N); q = realloc(p, 2 * N); ctypes.memset(p, 0, 1)",
        f"use after free of {BLOCK}: write to 0x, at byte 0",
    ),
    "double free": (
        "p = guarded(N); free(p); free(p)",
        "double free of 0x (guarded obj block of N bytes, now by PyObject_Free)",
    ),
    "double free by another thread": (
        "p = guarded(N); other_free(p); free(p)",
        "double free of 0x (guarded obj block of N bytes, now by PyObject_Free)",
    ),
    "realloc of freed": (
        "p = guarded(N); free(p); realloc(p, 5)",
        "realloc of freed 0x (guarded obj block of N bytes)",
    ),
    "free of the middle": (
        "p = guarded(N); free(p + 16)",
        "free of interior pointer 0x (guarded obj block 0x of N bytes)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize("crime", CRIMES)
def test_caught(python, mode, size, crime):
    code, line = CRIMES[crime]
    n = str(SIZES[size] // 16 * 16)  # or a few bytes are left before the next page
    lines = die(python, mode, code.replace("N", n))
    assert lines[0] == "goalloc: fatal: " + line.replace("N", n)


@needs_launch
def test_every_domain_mixed_up(python):
    from test_crimes import FREE, REALLOC

    for whose in FREE:
        for called in FREE:
            if whose == called:
                continue
            make = f"p = guarded(200, {whose!r}); "
            lines = die(python, "launch", make + f"free(p, {called!r})")
            assert lines[0] == f"goalloc: fatal: {whose} block 0x freed by {FREE[called]}"
            lines = die(python, "launch", make + f"realloc(p, 9, {called!r})")
            assert lines[0] == f"goalloc: fatal: {whose} block 0x reallocated by {REALLOC[called]}"


# ---- stacks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_the_report_shows_where_the_block_was_made_and_freed(python, mode):
    code = textwrap.dedent(
        """
        def make(): return guarded(208)
        def drop(p): free(p)
        def crime(p): ctypes.memset(p, 0, 1)
        p = make()
        t = threading.Thread(target=drop, args=(p,), name="cleaner")
        t.start()
        t.join()
        crime(p)
        """
    )
    lines = die(python, mode, code)
    assert lines[0] == "goalloc: fatal: use after free of obj block 0x of 208 bytes: write to 0x, at byte 0"
    freed = next(i for i, line in enumerate(lines) if line.startswith("freed by thread "))
    made, dropped = lines[1:freed], lines[freed:]
    assert re.fullmatch(r"allocated by thread \d+ \(.*\), most recent call first:", made[0])
    assert [line.split()[-1] for line in made[1:]][-3:] == ["guarded", "make", "<module>"]
    assert [line.split()[-1] for line in dropped[1:]][:2] == ["free", "drop"]
    for line in made[1:] + dropped[1:]:
        assert re.fullmatch(r'  File "[^"]+", line \d+ in \S+', line), line


@needs_launch
def test_a_deep_stack_is_cut(python):
    code = "def deep(n): return guarded(208) if n == 0 else deep(n - 1)\np = deep(100); ctypes.memset(p + 208, 0, 1)"
    lines = die(python, "launch", code)
    assert len(lines) < 40 and lines[-1] == "  <truncated>"


# ---- other handlers -------------------------------------------------------------------------------

ELSEWHERE = "import ctypes; ctypes.string_at(64, 1)"


@pytest.mark.parametrize("mode", MODES)
def test_faulthandler_shows_the_stack_of_the_crime(python, mode):
    code = "import faulthandler; faulthandler.enable()\ndef crime(): ctypes.memset(p + 208, 0, 1)\n"
    lines = die(python, mode, code + "p = guarded(208); crime()")
    assert lines[0].startswith("goalloc: fatal: overflow of obj block 0x of 208 bytes")
    assert "Fatal Python error: Aborted" in lines
    assert any(line.endswith("in crime") for line in lines)


@needs_launch
def test_who_comes_after_the_last_block_hands_on(python):
    """Faulthandler shows the stack first."""
    code = "import faulthandler\np = guarded(208)\nfaulthandler.enable(); free(p); ctypes.memset(p, 0, 1)"
    lines = die(python, "launch", code)
    told = "goalloc: fatal: use after free of obj block 0x of 208 bytes: write to 0x, at byte 0"
    assert lines[0] == "Fatal Python error: Segmentation fault" and told in lines


# AddressSanitizer has the last handler then, and ends the process in its own way.
needs_the_last_word = pytest.mark.skipif("address" in SANITIZERS, reason="ASan handles SIGSEGV itself")


@needs_the_last_word
@pytest.mark.parametrize("before", ["", "faulthandler.enable(); "])
@pytest.mark.parametrize("after", ["", "faulthandler.enable(); ", "faulthandler.disable(); "])
def test_faults_elsewhere_are_none_of_ours(in_mode, python, before, after):
    code = f"import goalloc, faulthandler; {before}goalloc.set_guard_rate(1); {after}" + ELSEWHERE
    if in_mode.mode == "launch":
        done = python.run("-c", code)
    else:
        done = python("-c", "import goalloc; goalloc.install()\n" + code)
    assert done.returncode == -signal.SIGSEGV
    assert "goalloc: " not in done.stderr
    shown = "Fatal Python error: Segmentation fault" in done.stderr
    assert shown == ("enable" in after or ("enable" in before and "disable" not in after))


@needs_the_last_word
@pytest.mark.parametrize("send", ["signal.raise_signal(11)", "os.kill(os.getpid(), 11)"])
def test_a_signal_that_was_sent_still_kills(in_mode, python, send):
    code = f"import goalloc, os, signal; goalloc.set_guard_rate(1); {send}; print('alive')"
    if in_mode.mode == "launch":
        done = python.run("-c", code)
    else:
        done = python("-c", "import goalloc; goalloc.install()\n" + code)
    assert (done.returncode, done.stdout) == (-signal.SIGSEGV, "")

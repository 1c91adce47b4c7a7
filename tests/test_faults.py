"""Memory that can't be had, under Python: MemoryError comes, the program goes on, nothing is lost.

By the limits of the process, and by calls of the system that fail when they are told to.
"""

import textwrap

import pytest
from pychild import needs_replaceable
from stock import MODES

pytestmark = needs_replaceable
MIB = 1 << 20


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("mib", [150])
def test_little_data(programs, mode, mib):
    """RLIMIT_AS is in test_programs.py."""
    status, stdout, stderr = programs.same(mode, "poor", mib * MIB, "RLIMIT_DATA")
    assert (status, stderr) == (0, "")
    assert "False" not in stdout


@pytest.mark.parametrize("which", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_threads_with_little_memory(in_mode, which):
    """Raw blocks that can't be had without the GIL, in many threads at once."""
    nbytes = 600 * MIB if which == "RLIMIT_AS" else 150 * MIB
    code = textwrap.dedent(
        f"""
        import goalloc, resource, threading, zlib
        # Loaded now: memory that is free again is goalloc's still, and no room for a library.
        goalloc.check()
        resource.setrlimit(resource.{which}, ({nbytes}, {nbytes}))
        threading.stack_size(256 << 10)
        failed = []
        def work(seed):
            begin.wait()                # the stacks of the others need memory too
            try:
                kept = []
                while True:
                    kept.append(zlib.compressobj())     # some 250 KiB each
            except (MemoryError, zlib.error):
                failed.append(seed)
        for turn in range(3):
            begin = threading.Event()
            threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
            for t in threads: t.start()
            begin.set()
            for t in threads: t.join()
            goalloc.check()
            print(sorted(failed), len(zlib.compress(bytes(10**6))))
            failed.clear()
        """
    )
    assert in_mode(code) == "[0, 1, 2, 3] 991\n" * 3


# ---- calls that fail when they are told to --------------------------------------------------------

DOOR = textwrap.dedent(
    """
    import gc, os, random, sys, threading, zlib
    import goalloc
    from goalloc import _core
    heap = _core.process_heap()
    # CPython says SystemError where it finds no memory for the stack of frames, and zlib its own.
    NO_MEMORY = MemoryError, SystemError, zlib.error

    def work():
        '''Takes memory of all kinds, some 30 MiB, and drops it.'''
        kept = [bytes(n) for n in range(0, 40_000, 97)]
        kept += [bytearray(3 << 20), [None] * (1 << 18), {n: str(n) for n in range(30_000)}]
        kept.append(zlib.compressobj(9))
        kept[-2].update((str(n), n) for n in range(30_000))
        kept[-4].extend(bytes(5 << 20))
        return len(kept)

    def attempt(k, onwards):
        '''Did memory run out?'''
        heap._fail_os_call(k, onwards)
        try:
            work()
            return False
        except NO_MEMORY:
            return True
        finally:
            heap._fail_os_call(0, False)
    """
)


@pytest.mark.parametrize("layout", ["sparse", "linear"])
def test_the_kth_call_of_the_system_fails(in_mode, layout, seed):
    """Each in a forked process, for which the memory at hand is as little as for the first."""
    code = DOOR + textwrap.dedent(
        f"""
        rng = random.Random({seed})
        goalloc.set_scavenge_delay(None)             # no calls but those of the work

        def left(k, onwards):
            '''Of a process in which the k-th call failed: how many calls there were, whether memory
            ran out, and how many blocks more live when the work has been done once more.'''
            read, write = os.pipe()
            if (pid := os.fork()) == 0:
                status = 1
                try:
                    start, before = heap._os_calls(), goalloc.memstats().heap_objects
                    came = attempt(k, onwards)
                    calls = heap._os_calls() - start
                    goalloc.check()
                    work()
                    gc.collect()
                    goalloc.check()
                    found = [calls, came, goalloc.memstats().heap_objects - before]
                    os.write(write, repr(found).encode())
                    status = 0
                finally:
                    os._exit(status)
            os.close(write)
            with os.fdopen(read) as file: text = file.read()
            assert os.waitpid(pid, 0)[1] == 0, (k, onwards)
            return eval(text)

        calls, came, blocks = left(0, False)
        assert not came and calls > 50
        k, ran_out = 1, 0
        while k <= calls:
            onwards = rng.random() < 0.5
            _, came, live = left(k, onwards)
            ran_out += came
            assert abs(live - blocks) < 50, (k, onwards, live, blocks)
            k += rng.randint(1, 1 + k // 4)
        assert ran_out > 5, ran_out
        assert work() and goalloc.check() is None
        print("ok")
        """
    )
    assert in_mode(code, env={"GOALLOC_LAYOUT": layout}) == "ok\n"


def test_calls_fail_while_threads_work_and_others_fork(in_mode):
    code = DOOR + textwrap.dedent(
        """
        import warnings
        warnings.simplefilter("ignore")
        expected = work()
        stop = threading.Event()
        def task(seed):
            while not stop.is_set():
                try: work()
                except NO_MEMORY: pass
        goalloc.set_scavenge_delay(0.001)
        threads = [threading.Thread(target=task, args=(n,), daemon=True) for n in range(3)]
        for t in threads: t.start()
        for n in range(16):
            heap._fail_os_call(1 + n % 7, n % 2 == 0)
            for call in work, goalloc.free_os_memory:
                try: call()
                except NO_MEMORY: pass
            heap._fail_os_call(0, False)
            goalloc.check()
            if n % 4 == 0:
                if (pid := os.fork()) == 0:
                    attempt(2, True)
                    status = 1
                    try:
                        goalloc.check()
                        status = work() != expected
                    finally:
                        os._exit(status)
                assert os.waitpid(pid, 0)[1] == 0
        stop.set()
        for t in threads: t.join()
        goalloc.check()
        print("ok", work() == expected)
        """
    )
    assert in_mode(code) == "ok True\n"


@pytest.mark.parametrize("what", ["snapshot", "memstats", "spans", "check", "class_stats", "arenas"])
def test_what_looks_at_the_heap_can_run_out_too(in_mode, what):
    code = DOOR + textwrap.dedent(
        f"""
        kept = [bytes(n) for n in range(0, 40_000, 7)]
        for k in range(1, 40):
            heap._fail_os_call(k, True)
            try:
                goalloc.{what}()
            except NO_MEMORY:
                pass
            finally:
                heap._fail_os_call(0, False)
        goalloc.check()
        goalloc.{what}()
        print("ok")
        """
    )
    assert in_mode(code) == "ok\n"

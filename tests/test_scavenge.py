"""Memory goes back to the system by itself, in living processes.

tests/c/test_scavenger.c and its neighbours have the cases; here are the GIL, forks, and the system.
No test here looks at how long a thing takes: it waits until it has come.
"""

import ctypes
import shlex
import subprocess
import sys
import sysconfig

import pytest
from pychild import needs_replaceable
from stock import MODES, PROGRAMS

import goalloc

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

SOON = "goalloc.set_scavenge_delay(0.02)\n"
IDLE = f"import sys; sys.path.insert(0, {str(PROGRAMS)!r})\nimport goalloc\nfrom idle import *\n"


@pytest.fixture
def in_idle_mode(in_mode):
    """in_mode with programs/idle.py at hand and a short delay."""
    return lambda code, **options: in_mode(IDLE + SOON + code, **options)


# ---- by the clock -------------------------------------------------------------------------------


def test_an_idle_process_gives_back(in_idle_mode):
    code = (
        "x = blocks()\n"
        "before = goalloc.memstats()\n"
        "del x\n"
        "wait_until(all_is_back)\n"
        "after = goalloc.memstats()\n"
        "print(after.heap_released - before.heap_released > 25 * MIB)\n"
        "print(after.scavenged_bytes - before.scavenged_bytes > 25 * MIB)\n"
        "print(after.scavenge_ns > before.scavenge_ns)\n"
        "goalloc.check()\n"
    )
    assert in_idle_mode(code) == "True\nTrue\nTrue\n"


@pytest.mark.parametrize("how", ["a thread", "a delay", "more memory"])
def test_a_small_program_of_one_thread_is_left_alone(in_mode, how):
    """glibc's locks are faster while a process has one thread; a second is forever."""
    code = (
        "import ctypes, os, threading, time, goalloc\n"
        "def name_of(task):\n"
        "    try: return open(f'/proc/self/task/{task}/comm').read()\n"
        "    except (FileNotFoundError, ProcessLookupError): return ''\n"  # it has just ended
        "def has_ours():\n"
        "    return 'goalloc\\n' in map(name_of, os.listdir('/proc/self/task'))\n"
        "def work(n=300):\n"
        "    x = [bytes(3000) for _ in range(n)]; del x; time.sleep(0.005)\n"
        "try:\n"
        "    alone = ctypes.c_ubyte.in_dll(ctypes.CDLL(None), '__libc_single_threaded')\n"
        "except ValueError:\n"  # another C library, or an older one: it doesn't tell
        "    alone = ctypes.c_ubyte(0)\n"
        "for _ in range(40): work()\n"
        "print(alone.value == 0 or not has_ours())\n"
        f"how = {how!r}\n"
        "if how == 'a thread':\n"
        "    thread = threading.Thread(target=work); thread.start(); thread.join()\n"
        "elif how == 'a delay': goalloc.set_scavenge_delay(1)\n"
        "else: work(20_000)\n"
        "while not has_ours(): work()\n"
        "print(alone.value)\n"
    )
    assert in_mode(code) == "True\n0\n"


@pytest.mark.parametrize("delay", ["1", "0.5"])  # the default is asked for as any other
def test_a_small_program_may_ask_for_its_memory_to_go_back(in_mode, delay):
    code = IDLE + "x = [bytes(3000) for _ in range(1000)]; del x\nwait_until(all_is_back)\n"
    assert in_mode(code, env={"GOALLOC_SCAVENGE_DELAY": delay}) == ""


def test_pages_inside_spans_go_back(in_idle_mode):
    code = (
        "x = some(blocks(600_000))\n"
        "def swept():\n"
        "    'vacant pages have gone back'\n"
        "    return goalloc.memstats().heap_inuse_released > 8 * MIB\n"
        "wait_until(swept)\n"
        "wait_until(all_is_back)\n"
        "assert all(thing == bytes(len(thing)) for thing in x)\n"
        "x += blocks(600_000)\n"  # they come again with what is put on them
        "print(goalloc.memstats().heap_inuse_released < 2 * MIB)\n"
        "goalloc.check()\n"
    )
    assert in_idle_mode(code) == "True\n"


def test_never(in_idle_mode):
    code = (
        "goalloc.set_scavenge_delay(None)\n"
        "wait_until(is_alone)\n"
        "x = blocks(); before = goalloc.memstats(); del x\n"
        "time.sleep(0.3)\n"
        "after = goalloc.memstats()\n"
        "print(after.scavenged_bytes - before.scavenged_bytes, threads())\n"
        "goalloc.set_scavenge_delay(0)\n"
        "wait_until(all_is_back)\n"
    )
    assert in_idle_mode(code) == "0 1\n"


def test_the_thread_comes_and_goes(in_idle_mode):
    code = (
        "for turn in range(5):\n"
        "    blocks()\n"
        "    wait_until(lambda: threads() == 2, 0.001)\n"
        "    wait_until(is_alone)\n"
        "    assert all_is_back(), kept()\n"
        "print('done')\n"
    )
    assert in_idle_mode(code) == "done\n"


def test_caches_of_idle_threads_age(in_idle_mode):
    code = (
        "import threading, zlib\n"
        "def waiting(): return sum(k.cached * k.elem_size for k in goalloc.class_stats() if k.noscan)\n"
        "ready, go_on = threading.Barrier(21), threading.Event()\n"
        "def work():\n"
        "    for n in range(1000, 200_000, 9000): zlib.decompress(zlib.compress(bytes(n)))\n"
        "    ready.wait(); go_on.wait()\n"
        "goalloc.set_scavenge_delay(None)\n"
        "workers = [threading.Thread(target=work) for _ in range(20)]\n"
        "for t in workers: t.start()\n"
        "ready.wait(); before = waiting()\n"
        "goalloc.set_scavenge_delay(0.02)\n"
        "def aged():\n"
        "    'the caches of the threads are empty'\n"
        "    return waiting() < before // 20\n"
        "wait_until(aged)\n"
        "wait_until(all_is_back)\n"
        "go_on.set()\n"
        "for t in workers: t.join()\n"
        "print(before > 20 * 1000)\n"
        "goalloc.check()\n"
    )
    assert in_idle_mode(code) == "True\n"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="one GIL for all before 3.12")
def test_interpreters_with_a_gil_of_their_own(in_idle_mode):
    code = (
        "import interps\n"
        "others = [interps.create('isolated') for _ in range(3)]\n"
        "for turn in range(3):\n"
        "    for i in others:\n"
        "        interps.run(i, 'x = [bytes(40 + i * 7 % 400) for i in range(100_000)]; del x')\n"
        "    blocks()\n"
        "    wait_until(all_is_back)\n"
        "print(goalloc.memstats().scavenged_bytes > 100 * MIB)\n"
        "goalloc.check()\n"
        "for i in others: interps.destroy(i)\n"
    )
    assert in_idle_mode(code) == "True\n"


def test_after_uninstall(in_idle_mode):
    code = (
        "x = blocks()\n"
        "goalloc.uninstall()\n"
        "del x\n"
        "wait_until(all_is_back)\n"
        "wait_until(is_alone)\n"
        "goalloc.check()\n"
        "print(goalloc.memstats().heap_released > 25 * MIB)\n"
    )
    assert in_idle_mode(code) == "True\n"


# ---- settings -----------------------------------------------------------------------------------


@needs_replaceable
def test_delays_and_limits_return_the_former_one(in_mode):
    code = (
        "import goalloc\n"
        "delay, limit = goalloc.set_scavenge_delay, goalloc.set_memory_limit\n"
        "print([delay(s) for s in [2, 0.25, 0, None, float('inf'), 9223372036, 1e-9]])\n"
        "print(goalloc.scavenge_delay())\n"
        "print([limit(n) for n in [1 << 40, '1TiB', 'off', None, None, '3GiB', None]])\n"
        "print(goalloc.memory_limit())\n"
    )
    assert in_mode(code) == (
        "[1.0, 2.0, 0.25, 0.0, None, None, 9223372036.0]\n1e-09\n"
        "[None, 1099511627776, 1099511627776, None, None, None, 3221225472]\nNone\n"
    )


@pytest.mark.parametrize(
    "value, error, text",
    [
        (-1, ValueError, "seconds must be at least 0, None or 'off', not -1"),
        (float("nan"), ValueError, "seconds must be at least 0, None or 'off', not nan"),
        (float("-inf"), ValueError, "seconds must be at least 0, None or 'off', not -inf"),
        ("1", TypeError, "seconds must be a delay in seconds, None or 'off', not '1'"),
        (True, TypeError, "seconds must be a delay in seconds, None or 'off', not True"),
        ([1], TypeError, "seconds must be a delay in seconds, None or 'off', not [1]"),
    ],
)
def test_what_is_no_delay(value, error, text):
    before = goalloc.scavenge_delay()
    with pytest.raises(error) as caught:
        goalloc.set_scavenge_delay(value)
    assert text in str(caught.value)
    assert goalloc.scavenge_delay() == before


@pytest.mark.parametrize(
    "value, error, text",
    [
        (0, ValueError, "not a size above 0 such as 512MiB, 'cgroup' or 'off': 0"),
        ("0", ValueError, "not a size above 0 such as 512MiB, 'cgroup' or 'off': '0'"),
        (-1, ValueError, "not a size above 0 such as 512MiB, 'cgroup' or 'off': -1"),
        ("lots", ValueError, "not a size above 0 such as 512MiB, 'cgroup' or 'off': 'lots'"),
        ("-1", ValueError, "not a size above 0 such as 512MiB, 'cgroup' or 'off': '-1'"),
        (1.5, TypeError, "a limit in bytes, a size such as '512MiB', or None, not 1.5"),
        (True, TypeError, "a limit in bytes, a size such as '512MiB', or None, not True"),
        (b"1MiB", TypeError, "or None, not b'1MiB'"),
        (2**64, ValueError, "nbytes must be below 2**63, or None"),
        (2**63, ValueError, "nbytes must be below 2**63, or None"),
    ],
)
def test_what_is_no_limit(value, error, text):
    before = goalloc.memory_limit()
    with pytest.raises(error) as caught:
        goalloc.set_memory_limit(value)
    assert text in str(caught.value)
    assert goalloc.memory_limit() == before


def test_the_limit_is_held(in_idle_mode):
    code = (
        "goalloc.set_scavenge_delay(None)\n"
        "limit = ready() + 40 * MIB\n"
        "goalloc.set_memory_limit(limit)\n"
        "most = 0\n"
        "for turn in range(30):\n"
        "    x = blocks(100_000) if turn % 2 else [bytearray(MIB - turn * 999) for _ in range(25)]\n"
        "    most = max(most, ready()); del x\n"
        "    most = max(most, ready())\n"
        "print(most <= limit, most > limit - 20 * MIB)\n"
        "x = blocks(400_000)\n"  # more than the limit: it must be had all the same
        "print(ready() > limit, kept())\n"
        "del x\n"
        "blocks(1000)\n"
        "print(ready() <= limit + 8192)\n"  # what asks takes a page at most
        "goalloc.check()\n"
    )
    assert in_idle_mode(code) == "True True\nTrue 0\nTrue\n"


# ---- the system's own count ---------------------------------------------------------------------

RSS = """
def rss():
    with open("/proc/self/smaps_rollup") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("Rss:"))
def heap_rss():
    spans, inside, total = [(a.start, a.start + a.size) for a in goalloc.arenas()], False, 0
    with open("/proc/self/smaps") as file:
        for line in file:
            word = line.split()[0]
            if "-" in word:
                low = int(word.split("-")[0], 16)
                inside = any(a <= low < b for a, b in spans)
            elif word == "Rss:" and inside:
                total += int(line.split()[1]) << 10
    return total
def given():
    m = goalloc.memstats()
    return m.heap_released + m.heap_inuse_released
"""


@pytest.mark.parametrize("keep", [0, 100])
def test_the_system_counts_the_same(in_idle_mode, keep):
    code = RSS + (
        "goalloc.set_scavenge_delay(None)\n"
        "x = blocks(1_500_000)\n"
        f"x = some(x) if {keep} else None\n"
        "goalloc.memstats(); rss(); given()\n"  # what they need themselves they have now
        "before, had = rss(), given()\n"
        "returned = goalloc.free_os_memory()\n"
        "after, has = rss(), given()\n"
        "print(returned > 200 * MIB)\n"
        "print(abs((before - after) - (has - had)) <= (has - had) / 100 or (before - after, has - had))\n"
        "print(abs((before - after) - returned) <= returned / 100 or (before - after, returned))\n"
        "goalloc.check()\n"
    )
    assert in_idle_mode(code) == "True\nTrue\nTrue\n"


def test_the_pages_of_the_heap(in_idle_mode):
    """Of the arenas nothing is resident but what the heap says; new pages may not be touched yet."""
    code = RSS + (
        "goalloc.set_scavenge_delay(None)\n"
        "def ours():\n"
        "    m = goalloc.memstats()\n"
        "    return m.heap_sys + m.stack_sys - m.heap_released - m.heap_inuse_released\n"
        "x = blocks(600_000); y = some(x)\n"
        "heap_rss()\n"
        "for turn in range(2):\n"
        "    goalloc.free_os_memory()\n"
        "    before, resident, after = ours(), heap_rss(), ours()\n"  # to look takes memory too
        "    print(0.95 * before - MIB <= resident <= after or (before, resident, after))\n"
        "    x = None\n"
    )
    assert in_idle_mode(code) == "True\nTrue\n"


# ---- fork, and the end --------------------------------------------------------------------------

FORK = """
import warnings
warnings.simplefilter("error")
def child():
    blocks(30_000)
    wait_until(all_is_back)
    os._exit(3)
for turn in range(30):
    x = blocks(20_000); del x
    if turn % 3: # else none is started again in so short a time
        wait_until(lambda: threads() == 2 or not blocks(3000), 0.001)
    pid = os.fork()
    if pid == 0:
        os._exit(3) if turn % 5 else child()
    status = os.waitpid(pid, 0)[1]
    assert os.waitstatus_to_exitcode(status) == 3, status
blocks(1000)
wait_until(lambda: all_is_back() or not blocks(1000))
goalloc.check()
print("done")
"""


def test_fork_while_it_works(in_idle_mode):
    """It is not counted among the threads that CPython warns of, and starts again on both sides."""
    assert in_idle_mode(FORK) == "done\n"


@pytest.fixture(scope="module")
def forks(tmp_path_factory):
    library = tmp_path_factory.mktemp("forks") / "forks.so"
    compiler = shlex.split(sysconfig.get_config_var("CC") or "cc")
    subprocess.run(
        [*compiler, "-shared", "-fPIC", PROGRAMS / "forks.c", "-o", library], check=True
    )
    ctypes.CDLL(str(library))
    return library


def test_threads_that_fork_at_once(in_idle_mode, forks):
    code = (
        "import ctypes, threading\n"
        f"forks = ctypes.CDLL({str(forks)!r}).forks\n"
        "bad = []\n"
        "workers = [threading.Thread(target=lambda: bad.append(forks(60))) for _ in range(3)]\n"
        "for t in workers: t.start()\n"
        "while any(t.is_alive() for t in workers): blocks(3000)\n"
        "goalloc.check()\n"
        "print(bad)\n"
    )
    assert in_idle_mode(code) == "[0, 0, 0]\n"


@pytest.mark.parametrize("how", ["", "os._exit(0)", "os.execv('/bin/true', ['true'])"])
def test_the_end_while_it_works(in_idle_mode, how):
    for turn in range(6):
        code = f"goalloc.set_scavenge_delay({turn % 3 * 0.004})\nx = blocks(); del x[::2]\n{how}"
        assert in_idle_mode(code) == ""


@needs_replaceable
@pytest.mark.parametrize("mode", MODES)
def test_a_thread_beside_the_end(programs, mode, tmp_path):
    """A daemon thread makes and frees while the interpreter ends under it."""
    script = tmp_path / "ends.py"
    script.write_text(
        IDLE + SOON + "import threading\n"
        "def work():\n"
        "    while True: blocks(2000)\n"
        "for _ in range(3): threading.Thread(target=work, daemon=True).start()\n"
        "time.sleep(0.1)\n"
    )
    for _ in range(4):
        done = programs.ours(mode, script)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr

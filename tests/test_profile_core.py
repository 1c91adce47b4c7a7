"""The heap profile as the core tells it: what is counted, when, and in which mode.

tests/c/test_profile.c has the profile of a heap alone, exact to the byte; here it is that of a process.
"""

import pytest
from pychild import needs_launch
from stock import PROGRAMS
from test_interpreters import KINDS

import goalloc
from goalloc import _core

SITES = f"""
import sys; sys.path.insert(0, {str(PROGRAMS)!r})
import sites
from goalloc import _core
"""


@pytest.fixture
def profiled(in_any_mode):
    """profiled(code) -> stdout of the code, which may use sites and _core, in a child."""

    def run(code, **options):
        return in_any_mode(SITES + code, **options)

    run.mode = in_any_mode.mode
    return run


def test_every_block_is_counted(profiled, seed):
    assert profiled(f"print(sites.exact(20000, {seed}))") == "[{}, {}, {}, {}]\n"


ESTIMATE = """
def site(n): return [_core._domain_malloc("obj", 1500) for _ in range(n)]
def free(blocks):
    for p in blocks: _core._domain_free("obj", p)
before = _core.set_profile_rate(20000)
kept = site(60000)
for _ in range(5):
    free(site(20000))
raw = _core.profile_read()
for field, true in (("allocs", 160000), ("frees", 100000)):
    objects, variance = sites.estimate(raw, (1500, 1536), field)
    assert abs(objects - true) < 5 * variance ** 0.5, (field, objects, variance)
assert before == 512 << 10
print("within chance")
"""


def test_estimates_are_within_chance(profiled):
    assert profiled(ESTIMATE) == "within chance\n"


INTERLEAVED = """
from goalloc import HeapProfile

def interleaved(n):
    malloc, free = _core._domain_malloc, _core._domain_free
    for _ in range(n):
        a = malloc("obj", 65536)
        b = malloc("mem", 1024)
        c = malloc("obj", 32768)
        d = malloc("raw", 512)
        e = malloc("mem", 16384)
        f = malloc("obj", 256)
        free("obj", a), free("mem", b), free("obj", c), free("raw", d), free("mem", e), free("obj", f)

def small(n):
    malloc, free = _core._domain_malloc, _core._domain_free
    for _ in range(n):
        a = malloc("obj", 1024)
        b = malloc("mem", 512)
        c = malloc("raw", 256)
        free("obj", a), free("mem", b), free("raw", c)

def check(function, n, sizes):
    function(n)
    raw = _core.profile_read()
    objects = [0.0, 0.0]  # of all lines, and the variance of that
    first = function.__code__.co_firstlineno + 3
    for line, size in enumerate(sizes, first):
        here = [s for s in raw["samples"] if s[1] == size
                and raw["locations"][raw["stacks"][s[0]][0]][1] == line]
        mine = {**raw, "samples": here}
        for field in "allocs", "frees":
            estimate, variance = sites.estimate(mine, (size,), field)
            assert abs(estimate - n) < 5 * variance ** 0.5, (line, size, field, estimate)
        objects = [objects[0] + estimate, objects[1] + variance]
        p = HeapProfile._from_core(mine)  # what users see: cut to whole blocks once for each bucket
        assert abs(p.total("alloc_objects") - estimate) <= len(p), (line, p)
        assert abs(p.total("alloc_space") - estimate * size) <= len(p), (line, p)
        assert p.total("inuse_objects") == p.total("inuse_space") == 0
    assert abs(objects[0] - n * len(sizes)) < 5 * objects[1] ** 0.5, objects

_core.set_profile_rate(16 << 10)
check(interleaved, 20000, (65536, 1024, 32768, 512, 16384, 256))
check(small, 60000, (1024, 512, 256))
print("each line has its own")
"""


def test_interleaved_allocations_are_told_apart_by_line(profiled):
    """As Go's heapsampling test: neighbours of large and small sizes, then of small ones; blocks and
    bytes of each line, and of all of them, none at the others' expense."""
    assert profiled(INTERLEAVED) == "each line has its own\n"


RATES = """
def site(): return [_core._domain_malloc("obj", 3000) for _ in range(100)]
def count():
    raw = _core.profile_read()
    return sum(s[5] - s[6] for s in raw["samples"] if s[1] in (3000, 3072) and s[2] == 1)
assert _core.set_profile_rate(1) == _core.profile_rate() << 19
first = site()
assert count() == 100
assert _core.set_profile_rate(0) == 1 and _core.profile_rate() == 0
second = site()
assert count() == 100
_core.set_profile_rate(1)
third = site()
assert count() == 200
_core.set_profile_rate(0)
for p in first + second + third: # what has been sampled is followed to its end
    _core._domain_free("obj", p)
assert count() == 0
print("followed")
"""


def test_the_rate_changes_while_it_runs(profiled):
    assert profiled(RATES) == "followed\n"


PEAK = """
def site(n): return [_core._domain_malloc("mem", 3000) for _ in range(n)]
def free(blocks):
    for p in blocks: _core._domain_free("mem", p)
def counts():
    raw = _core.profile_read()
    mine = [s for s in raw["samples"] if s[1] in (3000, 3072) and s[2] == 1]
    return sum(s[5] - s[6] for s in mine), sum(s[7] for s in mine), raw["peak_time_ns"]
_core.set_profile_rate(1)
_core.profile_reset_peak()
free(site(10000))
some = site(1000)
inuse, peak, when = counts()
assert (inuse, peak) == (1000, 10000), (inuse, peak)
_core.profile_reset_peak()
free(some[:500])
inuse, peak, again = counts()
assert inuse == 500 and peak == 1000 and again > when, (inuse, peak)
print("peaks")
"""


def test_peak(profiled):
    assert profiled(PEAK) == "peaks\n"


def test_blocks_and_samples_are_of_one_moment(profiled):
    code = """
from array import array
_core.set_profile_rate(1)
kept = [bytearray(5000) for _ in range(1000)]
raw = _core.profile_read(blocks=True)
_core.set_profile_rate(0)
addresses, numbers = array("Q", raw["block_addresses"]), array("I", raw["block_samples"])
assert len(addresses) == len(numbers) == sites.inuse(raw) == len(set(addresses))
for number, sample in enumerate(raw["samples"]):
    assert numbers.count(number) == sample[5] - sample[6]
assert "block_addresses" not in _core.profile_read()
print("same")
"""
    assert profiled(code) == "same\n"


@needs_launch
def test_profile_and_memstats_agree(python):
    """With every block sampled from the first one on, the heap holds what the profile says."""
    code = """
import gc, json, decimal, goalloc
gc.disable()
kept = [str(i) * 3 for i in range(20000)], [decimal.Decimal(i) for i in range(2000)]
a = goalloc.memstats().heap_alloc
raw = _core.profile_read()
b = goalloc.memstats().heap_alloc
inuse = sum(s[1] * (s[5] - s[6]) for s in raw["samples"])
assert all(s[2] == 1 for s in raw["samples"])
assert abs(inuse - a) < 20000 and inuse < b, (a, inuse, b) # what memstats() itself makes
goalloc.check()
print(raw["rate"], raw["dropped_samples"])
"""
    done = python.run("-c", SITES + code, env={"GOALLOC_PROFILE_RATE": "1"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "1 0\n", "")


def test_memory_is_counted(profiled):
    code = """
_core.set_profile_rate(1)
kept = [bytearray(10) for _ in range(50000)]
memory = _core.profile_read()["memory"]
numbers, _ = _core.process_heap().memstats() # those of memstats(), which has none in wrap mode
_core.set_profile_rate(0)
sys, heap, stack, mspan, mcache, buck_hash, gc, other = [
    numbers[i] for i in (2, 6, 12, 14, 16, 17, 18, 19)
]
assert 50000 * 16 < memory <= buck_hash < 2 * memory
print(sys == heap + stack + mspan + mcache + buck_hash + gc + other)
"""
    assert profiled(code) == "True\n"


THREADS = """
import threading
def work(n):
    kept = []
    while not stop.is_set():
        kept.append(bytearray(n % 3000 + 100))
        if len(kept) > 200:
            del kept[::2]
        p = _core._domain_malloc("raw", 40 + n % 900)
        _core._domain_free("raw", p)
        n += 7
stop = threading.Event()
threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
for t in threads: t.start()
for i in range(40):
    raw = _core.profile_read(blocks=True)
    assert sites.inuse(raw) * 8 == len(raw["block_addresses"])
    _core.set_profile_rate((1, 1000, 100000, 0)[i % 4])
    if i % 8 == 0:
        goalloc.check()
        _core.profile_reset_peak()
stop.set()
for t in threads: t.join()
goalloc.check()
print("done")
"""


def test_threads_allocate_while_it_is_read(profiled):
    assert profiled("import goalloc\n" + THREADS) == "done\n"


FORK = """
import os, threading, goalloc
def work():
    while not stop.is_set():
        _core._domain_free("raw", _core._domain_malloc("raw", 500))
        [bytearray(1000) for _ in range(20)]
def parent_site(): return [_core._domain_malloc("obj", 3000) for _ in range(50)]
def count():
    raw = _core.profile_read()
    return sum(s[5] - s[6] for s in raw["samples"] if s[1] in (3000, 3072) and s[2] == 1)
_core.set_profile_rate(1)
stop = threading.Event()
threads = [threading.Thread(target=work) for _ in range(3)]
for t in threads: t.start()
blocks = parent_site()
for i in range(20):
    pid = os.fork()
    if pid == 0:
        ok = count() == 50
        for p in blocks: _core._domain_free("obj", p)
        ok = ok and count() == 0
        goalloc.check()
        os._exit(0 if ok else 9)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert count() == 50
stop.set()
for t in threads: t.join()
goalloc.check()
print("forked")
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_fork_while_others_allocate(profiled):
    code = "import warnings; warnings.simplefilter('ignore')\n" + FORK
    assert profiled(code) == "forked\n"


FORKS = """
import array, os, zlib
_core.set_profile_rate(32 << 10)
def child():
    blocks = [_core._domain_malloc("obj", 1500) for _ in range(3000)]
    sampled = set(array.array("Q", _core.profile_read(blocks=True)["block_addresses"]))
    return zlib.crc32(bytes(p in sampled for p in blocks))
choices = set()
for _ in range(8):
    reads, writes = os.pipe()
    if (pid := os.fork()) == 0:
        os.write(writes, b"%d" % child())
        os._exit(0)
    os.waitpid(pid, 0)
    choices.add(os.read(reads, 100))
print(len(choices))
"""


def test_forks_draw_their_samples_apart(profiled):
    """Of the same work each samples others: what is merged of many is nearer to the truth."""
    assert profiled(FORKS) == "8\n"


INTERPRETERS = """
import goalloc, interps
CODE = "def inner():\\n    return [bytes(3000) for _ in range(300)]\\nx = inner()"
_core.set_profile_rate(1)
i = interps.create(sys.argv[1])
interps.run(i, CODE)
raw = _core.profile_read(blocks=True)
goalloc.check()
mine = [s for s in raw["samples"] if s[1] in (sys.getsizeof(bytes(3000)), 3072) and "inner" in sites.function_of(raw, s)]
assert sum(s[5] - s[6] for s in mine) == 300, mine
interps.destroy(i)
raw = _core.profile_read(blocks=True)
assert sites.inuse(raw) * 8 == len(raw["block_addresses"])
mine = [s for s in raw["samples"] if s[1] in (sys.getsizeof(bytes(3000)), 3072) and "inner" in sites.function_of(raw, s)]
goalloc.check()
print(sum(s[5] - s[6] for s in mine))
"""


@pytest.mark.parametrize("kind", KINDS)
def test_interpreters(profiled, kind):
    assert profiled(f"sys.argv[1:] = [{kind!r}]\n{INTERPRETERS}") == "0\n"


def test_after_uninstall_frees_are_seen(profiled):
    """Ours still come back to us; of the allocator below nothing more is known, and counts as freed."""
    code = """
import goalloc
_core.set_profile_rate(1)
blocks = [_core._domain_malloc("obj", 3000) for _ in range(50)]
def count():
    samples = _core.profile_read()["samples"]
    return sum(s[5] - s[6] for s in samples if s[1] in (3000, 3072) and s[2] == 1)
counts = [count()]
goalloc.uninstall()
counts.append(count())
for p in blocks: _core._domain_free("obj", p)
counts.append(count())
goalloc.check()
print(*counts)
"""
    assert profiled(code) == ("50 0 0\n" if profiled.mode == "wrap" else "50 50 0\n")


def test_a_heap_of_its_own_is_not_sampled(profiled):
    code = """
import goalloc
_core.set_profile_rate(1)
with goalloc.Heap() as heap:
    before = sum(s[5] for s in _core.profile_read()["samples"] if s[1] == 7000 or s[1] == 8192)
    for _ in range(100): heap.malloc(7000)
    after = sum(s[5] for s in _core.profile_read()["samples"] if s[1] == 7000 or s[1] == 8192)
    assert heap.memstats().buck_hash_sys == 0
print(after - before < 50)
"""
    assert profiled(code) == "True\n"


def test_small_noscan_requests_are_whole_blocks(profiled):
    code = """
_core.set_profile_rate(1)
def site(): return [_core._domain_malloc("raw", n % 15 + 1) for n in range(300)]
blocks = site()
def count(): return sum(s[5] - s[6] for s in _core.profile_read()["samples"]
                        if s[3] == 0 and "site" in sites.function_of(_core.profile_read(), s))
counts = [count()]
for p in blocks[::2]: _core._domain_free("raw", p)
counts.append(count())
_core.set_profile_rate(0)
for p in blocks[1::2]: _core._domain_free("raw", p)
print(*counts, count())
"""
    assert profiled(code) == "300 150 0\n"


def test_deep_stacks_are_cut_and_marked(profiled):
    code = """
sys.setrecursionlimit(20000)
def deep(n): return deep(n - 1) if n else _core._domain_malloc("mem", 3000)
_core.set_profile_rate(1)
p = deep(500)
raw = _core.profile_read()
_core.set_profile_rate(0)
[stack] = [raw["stacks"][s[0]] for s in raw["samples"] if s[1] in (3000, 3072) and s[2] == 1]
names = [raw["functions"][raw["locations"][l][0]][0] for l in stack]
assert names == ["deep"] * 128 + ["<truncated>"], (len(names), names[-2:])
print(raw["truncated_stacks"] >= 1)
"""
    assert profiled(code) == "True\n"


@needs_launch
@pytest.mark.parametrize("text, rate", [("64KiB", 65536), ("1", 1), ("0", 0), ("off", 0), (None, 1 << 19)])
def test_the_environment_says_the_rate(python, text, rate):
    env = {} if text is None else {"GOALLOC_PROFILE_RATE": text}
    code = "from goalloc import _core; print(_core.profile_rate())"
    assert python.run("-c", code, env=env).stdout == f"{rate}\n"
    for mode in ("import", "wrap"):
        install = f"import goalloc; goalloc.install({mode!r}); "
        assert python.output("-c", install + code, env=env) == f"{rate}\n"


@pytest.mark.parametrize("rate, error", [
    (-1, ValueError), (2**51, ValueError), (2**70, ValueError), ("1", TypeError), (1.5, TypeError),
])
def test_rates_that_are_none(rate, error):
    before = _core.profile_rate()
    with pytest.raises(error):
        _core.set_profile_rate(rate)
    assert _core.profile_rate() == before


def test_the_profile_without_a_mode():
    """In a process that goalloc does not serve there is one all the same."""
    assert goalloc.mode() is not None or sum(s[5] for s in _core.profile_read()["samples"]) == 0

"""Large blocks as Python programs use them: bytearrays and bytes that grow, zeroed memory.

What is not copied and not touched shows in counts: page faults of the process, its resident pages.
"""

import ctypes
import resource

import pytest

MIB = 1 << 20
PAGE = resource.getpagesize()

GROW = """
import resource
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def pattern(i):
    return (i * 2654435761 >> 7).to_bytes(4, "little") * (STEP // 4)
STEP, END = 1 << 20, {end}
blocks, fences = [bytearray() for _ in range({n})], []
before = faults()
for i in range(END // STEP):
    for b in blocks:
        b += pattern(i)
        fences.append(bytes(40_000)) if {fenced} else None
touched = faults() - before
for b in blocks:
    assert len(b) == END
    view = memoryview(b)
    for i in range(END // STEP):
        assert view[i * STEP:][:STEP] == pattern(i)
print(touched)
"""


@pytest.mark.parametrize("fenced", [False, True])
def test_a_bytearray_grows_without_being_copied(in_mode, fenced):
    """Every page of it is touched once, where a copy would touch its new place too: at least as
    often as it has doubled.  Fences behind it force it to move."""
    end = 200 * MIB
    touched = int(in_mode(GROW.format(end=end, n=1, fenced=fenced)))
    fences = end // MIB * 40_000 if fenced else 0
    assert touched < 1.1 * (end + fences) / PAGE + 1000


def test_several_grow_beside_each_other(in_mode):
    end, n = 40 * MIB, 4
    touched = int(in_mode(GROW.format(end=end, n=n, fenced=False)))
    assert touched < 1.25 * n * end / PAGE + 1000  # sources go back, and are faulted in again


@pytest.mark.parametrize("kind", ["bytes", "str"])
def test_strings_grow_in_a_loop(in_mode, kind):
    code = f"""
x, part = {kind}(), {"b'x'" if kind == "bytes" else "'x'"} * 50_000
for i in range(400):
    x += part
assert len(x) == 400 * 50_000 and x == part * 400
print(len(x))
"""
    assert in_mode(code) == f"{400 * 50_000}\n"


def resident():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * PAGE


def test_zeroed_memory_is_not_touched(heap):
    """Neither fresh pages, nor those given back, nor those that a block has been moved away from."""
    n = 64 * MIB
    before = resident()
    p = heap.calloc(n)
    assert resident() < before + n // 8
    ctypes.memset(p, 1, n)
    heap.free(p)
    heap.free_os_memory()
    p = heap.calloc(n)
    assert resident() < before + n // 8
    ctypes.memset(p, 1, n)
    heap.malloc(40_000)
    q = heap.realloc(p, 2 * n)
    assert q != p
    before = resident()
    assert heap.calloc(n) == p
    assert resident() < before + n // 8


def test_shrinking_gives_pages_back(heap):
    p = heap.malloc(10 * MIB)
    ctypes.memset(p, 1, 10 * MIB)
    for n in (9 * MIB + 1, 9 * MIB, 5 * MIB, 40_000):
        before = heap.memstats()
        assert heap.realloc(p, n) == p
        assert heap.usable_size(p) == -(-n // 8192) * 8192
        after = heap.memstats()
        assert after.heap_inuse - before.heap_inuse == heap.usable_size(p) - before.heap_alloc
        assert after.heap_sys == before.heap_sys
    assert ctypes.string_at(p, 40_000) == b"\1" * 40_000

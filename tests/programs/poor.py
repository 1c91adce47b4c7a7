"""poor.py LIMIT [RESOURCE]: with little memory MemoryError comes, goes, and the program works on.

RESOURCE is RLIMIT_AS, the address space, or RLIMIT_DATA, what may be written.
"""

import ctypes
import resource
import sys

import goalloc
import work

LIMIT = int(sys.argv[1])
RESOURCE = getattr(resource, (*sys.argv, "RLIMIT_AS")[2])
if resource.getrlimit(RESOURCE)[0] != LIMIT:
    resource.setrlimit(RESOURCE, (LIMIT, LIMIT))


def fails(function):
    try:
        function()
    except MemoryError:
        return True
    return False


def fill_up(size):
    kept = []
    while True:
        kept.append(bytes(size))


expected = work.churn(1)
for size in (60, 700, 5000, 40_000, 1 << 20, 1 << 26):
    print(size, fails(lambda size=size: fill_up(size)), work.churn(1) == expected)
    goalloc.check()
print(fails(lambda: [0] * (1 << 40)), fails(lambda: "x" * (1 << 45)))
print(fails(lambda: {n: str(n) for n in range(10**9)}), fails(lambda: bytearray(LIMIT)))
assert ctypes.pythonapi.PyMem_RawMalloc(ctypes.c_size_t(1 << 40)) == 0
print(work.churn(1) == expected)
goalloc.check()

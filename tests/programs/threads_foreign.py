"""Threads that Python did not start: of pthread_create, with and without the GIL, many in turn."""

import ctypes
import threading

import goalloc
import work

libc = ctypes.CDLL(None)
BODY = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
found = []
lock = threading.Lock()


@BODY
def body(argument):
    result = work.churn(argument, 60), work.compress(argument, 1)
    with lock:
        found.append((argument, result))
    return None


def start(function, argument):
    thread = ctypes.c_ulong()
    assert libc.pthread_create(ctypes.byref(thread), None, function, ctypes.c_void_p(argument)) == 0
    return thread


for first in range(1, 60, 6):
    threads = [start(body, first + n) for n in range(6)]
    work.churn(first)
    for thread in threads:
        libc.pthread_join(thread, None)
goalloc.check()
# Threads without any Python: their only call is one of the raw domain.
raw_free = ctypes.cast(libc.PyMem_RawFree, ctypes.c_void_p)
raw_malloc = ctypes.cast(libc.PyMem_RawMalloc, ctypes.c_void_p)
libc.PyMem_RawMalloc.restype = ctypes.c_void_p
for n in range(1, 50):
    address = libc.PyMem_RawMalloc(ctypes.c_size_t(n * 100))
    threads = [start(raw_free, address), start(raw_malloc, n)]
    for thread in threads:
        libc.pthread_join(thread, None)
goalloc.check()
print(sorted(found))

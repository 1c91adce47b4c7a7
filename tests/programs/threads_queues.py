"""Blocks made by one thread and freed by another: objects with the GIL, raw blocks without it."""

import ctypes
import queue
import random
import threading

import goalloc
import work

# CDLL calls without the GIL.
libpython = ctypes.CDLL(None)
raw_malloc, raw_realloc, raw_free = (
    getattr(libpython, name) for name in ("PyMem_RawMalloc", "PyMem_RawRealloc", "PyMem_RawFree")
)
raw_malloc.argtypes, raw_malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
raw_realloc.argtypes, raw_realloc.restype = [ctypes.c_void_p, ctypes.c_size_t], ctypes.c_void_p
raw_free.argtypes, raw_free.restype = [ctypes.c_void_p], None

THREADS, ROUNDS = 6, 400
queues = [queue.Queue() for _ in range(THREADS)]
sums = [0] * THREADS


def fill(address, size, value):
    ctypes.memset(address, value, size)
    return address, size, value


def make(rng):
    size, value = rng.choice(work.SIZES), rng.randrange(256)
    address, size, value = fill(raw_malloc(size), size, value)
    if value % 3 == 0:
        shorter = size // 2 + 1
        address, size = raw_realloc(address, shorter), min(size, shorter)
    return address, size, value, bytes([value]) * size, {value: [str(value)] * 9}


def take(address, size, value, text, kept):
    assert ctypes.string_at(address, size) == text and kept[value][8] == str(value)
    raw_free(address)
    return size


def task(n):
    rng = random.Random(n)
    for _ in range(ROUNDS):
        queues[(n + 1) % THREADS].put(make(rng))
        if rng.random() < 0.5:
            work.compress(n, 1)
        sums[n] += take(*queues[n].get())


for _ in range(2):  # threads that end, and others after them
    threads = [threading.Thread(target=task, args=(n,)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    goalloc.check()
print(sums)

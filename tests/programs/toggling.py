"""install() and uninstall() in turn, while threads and interpreters allocate and free."""

import ctypes
import os
import threading

import goalloc
import interps
import work

stop = threading.Event()
expected = work.churn(1, 100), work.compress(1, 1)


def busy():
    while not stop.is_set():
        assert (work.churn(1, 100), work.compress(1, 1)) == expected


def reallocs():
    """Raw, and without the GIL: at any moment of a change of the table."""
    api = ctypes.CDLL(None)
    api.PyMem_RawRealloc.restype = ctypes.c_void_p
    api.PyMem_RawRealloc.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    api.PyMem_RawFree.argtypes = [ctypes.c_void_p]
    block = None
    while not stop.is_set():
        for size in (100, 600, 100_000, 20_000, 200_000):
            block = api.PyMem_RawRealloc(block, size)
            assert block
    api.PyMem_RawFree(block)


CODE = """
import sys; sys.path.insert(0, folder)
import os, time, work
while not os.path.exists(end):
    work.churn(1, 100)
    time.sleep(0.001)  # before 3.12 nobody in another interpreter can ask for the GIL
"""


def busy_interpreter(kind, end):
    i = interps.create(kind)
    interps.run(i, CODE, folder=folder, end=end)
    interps.destroy(i)


folder = os.path.dirname(os.path.abspath(__file__))
end = os.path.abspath("end")
threads = [threading.Thread(target=f) for f in (busy, busy, busy, reallocs)]
threads += [threading.Thread(target=busy_interpreter, args=(kind, end)) for kind in interps.KINDS]
for thread in threads:
    thread.start()
kept = []
for turn in range(100):
    goalloc.install()
    kept += [bytearray(n) for n in range(0, 3000, 7)]
    goalloc.uninstall()
    kept += [bytearray(n) for n in range(0, 3000, 7)]
    assert work.churn(1, 100) == expected[0]
    del kept[: turn * 9]
    goalloc.check()
stop.set()
open(end, "w").close()
for thread in threads:
    thread.join()
goalloc.check()
print("done")

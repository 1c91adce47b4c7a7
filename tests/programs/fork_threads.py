"""Forks while threads allocate, from a thread too; the children have threads and children."""

import os
import sys
import threading
import warnings

import goalloc
import work

warnings.simplefilter("ignore", DeprecationWarning)
# Without a GIL the busy threads run at once, and leave the children little of the processors.
GIL = getattr(sys, "_is_gil_enabled", lambda: True)()
BUSY, FORKS = (4, 10) if GIL else (2, 3)
stop = threading.Event()


def busy(seed):
    while not stop.is_set():
        work.churn(seed, 40)
        work.compress(seed, 1)


def check_wait(pid):
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def child(depth):
    """What a forked process does; ends it."""
    try:
        results = work.all_results([lambda: work.churn(1), lambda: work.compress(1)])
        assert results == expected, results
        goalloc.check()
        if depth:
            pid = os.fork()
            if pid == 0:
                child(depth - 1)
            check_wait(pid)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)


def fork_often(count, depth):
    for _ in range(count):
        pid = os.fork()
        if pid == 0:
            child(depth)
        check_wait(pid)


expected = [work.churn(1), work.compress(1)]
threads = [threading.Thread(target=busy, args=(n,)) for n in range(BUSY)]
for thread in threads:
    thread.start()
fork_often(FORKS, 2)
forkers = [threading.Thread(target=fork_often, args=(FORKS - 2, 0)) for _ in range(2)]
for thread in forkers:
    thread.start()
for thread in forkers:
    thread.join()
stop.set()
for thread in threads:
    thread.join()
goalloc.check()
print(expected)

"""fork_interpreters.py KIND: forks after interpreters have come and gone; more come later.

None is there at the fork: CPython itself dies or hangs in a child that loses one.
"""

import os
import sys
import threading
import warnings

import goalloc
import interps
import work

warnings.simplefilter("ignore", DeprecationWarning)
KIND = sys.argv[1]


def use(count):
    alive = [interps.create(KIND) for _ in range(count)]
    for i in alive:
        interps.run(i, "kept = [bytes(n) for n in range(2000)]")
    for i in alive:
        interps.destroy(i)


def child():
    try:
        assert work.churn(1) == expected
        use(2)
        goalloc.check()
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)


stop = threading.Event()


def busy(seed):
    while not stop.is_set():
        work.churn(seed, 40)


threads = [threading.Thread(target=busy, args=(n,)) for n in range(2)]
for thread in threads:
    thread.start()
expected = work.churn(1)
statuses = []
for count in (0, 2, 3):
    use(count)
    pid = os.fork()
    if pid == 0:
        child()
    statuses.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
stop.set()
for thread in threads:
    thread.join()
use(1)
goalloc.check()
print(expected, statuses)

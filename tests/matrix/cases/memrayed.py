"""memray, which traces Python's allocators, and goalloc, started and stopped in every order.

An order is a string of steps: m and M start and stop memray, i and w install goalloc in import mode and
to wrap, I installs it as it can be, u uninstalls it.  Each runs in a process of its own.
"""

import itertools
import os

import goalloc
import memray
import work

ENDS = {"m": "M", "i": "u", "w": "u", "I": "u"}


def orders():
    """All ways to start memray and goalloc, and end them or not, twice."""
    for mode in "iwI":
        for steps in set(itertools.permutations(("m", "M", mode, "u"))):
            order = "".join(steps)
            if order.index("m") < order.index("M"):
                yield from (order, order + order, mode + order)


def install(mode):
    try:
        goalloc.install(mode)
    except goalloc.InstallError as error:
        assert len(str(error).split()) > 4
        return
    assert goalloc.mode() in ((mode,) if mode else ("import", "wrap", "launch"))


def play(order):
    trackers = []

    def start():
        trackers.append(memray.Tracker(f"{os.getpid()}-{at}.bin", trace_python_allocators=True))
        trackers[-1].__enter__()

    steps = {
        "m": start,
        "M": lambda: trackers.pop().__exit__(None, None, None),
        "i": lambda: install("import"),
        "w": lambda: install("wrap"),
        "I": lambda: install(None),
        "u": goalloc.uninstall,
    }
    expected, kept = work.churn(1, 60), []
    for at, step in enumerate(order):
        steps[step]()
        kept.append([bytearray(n) for n in range(0, 3000, 7)])
        del kept[:-2][::2]
        assert work.churn(1, 60) == expected
        goalloc.check()


total = 0
for order in sorted(orders()):
    total += 1
    if (pid := os.fork()) == 0:
        status = 1
        try:
            play(order)
            status = 0
        finally:
            os._exit(status)
    if status := os.waitpid(pid, 0)[1]:
        raise SystemExit(f"{order}: {os.waitstatus_to_exitcode(status)}")
print(total, "orders")

"""tools_in_order.py LENGTH SAVER: all sequences of LENGTH steps of goalloc and of two tools that save
the allocators when they start and restore them when they stop: tracemalloc, and the library SAVER
(tests/c/saver.c).  After each step mode() must be what a block says.  Prints how many there were."""

import ctypes
import faulthandler
import itertools
import sys
import tracemalloc

import goalloc
import work
from goalloc import _core

faulthandler.enable()
length = int(sys.argv[1])
saver = ctypes.PyDLL(sys.argv[2])

running = []  # tools, the last one started on top
start = {"tracemalloc": tracemalloc.start, "saver": saver.saver_start}
stop = {"tracemalloc": tracemalloc.stop, "saver": saver.saver_stop}


def switch(tool):
    if tool not in running:
        start[tool]()
        running.append(tool)
    elif running[-1] == tool:  # two tools that don't nest break each other without us
        stop[tool]()
        running.pop()


def installed(mode):
    try:
        goalloc.install(mode)
    except goalloc.InstallError as error:
        return str(error)
    return None


steps = {
    "install": lambda: installed(None),
    "import": lambda: installed("import"),
    "wrap": lambda: installed("wrap"),
    "uninstall": goalloc.uninstall,
    "tracemalloc": lambda: switch("tracemalloc"),
    "saver": lambda: switch("saver"),
}


def truth():
    """What a block says, from each domain."""
    found = set()
    for domain in ("raw", "mem", "obj"):
        before = sum(m for m, _ in _core.wrap_counts()[1])
        blocks = [_core._domain_malloc(domain, 700) for _ in range(50)]
        # What counting itself allocates is far less than these.
        counted = sum(m for m, _ in _core.wrap_counts()[1]) - before >= 50
        ours = all(goalloc.span_of(p) is not None for p in blocks)
        found.add("import" if ours else "wrap" if counted else None)
        for p in blocks:
            _core._domain_free(domain, p)
    return found


def told(step, error, before):
    now = goalloc.mode()
    assert truth() == {now}, (now, truth())
    if step == "install":
        assert now is not None and error is None
    elif step == "uninstall":
        assert now is None
    elif step in ("import", "wrap"):
        assert (now == step) == (error is None), error
    elif before is None:
        assert now is None or step in start
    work.churn(1, 1)


sequences = 0
kept = []
for sequence in itertools.product(steps, repeat=length):
    sequences += 1
    for step in sequence:
        before = goalloc.mode()
        try:
            told(step, steps[step](), before)
        except AssertionError as error:
            raise AssertionError(sequence, step, running) from error
        kept.append([step, bytearray(600)])
        del kept[:-20:2]
    while running:
        switch(running[-1])
    goalloc.uninstall()
    assert goalloc.mode() is None
goalloc.check()
print(sequences)

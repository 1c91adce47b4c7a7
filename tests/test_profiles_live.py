"""The profile of a running program: what it says is what the program did."""

import json

import pytest
from pychild import needs_launch, needs_replaceable

import goalloc

EVERY = {"GOALLOC_PROFILE_RATE": "1"}

# Known allocations: 1000 blocks kept, 500 not, and 200 in a thread with a name.
PROGRAM = """
import gc, json, threading
import goalloc

def keep(n):
    return [bytes(2000) for _ in range(n)]

def churn(n):
    for _ in range(n):
        bytes(3000)

class Worker:
    def fill(self):
        self.kept = keep(200)
        ready.set()
        go_on.wait()

before = goalloc.heap_profile()
kept = keep(1000)
churn(500)
ready, go_on = threading.Event(), threading.Event()
worker = Worker()
thread = threading.Thread(target=worker.fill, name="filler-7")
thread.start()
ready.wait()
p = goalloc.heap_profile().diff(before)
go_on.set()
thread.join()

def numbers(p):
    return {name: p.total(name) for name in (
        "alloc_objects", "alloc_space", "inuse_objects", "inuse_space", "temporary_objects",
        "peak_objects")}

big = p.filter(min_size=2000, max_size=4000)
print(json.dumps({
    "keep": numbers(big.filter(function="^__main__.keep$", thread="MainThread")),
    "churn": numbers(big.filter(function="^churn$")),
    "worker": numbers(big.filter(thread="^filler-7$")),
    "method": numbers(big.filter(function=r"Worker\\.fill$")),
    "raw": numbers(big.filter(domain="raw")),
    "names": [row.name for row in big.top(2, index="alloc_space")],
    "stack": [f.function for f in big.filter(function="Worker").samples[0].stack],
    "lines": [s.stack[0].line for s in big.filter(function="^keep$").samples],
    "note": p.note, "rate": p.rate, "program": p.about.program,
}))
"""
SIZE_OF_2033 = goalloc.size_class_of(2033).size
SIZE_OF_3033 = goalloc.size_class_of(3033).size


def test_known_allocations_are_found(in_mode):
    found = json.loads(in_mode(PROGRAM, env=EVERY))
    assert found["keep"]["inuse_objects"] == found["keep"]["alloc_objects"] == 1000
    assert found["keep"]["inuse_space"] == 1000 * SIZE_OF_2033
    assert found["churn"]["alloc_objects"] == found["churn"]["temporary_objects"] == 500
    assert found["churn"]["alloc_space"] == 500 * SIZE_OF_3033
    assert found["churn"]["inuse_objects"] == 0
    assert found["worker"] == found["method"]
    assert found["worker"]["inuse_objects"] == 200
    assert found["raw"]["alloc_objects"] == 0
    assert found["names"] == ["__main__.keep", "__main__.churn"]
    assert found["stack"][:2] in (["keep.<locals>.<listcomp>", "keep"], ["keep", "Worker.fill"])
    assert found["stack"][-1] == "Thread._bootstrap"
    assert len(set(found["lines"])) <= 1
    assert (found["note"], found["rate"]) == ("", 1)


def test_the_peak_and_how_it_is_reset(in_mode):
    code = (
        "import goalloc\n"
        "def peak(): return goalloc.heap_profile().filter(min_size=1 << 20).total('peak_space')\n"
        "block = bytearray(32 << 20)\n"
        "del block\n"
        "first = peak()\n"
        "goalloc.reset_peak()\n"
        "print(first >= 32 << 20, peak() < 32 << 20)"
    )
    assert in_mode(code, env=EVERY) == "True True\n"


def test_rate_is_set_and_returned(in_mode):
    code = (
        "import goalloc\n"
        "print(goalloc.profile_rate(), goalloc.set_profile_rate('64KiB'), goalloc.profile_rate())\n"
        "print(goalloc.set_profile_rate(0), goalloc.heap_profile().note)\n"
        "for wrong in (-1, '12 pounds', 1.5, None):\n"
        "    try: goalloc.set_profile_rate(wrong)\n"
        "    except (ValueError, TypeError) as error: print(type(error).__name__)\n"
        "print(goalloc.profile_rate())"
    )
    assert in_mode(code).splitlines() == [
        "524288 524288 65536",
        "65536 sampling is off (rate 0): goalloc.set_profile_rate(524288) turns it on",
        "ValueError",
        "ValueError",
        "TypeError",
        "TypeError",
        "0",
    ]


def test_where_goalloc_is_not_in_place_the_profile_says_so(python):
    code = (
        "import goalloc; p = goalloc.heap_profile()\n"
        "print(len(p), p.note)\n"
        "print('call goalloc.install()' in str(p.top()))"
    )
    first, second = python.output("-c", code).splitlines()
    assert first.startswith("0 goalloc serves no blocks in this process: start it with")
    assert second == "True"


@needs_replaceable
def test_after_uninstall_the_older_blocks_are_told(python):
    code = (
        "import goalloc; goalloc.install(); kept = [bytes(5000) for _ in range(100)]\n"
        "goalloc.uninstall(); p = goalloc.heap_profile()\n"
        "print(p.filter(min_size=5000).total('inuse_objects') >= 100, p.note)"
    )
    told = python.output("-c", code, env=EVERY)
    assert told == "True goalloc serves no new blocks in this process: these are the older ones\n"


@needs_launch
def test_a_profile_changes_nothing_and_holds_no_code(python):
    """Code may die; profiles of before and after have its names."""
    code = (
        "import gc, goalloc, weakref\n"
        "space = {}\n"
        "exec('def born(): return bytes(7000)', space)\n"
        "kept = space['born']()\n"
        "alive = weakref.ref(space['born'])\n"
        "goalloc.heap_profile()\n"
        "space.clear(); gc.collect()\n"
        "p = goalloc.heap_profile().filter(function='born')\n"
        "print(alive(), p.filter(min_size=7000).total('inuse_objects'))"
    )
    assert python.output("-m", "goalloc", "run", "-c", code, env=EVERY) == "None 1\n"


@needs_launch
def test_threading_is_not_imported_for_it(python):
    code = (
        "import sys, goalloc; goalloc.heap_profile().to_pprof()\n"
        "print('threading' in sys.modules)"
    )
    assert python.output("-m", "goalloc", "run", "-c", code) == "False\n"


@pytest.mark.slow
def test_a_profile_of_a_million_sampled_blocks(in_mode):
    code = (
        "import goalloc\n"
        "kept = [object() for _ in range(1_000_000)]\n"
        "p = goalloc.heap_profile()\n"
        "print(p.total('inuse_objects') >= 1_000_000)\n"
        "print(goalloc.HeapProfile.from_pprof(p.to_pprof()).total() == p.total())"
    )
    assert in_mode(code, env=EVERY) == "True\nTrue\n"

"""Stacks in the profile of a running program: known allocations are found where they were made."""

import json

from pychild import needs_launch

import goalloc

EVERY = {"GOALLOC_PROFILE_RATE": "1"}

# Known allocations: 1000 blocks kept, 500 not, and 200 in a thread with a name.
PROGRAM = """
import gc, json, threading
import goalloc

def keep(n):
    kept = []
    for _ in range(n):
        kept.append(bytes(2000))
    return kept

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

big = p.filter(min_size=2000, max_size=4000, domain="obj")  # lists grow in mem
print(json.dumps({
    "keep": numbers(big.filter(function="^__main__.keep$", thread="MainThread")),
    "churn": numbers(big.filter(function="^churn$")),
    "worker": numbers(big.filter(thread="^filler-7$")),
    "method": numbers(big.filter(function=r"Worker\\.fill$")),
    "lists": numbers(p.filter(function="^keep$", domain="mem")),
    "names": [row.name for row in big.top(2, value="alloc_space")],
    "stack": [f.function for f in big.filter(function="Worker").samples[0].stack],
    "lines": [s.stack[0].line for s in big.filter(function="^keep$").samples],
    "first_line": keep.__code__.co_firstlineno,
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
    assert found["lists"]["alloc_objects"] > found["lists"]["inuse_objects"] >= 2
    assert found["names"] == ["__main__.keep", "__main__.churn"]
    assert found["stack"][:3] == ["keep", "Worker.fill", "Thread.run"]
    assert found["stack"][-1] == "Thread._bootstrap"
    assert set(found["lines"]) == {found["first_line"] + 3}
    assert (found["note"], found["rate"]) == ("", 1)


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

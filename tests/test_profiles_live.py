"""The profile of a running program: what it says is what the program did."""

import pytest
from pychild import needs_launch, needs_replaceable

EVERY = {"GOALLOC_PROFILE_RATE": "1"}


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
        "for wrong in (-1, '12 pounds', 1.5, ()):\n"
        "    try: goalloc.set_profile_rate(wrong)\n"
        "    except (ValueError, TypeError) as error: print(type(error).__name__)\n"
        "print(goalloc.profile_rate())\n"
        "for off in (None, 'off'):\n"
        "    goalloc.set_profile_rate(1); print(goalloc.set_profile_rate(off), goalloc.profile_rate())"
    )
    assert in_mode(code).splitlines() == [
        "524288 524288 65536",
        "65536 sampling is off (rate 0): goalloc.set_profile_rate(524288) turns it on",
        "ValueError",
        "ValueError",
        "TypeError",
        "TypeError",
        "0",
        "1 0",
        "1 0",
    ]


def test_where_goalloc_is_not_in_place_the_profile_says_so(python):
    code = (
        "import goalloc; p = goalloc.heap_profile()\n"
        "print(len(p), p.note)\n"
        "print('call goalloc.install()' in str(p.top()))"
    )
    first, second = python.output("-c", code).splitlines()
    assert first.startswith("0 goalloc is not in place in this process: start it with")
    assert second == "True"


@needs_replaceable
def test_after_uninstall_the_older_blocks_are_told(python):
    code = (
        "import goalloc; goalloc.install(); kept = [bytes(5000) for _ in range(100)]\n"
        "goalloc.uninstall(); p = goalloc.heap_profile()\n"
        "print(p.filter(min_size=5000).total('inuse_objects') >= 100, p.note)"
    )
    told = python.output("-c", code, env=EVERY)
    assert told.startswith("True goalloc serves no new blocks of Python's in this process: these are older ones")


@needs_launch
def test_threading_is_not_imported_for_it(python):
    code = (
        "import sys, goalloc; goalloc.heap_profile().to_pprof()\nprint('threading' in sys.modules)"
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


THREADS = """
import sys, threading, goalloc
goalloc.set_profile_rate(1)

def work(seen, end):
    kept.append([bytearray(3000) for _ in range(50)])
    seen.set()
    end.wait()

kept, threads = [], []
for name in ("loader", "parser"):
    seen, end = threading.Event(), threading.Event()
    thread = threading.Thread(target=work, args=(seen, end), name=name)
    thread.start()
    seen.wait()
    threads.append((thread, end))

def told():
    p = goalloc.heap_profile().filter(function="work")
    return {s.thread.id: str(s.thread) for s in p.samples if s.size >= 3000}

def finish():
    for thread, end in threads:
        end.set()
        thread.join()
"""


def test_threads_that_have_ended_keep_names_that_were_told_once(in_mode):
    in_mode(
        THREADS
        + """
assert sorted(told().values()) == ["loader", "parser"], told()
finish()
assert sorted(told().values()) == ["loader", "parser"], told()
"""
    )


def test_threads_that_ended_unseen_are_apart(in_mode):
    in_mode(
        THREADS
        + """
finish()
ids = {thread.native_id for thread, _ in threads}
names = told()
assert set(names) == ids, names
if sys.version_info >= (3, 14):  # the system has the names
    assert sorted(names.values()) == ["loader", "parser"], names
else:
    assert names == {i: f"thread {i}" for i in ids}, names
one = min(ids)
assert {s.thread.id for s in goalloc.heap_profile().filter(thread=one).samples} == {one}
"""
    )

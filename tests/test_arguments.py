"""Arguments of a wrong type or size: one sentence that says what is wanted, and nothing has changed."""

import pytest

import goalloc

PROFILE_CALLS = {
    "top('x')": (lambda p: p.top("x"), TypeError, "a number of rows"),
    "top(-1)": (lambda p: p.top(-1), ValueError, "at least 0"),
    "merge(3)": (lambda p: p.merge(3), TypeError, "HeapProfile objects, not int"),
    "merge([3])": (lambda p: p.merge([3]), TypeError, "a HeapProfile, not int"),
    "filter(function=3)": (lambda p: p.filter(function=3), TypeError, "no regular expression: 3"),
    "filter(thread=b'')": (lambda p: p.filter(thread=2.5), TypeError, "no regular expression: 2.5"),
}


@pytest.mark.parametrize("name", PROFILE_CALLS)
def test_of_a_profile(name):
    call, kind, part = PROFILE_CALLS[name]
    with pytest.raises(kind, match=part):
        call(goalloc.heap_profile())


CALLS = {
    "set_scavenge_delay('x')": (
        lambda: goalloc.set_scavenge_delay("x"), TypeError, "a delay in seconds, or None: 'x'",
    ),
    "record('x')": (lambda: goalloc.record("x"), TypeError, "an interval in seconds: 'x'"),
    "record(limit='x')": (lambda: goalloc.record(limit="x"), TypeError, "a number of moments: 'x'"),
    "span_map('x')": (
        lambda: goalloc.snapshot().span_map("x"), TypeError, "a size in bytes: 'x'",
    ),
    "serve(port='x')": (lambda: goalloc.serve(port="x"), TypeError, "a port is a number: 'x'"),
    "serve(port=-1)": (lambda: goalloc.serve(port=-1), ValueError, "from 0 to 65535: -1"),
    "serve(port=99999999)": (
        lambda: goalloc.serve(port=99999999), ValueError, "from 0 to 65535: 99999999",
    ),
    "set_memory_limit(2**80)": (
        lambda: goalloc.set_memory_limit(2**80), ValueError, r"below 2\*\*63",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_of_a_function(name):
    call, kind, part = CALLS[name]
    limit, delay = goalloc.memory_limit(), goalloc.scavenge_delay()
    with pytest.raises(kind, match=part):
        call()
    assert (goalloc.memory_limit(), goalloc.scavenge_delay()) == (limit, delay)


def test_what_the_package_offers():
    assert "TYPE_CHECKING" not in dir(goalloc) and set(goalloc.__all__) <= set(dir(goalloc))

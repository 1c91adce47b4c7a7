"""Arguments of a wrong type or size: one sentence that says what is wanted, and nothing has changed."""

import errno
import os

import pytest

import goalloc

PROFILE_CALLS = {
    "top('x')": (lambda p: p.top("x"), TypeError, "n must be a number of rows, or None for all, not 'x'"),
    "top(True)": (lambda p: p.top(True), TypeError, "or None for all, not True"),
    "top(-1)": (lambda p: p.top(-1), ValueError, "n must be at least 0, or None for all, not -1"),
    "merge(3)": (lambda p: p.merge(3), TypeError, "HeapProfile objects, not int"),
    "merge([3])": (lambda p: p.merge([3]), TypeError, "a HeapProfile, not int"),
    "filter(function=3)": (lambda p: p.filter(function=3), TypeError, "function must be a regular expression, not 3"),
    "filter(thread=2.5)": (lambda p: p.filter(thread=2.5), TypeError, "thread must be a regular expression, not 2.5"),
    "filter(file=b'')": (lambda p: p.filter(file=b"x"), TypeError, "file must be a regular expression, not b'x'"),
    "filter('load')": (lambda p: p.filter("load"), TypeError, "must be a function of a Sample, not 'load'; for names"),
    "filter(min_size='x')": (lambda p: p.filter(min_size="x"), TypeError, "min_size must be a number of bytes, not 'x'"),
    "filter(max_size='x')": (lambda p: p.filter(max_size=[]), TypeError, r"max_size must be a number of bytes, not \[\]"),
    "filter(domain=1)": (lambda p: p.filter(domain=1), TypeError, "domain must be the name of a domain, or several of them, not 1"),
    "top(by='x')": (lambda p: p.top(by="x"), ValueError, "function, line, file, module"),
    "top(value='x')": (lambda p: p.top(value="x"), ValueError, "no value 'x'; there are alloc_objects"),
    "top(sort='x')": (lambda p: p.top(sort="x"), ValueError, "there are flat, cum"),
    "tree(1)": (lambda p: p.tree(1), ValueError, "no value 1"),
    "to_text('x')": (lambda p: p.tree().to_text("x"), TypeError, "least must be a percentage of the whole, not 'x'"),
    "to_text(lines=-1)": (lambda p: p.tree().to_text(lines=-1), ValueError, "lines must be at least 0, or None for all, not -1"),
    "to_text(depth='x')": (lambda p: p.tree().to_text(depth="x"), TypeError, "depth must be a number of levels, or None"),
    "flamegraph(title=3)": (lambda p: p.flamegraph(title=3), TypeError, "title must be text, not 3"),
    "diff('x')": (lambda p: p.diff("x"), TypeError, "takes a HeapProfile, not str"),
    "to_speedscope(3)": (lambda p: p.to_speedscope(3), TypeError, "name must be text, not 3"),
    "write_pprof(3)": (lambda p: p.write_pprof(3), TypeError, "path must be the name of a file, not 3"),
    "flamegraph().write(None)": (lambda p: p.flamegraph().write(None), TypeError, "path must be the name of a file, not None"),
    "HeapProfile(1, 2)": (lambda p: type(p)(1, 2), TypeError, "is made by heap_profile"),
    "from_pprof('x')": (lambda p: p.from_pprof("x"), TypeError, "data must be the bytes of a pprof file, not str"),
    "read_profile(1)": (lambda p: goalloc.read_profile(1), TypeError, "path must be the name of a file, not 1"),
}


@pytest.mark.parametrize("name", PROFILE_CALLS)
def test_of_a_profile(name):
    call, kind, part = PROFILE_CALLS[name]
    with pytest.raises(kind, match=part):
        call(goalloc.heap_profile())


CALLS = {
    "set_scavenge_delay('x')": (
        lambda: goalloc.set_scavenge_delay("x"), TypeError, "seconds must be a delay in seconds, None or 'off', not 'x'",
    ),
    "set_scavenge_delay(10**30)": (
        lambda: goalloc.set_scavenge_delay(10**30), ValueError, "seconds must be at most 9223372036, None",
    ),
    "set_scavenge_delay(10**400)": (
        lambda: goalloc.set_scavenge_delay(10**400), ValueError, "at most 9223372036, None",
    ),
    "installed('foo')": (lambda: goalloc.installed("foo"), ValueError, "no mode 'foo' to install"),
    "record('x')": (lambda: goalloc.record("x"), TypeError, "interval must be a number of seconds, not 'x'"),
    "record(limit='x')": (lambda: goalloc.record(limit="x"), TypeError, "limit must be a number of moments, not 'x'"),
    "span_map('x')": (
        lambda: goalloc.snapshot().span_map("x"), TypeError, "size must be a size in bytes, not 'x'",
    ),
    "record(1e10)": (lambda: goalloc.record(1e10), ValueError, "above 0 and at most 1000000000.0 seconds, not 10000000000.0"),
    "span_map(64, 'x')": (
        lambda: goalloc.snapshot().span_map(64, "x"), TypeError, "noscan must be True, False or None, not 'x'",
    ),
    "set_profile_rate(1.5)": (
        lambda: goalloc.set_profile_rate(1.5), TypeError, "nbytes must be a number of bytes, such as 65536 or '64KiB', not 1.5",
    ),
    "set_profile_rate(-1)": (lambda: goalloc.set_profile_rate(-1), ValueError, "not a rate from 0"),
    "set_profile_rate(2**60)": (lambda: goalloc.set_profile_rate(2**60), ValueError, "not a rate from 0"),
    "set_profile_rate('x')": (lambda: goalloc.set_profile_rate("x"), ValueError, "such as 64KiB: 'x'; it takes whole numbers"),
    "set_profile_rate(True)": (lambda: goalloc.set_profile_rate(True), TypeError, "nbytes must be a number of bytes, .*, not True"),
    "profile('x')": (lambda: goalloc.profile("x"), ValueError, "not a rate in bytes such as 64KiB: 'x'"),
    "profile(None)": (lambda: goalloc.profile(None), ValueError, "rate must be from 1 to .* bytes, not None"),
    "Heap().set_memory_limit(0)": (
        lambda: goalloc.Heap().set_memory_limit(0), ValueError, "not a size above 0 such as 512MiB",
    ),
    "record(True)": (lambda: goalloc.record(True), TypeError, "interval must be a number of seconds, not True"),
    "profile(2**60)": (lambda: goalloc.profile(2**60), ValueError, "rate must be from 1 to"),
    "fragmentation('x')": (lambda: goalloc.fragmentation("x"), ValueError, "no call sites by 'x'"),
    "fragmentation().to_dataframe('x')": (
        lambda: goalloc.fragmentation().to_dataframe("x"), ValueError, "no table 'x'",
    ),
    "serve(3)": (lambda: goalloc.serve(3), TypeError, "host must be a name or an address, not 3"),
    "serve(port='x')": (lambda: goalloc.serve(port="x"), TypeError, "port must be a number, not 'x'"),
    "serve(port=-1)": (lambda: goalloc.serve(port=-1), ValueError, "port must be from 0 to 65535, not -1"),
    "serve(port=99999999)": (
        lambda: goalloc.serve(port=99999999), ValueError, "from 0 to 65535, not 99999999",
    ),
    "Heap().set_memory_limit(True)": (
        lambda: goalloc.Heap().set_memory_limit(True), TypeError, "nbytes must be a limit in bytes, a size such as .*, not True",
    ),
    "heap_profile(own='x')": (lambda: goalloc.heap_profile(own="x"), TypeError, "own must be True or False, not 'x'"),
    "set_memory_limit(2**80)": (
        lambda: goalloc.set_memory_limit(2**80), ValueError, r"nbytes must be below 2\*\*63",
    ),
    **{
        f"set_memory_limit({size!r})": (
            lambda size=size: goalloc.set_memory_limit(size), ValueError,
            f"'{size}'; it takes whole numbers, of bytes or with KiB, MiB, GiB or TiB",
        )
        for size in ("512MB", "512mib", "1.5GiB")
    },
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_of_a_function(name):
    call, kind, part = CALLS[name]
    settings = (goalloc.memory_limit, goalloc.scavenge_delay, goalloc.profile_rate)
    before = [ask() for ask in settings]
    with pytest.raises(kind, match=part):
        call()
    assert [ask() for ask in settings] == before


@pytest.mark.parametrize("off", [0, None, "off"])
def test_the_profile_is_turned_off_as_a_limit_is(off):
    former = goalloc.set_profile_rate(65536)
    try:
        assert goalloc.set_profile_rate(off) == 65536
        assert goalloc.profile_rate() == 0
    finally:
        goalloc.set_profile_rate(former)


@pytest.mark.parametrize("off", [None, "off"])
@pytest.mark.parametrize(
    "set_it, value, when_off",
    [
        (goalloc.set_memory_limit, 1 << 40, None),
        (goalloc.set_scavenge_delay, 2.5, None),
        (goalloc.set_profile_rate, 65536, 0),
        (goalloc.set_guard_rate, 5000, 0),
    ],
)
def test_each_setter_is_told_off_in_the_same_words(set_it, value, when_off, off):
    if set_it is goalloc.set_guard_rate and os.environ.get("GOALLOC_DEBUG"):
        pytest.skip("a debugging run guards nothing")
    former = set_it(value)
    try:
        assert (set_it(off), set_it(value)) == (value, when_off)
    finally:
        set_it(former)


def test_the_longest_delay():
    former = goalloc.set_scavenge_delay(9223372036)
    try:
        assert goalloc.scavenge_delay() == 9223372036
    finally:
        assert goalloc.set_scavenge_delay(former) == 9223372036


def test_a_port_that_is_taken_is_named():
    with goalloc.serve() as server:
        host, port = server.address
        with pytest.raises(OSError, match=f"cannot serve at {host} port {port}") as raised:
            goalloc.serve(host, port)
        assert raised.value.errno == errno.EADDRINUSE


def test_what_the_package_offers():
    assert "TYPE_CHECKING" not in dir(goalloc) and set(goalloc.__all__) <= set(dir(goalloc))

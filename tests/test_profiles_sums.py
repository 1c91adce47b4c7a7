"""Heap profiles that are made of others: sums, differences and parts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from profiledata import RATE, core_profile

from goalloc import HeapProfile
from goalloc.commands.summary import summary
from goalloc.display.text import human
from goalloc.profiles import VALUES


@pytest.fixture
def profile():
    return HeapProfile._from_core(core_profile())


def totals(profile):
    return {index: profile.total(index) for index in VALUES}


rows = st.tuples(
    st.integers(0, 4),
    st.sampled_from([16, 64, 4096, 1 << 20]),
    st.sampled_from([1, 4096, RATE]),
    st.integers(0, 2),
    st.integers(0, 1),
    st.integers(0, 1000),
).flatmap(
    lambda row: st.tuples(
        *map(st.just, row), st.integers(0, row[5]), st.integers(0, row[5])
    )
)  # fmt: skip
profiles = st.lists(rows, max_size=30).map(
    lambda samples: HeapProfile._from_core(core_profile(samples=samples))
)


@given(profiles)
def test_a_profile_minus_itself_is_nothing(p):
    d = p.diff(p)
    assert d.samples == () and d.is_diff
    assert not any(totals(d).values())


@given(profiles, profiles)
def test_differences_and_sums(a, b):
    d = a.diff(b)
    assert totals(d) == {index: a.total(index) - b.total(index) for index in VALUES}
    both = a.merge(b)
    assert totals(both) == {index: a.total(index) + b.total(index) for index in VALUES}
    assert totals(b.merge(d)) == totals(a)
    assert both.diff(a).diff(b).samples == ()
    assert totals(a.merge([b, b])) == totals(both.merge(b))


@given(profiles)
def test_equal_samples_are_merged_into_one(p):
    merged = p.merge(p)
    keys = [(s.stack, s.size, s.domain, s.thread) for s in merged.samples]
    assert len(set(keys)) == len(keys)


@given(profiles, st.integers(0, 1 << 21))
def test_filters_part_a_profile(p, size):
    small, large = p.filter(max_size=size), p.filter(min_size=size + 1)
    assert totals(small.merge(large)) == totals(p)
    parts = [p.filter(domain=d) for d in ("raw", "mem", "obj")]
    assert totals(parts[0].merge(parts[1:])) == totals(p)


def test_filters_find_what_they_name(profile):
    def functions(**wanted):
        return {s.stack[0].function for s in profile.filter(**wanted).samples}

    assert functions(function="^main$") == {
        "JSONDecoder.decode", "Store.load", "walk.<locals>.<lambda>",
    }  # fmt: skip
    assert functions(function=r"^json\.decoder\.") == {"JSONDecoder.decode"}
    assert functions(file="store") == {"JSONDecoder.decode", "Store.load"}
    assert functions(module="threading") == {"JSONDecoder.decode"}
    assert functions(thread="filler") == functions(thread=4002) == {"JSONDecoder.decode"}
    assert functions(domain="raw") == {"<no Python frame>"}
    assert functions(domain=("raw", "mem")) == {"<no Python frame>", "Store.load"}
    assert functions(min_size=3072, max_size=3072) == {"JSONDecoder.decode"}
    assert functions(function="nowhere") == set()
    heavy = profile.filter(lambda sample: sample.inuse_space > 4_000_000)
    assert [s.thread.id for s in heavy.samples] == [4002]
    both = profile.filter(function="decode", thread=4001, max_size=3072)
    assert [s.size for s in both.samples] == [3072]


def test_filters_that_are_wrong(profile):
    with pytest.raises(ValueError, match=r"function is no regular expression: '\('"):
        profile.filter(function="(")
    with pytest.raises(ValueError, match="no domain 'heap'; there are raw, mem, obj"):
        profile.filter(domain="heap")


def test_diff_and_merge_take_profiles_only(profile):
    with pytest.raises(TypeError, match=r"diff\(\) takes a HeapProfile, not int"):
        profile.diff(3)
    with pytest.raises(TypeError, match=r"merge\(\) takes a HeapProfile, not str"):
        profile.merge(["x"])


def test_a_thread_that_lost_its_name_is_the_same_thread(profile):
    raw = core_profile(threads=[(4001, "MainThread"), (4002, "")])
    assert profile.diff(HeapProfile._from_core(raw)).samples == ()


def test_percentages_of_a_difference_are_of_the_base(profile):
    samples = [(*row[:5], 2 * row[5], 2 * row[6], row[7]) for row in core_profile()["samples"]]
    d = HeapProfile._from_core(core_profile(samples=samples)).diff(profile)
    top = d.top()
    assert top[0].flat > 0 and str(top).startswith("+")
    assert top[0].flat_percent == pytest.approx(100 * top[0].flat / profile.total())
    assert "% of 9.3 MiB before" in str(top)
    assert d.merge(d).about.base == tuple(2 * n for n in d.about.base)
    assert profile.diff(d.merge(profile)).top()[0].flat < 0


def test_of_a_difference_from_elsewhere_nothing_is_known_of_before(profile):
    """As of the delta that a server sends: no percentages of itself before."""
    empty = profile.filter(min_size=1 << 30)
    read = HeapProfile.from_pprof(profile.diff(profile.filter(thread=4001)).to_pprof())
    part = profile.diff(profile.filter(thread=4001)).filter(domain="obj")
    for d in (read, part, profile.diff(empty), read.merge(profile.diff(profile.filter(thread=4001)))):
        shown = str(d.top())
        assert shown.startswith("+") and "before" not in shown, shown
        assert f"; % of {human(d.total())} up and down" in shown
    assert "what has changed" in summary(read) and "changed" not in summary(profile)


def test_a_whole_profile_and_a_difference_are_a_whole_one(profile):
    first = profile.filter(thread=4001)
    delta = HeapProfile.from_pprof(profile.diff(first).to_pprof(peak=True))
    for made in (first.merge(delta), delta.merge(first)):
        text = str(made.top())
        assert not made.is_diff and text.startswith("9.3 MiB (bytes in use)"), text
        assert "before" not in text and "whole profiles and differences are added up here" in text
        assert totals(made) == totals(profile)
    gone = first.diff(profile)
    some_gone = profile.merge(profile.filter(domain="obj").diff(profile.merge(profile)))
    for made in (first.merge(gone), some_gone):  # or nothing could be drawn of what is below zero
        assert made.is_diff and made.about.base == (0,) * 6 and "up and down" in str(made.top())


def test_sums_and_differences_of_different_rates_say_so():
    exact, coarse = (HeapProfile._from_core(core_profile(rate=rate)) for rate in (1, RATE))
    for made in (exact.merge(coarse), coarse.diff(exact), exact.merge(coarse).merge(exact)):
        again = HeapProfile.from_pprof(made.to_pprof())
        for profile in (made, again):
            assert profile.about.mixed_rates
            for text in (str(profile.top()), str(profile.tree()), profile.flamegraph().to_html()):
                assert "of mixed sampling rates" in text
    for made in (exact.merge(exact), coarse.diff(coarse)):
        assert not made.about.mixed_rates and "mixed" not in str(made.top())

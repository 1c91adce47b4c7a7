"""Flame graphs: what is in the HTML, and that nothing in a name gets out of it."""

import html.parser
import json
import re
import shutil
import subprocess

import pytest
from profiledata import core_profile, large_core_profile

from goalloc import HeapProfile
from goalloc.profiles import flamegraph

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&amp;'\"<!--\u2028"


@pytest.fixture
def profile():
    return HeapProfile._from_core(core_profile(), program="/srv/app/main.py")


def hostile():
    raw = core_profile(threads=[(1, HOSTILE), (2, HOSTILE)])
    raw["functions"] = [(HOSTILE, HOSTILE, 1)] * len(raw["functions"])
    return HeapProfile._from_core(raw, program=HOSTILE, note=HOSTILE)


class Page(html.parser.HTMLParser):
    """The tags of a page as a browser would see them, and the text of its scripts."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.scripts = [], []
        self._in_script = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._in_script = tag == "script"
        if self._in_script:
            self.scripts.append("")

    def handle_endtag(self, tag):
        if tag == "script":
            self._in_script = False

    def handle_data(self, data):
        if self._in_script:
            self.scripts[-1] += data


def drawn_data(text):
    """The data that a script draws."""
    (script,) = Page(text).scripts
    return json.loads(re.search(r"goallocFlame\(place, (\{.*\})\);\n", script)[1])


def totals(data, name):
    sums = list(data["own"][name])
    for node in range(len(sums) - 1, 0, -1):
        assert data["parents"][node] < node
        sums[data["parents"][node]] += sums[node]
    return sums


def test_data_is_the_tree_of_calls(profile):
    data = profile.flamegraph().data()
    assert data == drawn_data(profile.flamegraph()._repr_html_())
    root = profile.tree().root
    sums = totals(data, "inuse_space")
    assert sums[0] == root.total

    def check(number, node):
        assert data["names"][data["groups"][number]] == node.name
        assert sums[number] == node.total and data["own"]["inuse_space"][number] == node.own
        below = [i for i, p in enumerate(data["parents"]) if p == number and i and sums[i]]
        for inner, child in zip(sorted(below, key=lambda i: -sums[i]), node.children, strict=True):
            check(inner, child)

    check(0, root)
    for index in data["own"]:
        assert totals(data, index)[0] == profile.total(index)
    names = [data["names"][g] for p, g in zip(data["parents"][1:], data["groups"][1:]) if p == 0]
    assert names == sorted(names)


def test_it_is_self_contained(profile, tmp_path):
    path = tmp_path / "flame.html"
    profile.flamegraph().write(path)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>") and "<title>Heap of main.py</title>" in text
    page = Page(text)
    for tag, attributes in page.tags:
        assert tag not in ("link", "img", "iframe", "object"), tag
        assert not {"src", "href", "srcdoc", "onload"} & attributes.keys()
    (script,) = page.scripts
    # Names of namespaces are no addresses to fetch from.
    assert set(re.findall(r"https?://[^\s\"']+", text)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"\b(fetch|XMLHttpRequest|import|eval|innerHTML|localStorage)\b", script)
    assert "default-src 'none'" in text


def test_the_text_of_it_is_there_without_scripts(profile):
    text = profile.flamegraph()._repr_html_()
    assert "<pre>Heap of main.py\nbytes in use" in text
    assert "main.&lt;module&gt;" in text.partition("<script>")[0]
    assert repr(profile.flamegraph()) == "<FlameGraph: Heap of main.py, inuse_space>"
    assert str(profile.tree()) in str(profile.flamegraph())


def test_several_on_a_page_do_not_meet(profile):
    first, second = (profile.flamegraph()._repr_html_() for _ in range(2))
    ids = [dict(Page(text).tags[0][1])["data-goalloc"] for text in (first, second)]
    assert len(set(ids)) == 2
    for text, number in zip((first, second), ids):
        assert text.count(number) == 2
        assert not any("id" in attributes for _, attributes in Page(text).tags)
        (script,) = Page(text).scripts
        assert script.startswith("(() => {") and script.endswith("})();")


@pytest.mark.parametrize("show", ["flamegraph", "top", "tree"])
def test_hostile_names_stay_text(show):
    text = getattr(hostile(), show)()._repr_html_()
    page = Page(text)
    known = {"div", "pre", "style", "script", "p", "b", "table", "thead", "tbody", "tr", "th", "td"}
    known |= {"svg", "path", "title"}
    assert {tag for tag, _ in page.tags} <= known
    assert not any("onerror" in attributes for _, attributes in page.tags)
    if show == "flamegraph":
        data = drawn_data(text)
        assert f"{HOSTILE[:20]}" in data["names"][0]
        assert "<" not in json.dumps(data["names"]).replace("<", "") and len(page.scripts) == 1


def test_a_page_of_hostile_names(tmp_path):
    page = Page(hostile().flamegraph(title=HOSTILE).to_html())
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert "img" not in {tag for tag, _ in page.tags}


def test_it_starts_with_the_value_that_was_asked_for(profile):
    assert profile.flamegraph("alloc_objects").data()["value"] == "alloc_objects"
    data = profile.flamegraph("peak_space", title="My job").data()
    assert data["value"] == "peak_space"
    assert "<title>My job</title>" in profile.flamegraph(title="My job").to_html()


def test_a_difference_says_so(profile):
    less = profile.filter(thread=4001)
    d = less.diff(profile)
    data = d.flamegraph().data()
    assert data["diff"] and data["base"]["inuse_space"] == profile.total()
    assert data["base"]["temporary_space"] == profile.total("temporary_space")
    assert totals(data, "inuse_space")[0] == d.total() < 0
    assert "what has changed" in d.flamegraph().to_html()
    assert not profile.flamegraph().data()["diff"]


def test_what_is_too_small_is_summed_up_and_told(seed, monkeypatch):
    profile = HeapProfile._from_core(large_core_profile(500, 20, seed))
    whole = profile.flamegraph().data()
    monkeypatch.setattr(flamegraph, "MOST_NODES", 300)
    data = profile.flamegraph().data()
    left_out = len(whole["parents"]) - 300
    assert left_out > 0
    assert f"{left_out:,} calls too small to draw are summed up as (smaller)" in data["notes"]
    rest = data["names"].index("(smaller)")
    added = data["groups"].count(rest)
    assert 0 < added <= 300 and len(data["parents"]) == 300 + added
    for index in whole["own"]:
        assert totals(data, index)[0] == profile.total(index)
    # What is kept is what it is in the whole: the large ones.
    largest = sorted(totals(whole, "inuse_space"))[-20:]
    assert set(largest) <= set(totals(data, "inuse_space"))


def test_notes_tell_how_the_numbers_came_about(profile):
    assert (
        "estimated from a sample every 512.0 KiB; 6 samples" in profile.flamegraph().data()["notes"]
    )
    exact = HeapProfile._from_core(core_profile(rate=1))
    assert "exact; 6 samples" in exact.flamegraph().data()["notes"]


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node, to parse JavaScript")
def test_the_script_parses_whatever_the_names(tmp_path):
    for number, profile in enumerate((hostile(), HeapProfile._from_core(core_profile()))):
        (script,) = Page(profile.flamegraph()._repr_html_()).scripts
        path = tmp_path / f"{number}.js"
        path.write_text(f'"use strict";\n{script}', encoding="utf-8")
        done = subprocess.run(["node", "--check", path], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

"""The pages of docs/ and of the core: each test, link and name of the core in them is there."""

import re
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]
PAGES = sorted((TOP / "docs").glob("*.md"))
PROMISING = ["modes.md", "security.md", "reporting.md"]


def named_tests(page):
    return re.findall(r"`(test_\w+\.py)::(\w+)`", page.read_text())


@pytest.mark.parametrize("name", PROMISING)
def test_tests_that_are_named_exist(name):
    named = named_tests(TOP / "docs" / name)
    assert len(named) >= 5
    for file, test in named:
        source = (TOP / "tests" / file).read_text()
        assert re.search(rf"^def {test}\(", source, re.MULTILINE), f"{file}::{test}"


@pytest.mark.parametrize("name", ["modes.md", "security.md"])
def test_each_promise_names_a_test(name):
    """Every row of every table."""
    text = (TOP / "docs" / name).read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    promises = [row for row in rows if not re.fullmatch(r"\| (promise|what) \|.*", row)]
    assert len(promises) > 10
    assert [row for row in promises if "::test_" not in row] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []


def test_each_line_of_the_core_is_explained():
    """What misuse_message and the debugging checks can say has a row, by its first words."""
    text = (TOP / "docs" / "security.md").read_text()
    for words in (
        "double free of", "realloc of freed", "free of interior pointer", "free of unallocated pointer",
        "free of foreign pointer", "overflow of", "underflow of", "use after free of",
        "write after free to",
    ):  # fmt: skip
        assert f"`{words} " in text, words


def test_the_core_has_what_its_readme_names():
    """Functions, fields and constants: each name of several words in `code`."""
    named = set(re.findall(r"`(\w+_\w+)`", (TOP / "csrc" / "README.md").read_text()))
    sources = "".join(file.read_text() for file in (TOP / "csrc").glob("*.*") if file.suffix != ".md")
    assert len(named) > 50 and sorted(named - set(re.findall(r"\w+", sources))) == []


def test_variables_are_told_of_in_the_readme():
    """Each GOALLOC_ variable that the sources read."""
    read = set()
    for folder, pattern in (("csrc", "*.c"), ("goalloc", "**/*.py"), (".", "setup.py")):
        for file in (TOP / folder).glob(pattern):
            read |= set(re.findall(r'(?:getenv|given|is_asked_for|take_flag|environ\.get)\("(GOALLOC_\w+)"', file.read_text()))
    readme = (TOP / "README.md").read_text()
    assert len(read) > 8 and sorted(v for v in read if f"`{v}`" not in readme) == []

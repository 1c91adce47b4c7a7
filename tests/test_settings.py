"""What the environment asks for, and the texts that stand for amounts.

tests/c/test_settings.c and test_os_cgroup.c have the many cases; here is what a user sees of them.
"""

import re
from pathlib import Path

import pytest
from pychild import needs_replaceable

from goalloc import _core

WARNINGS = {
    "GOALLOC_LAYOUT": "GOALLOC_LAYOUT is neither sparse nor linear; sparse is used",
    "GOALLOC_LINEAR_SIZE": (
        "GOALLOC_LINEAR_SIZE is not a size such as 64GiB, of 64MiB at least; the default is used"
    ),
    "GOALLOC_HUGE_PAGES": "GOALLOC_HUGE_PAGES is none of off, dense and all; off is used",
    "GOALLOC_DEBUG": (
        "GOALLOC_DEBUG is neither off, 1 nor a number of operations between checks; it is off"
    ),
    "GOALLOC_PROFILE_RATE": (
        "GOALLOC_PROFILE_RATE is not a size such as 512KiB, 1 for every block, or off; "
        "the default is used"
    ),
    "GOALLOC_GUARD": "GOALLOC_GUARD is no number such as 5000: none is guarded",
    "GOALLOC_RANDOM_ARENAS": (
        "GOALLOC_RANDOM_ARENAS is neither off nor 1: arenas are where they always are"
    ),
    "GOALLOC_SCAVENGE_DELAY": (
        "GOALLOC_SCAVENGE_DELAY is not a number of seconds such as 0.5, or off; "
        "the default is used"
    ),
    "GOALLOC_MEMORY_LIMIT": (
        "GOALLOC_MEMORY_LIMIT is not a size above 0 such as 512MiB, cgroup or off; there is no limit"
    ),
}
GOOD = {
    "GOALLOC_LAYOUT": ["sparse", "linear"],
    "GOALLOC_LINEAR_SIZE": ["64MiB", "1 GiB"],
    "GOALLOC_HUGE_PAGES": ["off", "dense", "all"],
    "GOALLOC_DEBUG": ["off", "0", "1", "50000"],
    "GOALLOC_PROFILE_RATE": ["512KiB", "1", "0", "off"],
    "GOALLOC_GUARD": ["off", "0", "1", "5000"],
    "GOALLOC_RANDOM_ARENAS": ["off", "0", "1"],
    "GOALLOC_SCAVENGE_DELAY": ["0", "1", "0.5", "off", "inf"],
    "GOALLOC_MEMORY_LIMIT": ["1GiB", "536870912", "cgroup", "off"],
    "GOALLOC_PROFILE": ["off", "0"],
    "GOALLOC_PROFILE_EVERY": ["off", "0"],
    "GOALLOC_PROFILE_SIGNAL": ["off", "0"],
}
BAD = ["nonsense", "-1", "1e400", "9" * 400, "0.5 seconds", "\udcff"]

CODE = "import goalloc; print(goalloc.mode(), len(goalloc.arenas()))"


@needs_replaceable
@pytest.mark.parametrize("name", WARNINGS)
def test_what_makes_no_sense_is_told_in_one_line(python, name):
    for value in BAD:
        done = python.run("-c", CODE, env={name: value})
        assert (done.returncode, done.stdout) == (0, "launch 1\n"), value
        assert done.stderr == f"goalloc: warning: {WARNINGS[name]}\n", value


@needs_replaceable
def test_a_reservation_smaller_than_an_arena_makes_no_sense(python):
    for value in ("1", "64", "63MiB"):
        done = python.run("-c", CODE, env={"GOALLOC_LAYOUT": "linear", "GOALLOC_LINEAR_SIZE": value})
        assert (done.returncode, done.stdout) == (0, "launch 1\n")
        assert done.stderr == f"goalloc: warning: {WARNINGS['GOALLOC_LINEAR_SIZE']}\n", value


@needs_replaceable
def test_each_variable_is_told_of(python):
    done = python.run("-c", CODE, env=dict.fromkeys(WARNINGS, "?"))
    assert (done.returncode, done.stdout) == (0, "launch 1\n")
    assert done.stderr.splitlines() == [f"goalloc: warning: {w}" for w in WARNINGS.values()]


@needs_replaceable
@pytest.mark.parametrize("path", [{}, {"GOALLOC_PROFILE": "off"}, {"GOALLOC_PROFILE": "0"}, {"GOALLOC_PROFILE": ""}])
def test_when_to_write_a_profile_is_nothing_without_where(python, path):
    when = {"GOALLOC_PROFILE_EVERY": "60s", "GOALLOC_PROFILE_SIGNAL": "SIGUSR2"}
    done = python.run("-c", CODE, env={**when, **path})
    assert (done.returncode, done.stdout) == (0, "launch 1\n")
    assert done.stderr.splitlines() == [
        f"goalloc: warning: {name} is nothing without GOALLOC_PROFILE: no profile is written"
        for name in when
    ]


@needs_replaceable
@pytest.mark.parametrize("name", GOOD)
def test_what_makes_sense_is_taken_silently(python, name):
    for value in GOOD[name]:
        done = python.run("-c", CODE, env={name: value})
        assert (done.returncode, done.stdout, done.stderr) == (0, "launch 1\n", ""), value


@needs_replaceable
def test_an_empty_variable_is_as_if_it_was_not_set(python):
    code = CODE + "\nprint(goalloc.guard_rate(), goalloc.profile_rate(), goalloc.memory_limit(), goalloc.scavenge_delay())"
    empty = dict.fromkeys([*GOOD, "GOALLOC", "GOALLOC_NOBODY_KNOWS"], "")
    done = python.run("-c", code, env=empty)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == python.run("-c", code).stdout


@needs_replaceable
def test_a_name_that_nobody_knows_is_told_in_one_line(python):
    unknown = ["GOALLOC_GUARDS", "GOALLOC_DEBGU", "GOALLOC_", "GOALLOC_" + "X" * 5000]
    done = python.run("-c", CODE, env={**dict.fromkeys(unknown, "1"), "GOALLOCATOR": "1"})
    assert (done.returncode, done.stdout) == (0, "launch 1\n")
    assert sorted(done.stderr.splitlines()) == sorted(
        f"goalloc: warning: {name[:100]} is no variable of goalloc's" for name in unknown
    )


@needs_replaceable
def test_every_variable_that_is_written_about_is_known(python):
    top = Path(__file__).parents[1]
    pages = [top / "README.md", *top.glob("*/README.md"), *top.glob("docs/*.md")]
    names = {name for page in pages for name in re.findall(r"\bGOALLOC_[A-Z_]*[A-Z]\b", page.read_text())}
    assert len(names) > 20
    done = python.run("-c", CODE, env=dict.fromkeys(names, "off"))
    assert (done.returncode, done.stdout) == (0, "launch 1\n") and "no variable" not in done.stderr


@needs_replaceable
@pytest.mark.parametrize(
    "env, expected",
    [
        ({}, "1.0 None"),
        ({"GOALLOC_SCAVENGE_DELAY": "0.25"}, "0.25 None"),
        ({"GOALLOC_SCAVENGE_DELAY": "off"}, "None None"),
        ({"GOALLOC_MEMORY_LIMIT": "2GiB"}, "1.0 2147483648"),
        ({"GOALLOC_MEMORY_LIMIT": "off"}, "1.0 None"),
    ],
)
def test_the_heap_gets_what_was_asked_for(in_mode, env, expected):
    code = "import goalloc; print(goalloc.scavenge_delay(), goalloc.memory_limit())"
    assert in_mode(code, env=env) == expected + "\n"


@needs_replaceable
def test_import_mode_reads_the_same(python):
    done = python(
        "-c", "import goalloc; goalloc.install()\n" + CODE, env={"GOALLOC_MEMORY_LIMIT": "lots"}
    )
    assert (done.returncode, done.stdout) == (0, "import 1\n")
    assert done.stderr == f"goalloc: warning: {WARNINGS['GOALLOC_MEMORY_LIMIT']}\n"


def test_bytes():
    assert _core.parse_bytes("512MiB") == 512 << 20
    assert _core.parse_bytes("0") == 0
    assert _core.parse_bytes(str(2**64 - 1)) == 2**64 - 1


def test_memory_limit():
    assert _core.parse_memory_limit("3GiB") == 3 << 30
    assert _core.parse_memory_limit("off") is None
    allowed, limit = _core.cgroup_memory_limit(), _core.parse_memory_limit("cgroup")
    assert (limit is None) == (allowed is None)
    assert limit is None or 0.9 * allowed <= limit < allowed


@pytest.mark.parametrize("parse", [_core.parse_bytes, _core.parse_memory_limit])
def test_what_is_no_amount(parse):
    for text in ["", "junk", "-1", "1.5GiB", "1MiB\0", "\u0661MiB", "\udcff", str(2**64)]:
        with pytest.raises(ValueError):
            parse(text)
    for thing in [None, 1, b"1MiB"]:
        with pytest.raises(TypeError):
            parse(thing)


def cgroup_tree(root, limit):
    group = root / "sys/fs/cgroup/group"
    group.mkdir(parents=True)
    (group / "memory.max").write_text(f"{limit}\n")
    proc = root / "proc/self"
    proc.mkdir(parents=True)
    (proc / "cgroup").write_text("0::/group\n")
    (proc / "mountinfo").write_text("30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
    return str(root)


def test_cgroup(tmp_path):
    assert _core.cgroup_memory_limit(cgroup_tree(tmp_path / "some", 10**9)) == 10**9
    assert _core.cgroup_memory_limit(cgroup_tree(tmp_path / "none", "max")) is None
    assert _core.cgroup_memory_limit(str(tmp_path / "not there")) is None
    with pytest.raises(ValueError):
        _core.cgroup_memory_limit("/\0")
    not_text = tmp_path / "odd\udcff"
    assert _core.cgroup_memory_limit(cgroup_tree(not_text, 5)) == 5

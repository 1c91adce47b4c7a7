"""`goalloc enable` and `disable`, in a virtual environment of the test's own."""

import os
import sys
import venv

import pytest
from pychild import needs_replaceable

import goalloc
from goalloc.commands import enable

MODE = "import goalloc; print(goalloc.mode())"
# The environment has no goalloc of its own: it is found by this, or not at all.
HOME = {"PYTHONPATH": os.path.dirname(goalloc.__path__[0])}
ON = {**HOME, "GOALLOC": "1"}


@pytest.fixture
def inside(python, tmp_path):
    """inside(args...) runs the python of a bare virtual environment."""
    venv.create(tmp_path / "venv", symlinks=True)
    executable = tmp_path / "venv" / "bin" / "python"

    def run(*args, env=HOME):
        return python.output(*args, env=env, executable=executable)

    run.result = lambda *args, env: python(*args, env=env, executable=executable)
    run.site = next((tmp_path / "venv" / "lib").glob("python*")) / "site-packages"
    return run


def files(inside):
    return sorted(p.name for p in inside.site.iterdir() if "goalloc" in p.name)


@needs_replaceable
def test_enabled_by_a_variable_only(inside):
    assert inside("-m", "goalloc", "enable").startswith(f"enabled in {inside.site}: ")
    assert inside("-c", MODE, env=ON) == "import\n"
    for env in (HOME, {**HOME, "GOALLOC": "0"}, {**HOME, "GOALLOC": ""}):
        assert inside("-c", MODE, env=env) == "None\n"


@needs_replaceable
def test_a_yes_in_other_words_will_do_and_nonsense_is_told_once(inside):
    inside("-m", "goalloc", "enable")
    for asked, mode in (("yes", "import"), ("TRUE", "import"), ("off", "None"), ("No", "None")):
        result = inside.result("-c", MODE, env={**HOME, "GOALLOC": asked})
        assert (result.stdout, result.stderr) == (f"{mode}\n", ""), asked
    result = inside.result("-c", MODE, env={**HOME, "GOALLOC": "2"})
    assert (result.returncode, result.stdout) == (0, "None\n")
    assert result.stderr == "goalloc: warning: GOALLOC is 1 or off, not '2': taken as off\n"


@needs_replaceable
def test_the_doctor_says_whether_it_is_in_force(inside):
    told = []
    for command in ("doctor", "enable", "doctor", "disable", "doctor"):
        lines = inside("-m", "goalloc", command).splitlines()
        told += [line for line in lines if line.startswith("enable ")]
    off = "enable  not in force in this environment"
    assert told == [off, f"enable  in force, by files in {inside.site}", off]


@needs_replaceable
def test_nothing_is_imported_where_it_is_off(inside):
    inside("-m", "goalloc", "enable")
    code = "import sys; print([m for m in sys.modules if m.startswith('goalloc')])"
    assert inside("-c", code) == "[]\n"


def test_enabling_twice_is_enabling_once_and_disabling_leaves_nothing(inside):
    before = sorted(p.name for p in inside.site.iterdir())
    inside("-m", "goalloc", "enable")
    first = {name: (inside.site / name).read_text() for name in files(inside)}
    inside("-m", "goalloc", "enable")
    assert {name: (inside.site / name).read_text() for name in files(inside)} == first
    assert set(first) == set(enable.files())
    inside("-c", "pass", env=ON)  # leaves byte code of the module
    assert inside("-m", "goalloc", "disable") == f"disabled in {inside.site}\n"
    assert sorted(p.name for p in inside.site.iterdir() if p.name != "__pycache__") == before
    assert not list(inside.site.glob("__pycache__/*goalloc*"))
    assert inside("-m", "goalloc", "disable") == f"was not enabled in {inside.site}\n"


def test_harmless_when_goalloc_is_gone(inside):
    inside("-m", "goalloc", "enable")
    assert inside("-c", "print('fine')", env={"GOALLOC": "1"}) == "fine\n"


@needs_replaceable
def test_what_an_older_goalloc_enabled_goes_on(inside):
    inside("-m", "goalloc", "enable")
    module = inside.site / "_goalloc_enabled.py"
    module.write_text(module.read_text().replace("enabled(asked)", "enabled()"))
    assert inside("-c", MODE, env=ON) == "import\n"


@needs_replaceable
def test_isolated_pythons_do_not_look_at_the_environment(inside):
    inside("-m", "goalloc", "enable")
    code = f"import sys; sys.path.append({HOME['PYTHONPATH']!r}); {MODE}"
    assert inside("-I", "-c", code, env=ON) == "None\n"


@needs_replaceable
def test_a_profile_of_an_enabled_python(inside, tmp_path):
    inside("-m", "goalloc", "enable")
    path = tmp_path / "heap.pb.gz"
    env = {**ON, "GOALLOC_PROFILE": str(path), "GOALLOC_PROFILE_RATE": "1"}
    inside("-c", "def work(): return [bytes(1000) for _ in range(100)]\nx = work()", env=env)
    (written,) = tmp_path.glob("heap.*.pb.gz")  # each process has its pid in the name
    profile = goalloc.read_profile(written)
    assert profile.filter(function="work").total("alloc_space") >= 100 * 1000


def test_nonsense_in_the_environment_is_a_line_and_no_more(inside, tmp_path):
    inside("-m", "goalloc", "enable")
    env = {**ON, "GOALLOC_PROFILE": str(tmp_path / "x"), "GOALLOC_PROFILE_EVERY": "often"}
    result = inside.result("-c", "print('runs')", env=env)
    assert (result.returncode, result.stdout) == (0, "runs\n")
    told = "GOALLOC_PROFILE_EVERY: not a time such as 60s, 5m or 1h: 'often'"
    assert result.stderr == f"goalloc: warning: {told}\n"


def test_files_of_others_are_left_alone(inside):
    theirs = inside.site / "_goalloc_enabled.pth"
    theirs.write_text("# not ours\n")
    result = inside("-m", "goalloc", "disable")
    assert result == f"was not enabled in {inside.site}\n"
    assert theirs.read_text() == "# not ours\n"


def test_a_start_file_where_python_has_them():
    old, new = enable.files((3, 14)), enable.files((3, 15))
    assert [name.rpartition(".")[2] for name in old] == ["py", "pth"]
    assert [name.rpartition(".")[2] for name in new] == ["py", "pth", "start"]
    # PEP 829: one object path for each line that is no comment
    entries = [line for line in new["_goalloc_enabled.start"].splitlines() if line[0] != "#"]
    assert entries == ["_goalloc_enabled:start"]


def test_outside_of_a_virtual_environment_it_refuses(python):
    result = python(
        "-m", "goalloc", "enable", env=HOME, executable=os.path.realpath(sys._base_executable)
    )
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("goalloc: ") and "--force" in result.stderr
    assert result.stderr.count("\n") == 1

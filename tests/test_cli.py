"""The command line: what it prints, and that bad arguments never end in a traceback."""

import shutil
import subprocess
import sys
import sysconfig
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest
from pychild import needs_launch, needs_replaceable

import goalloc
from goalloc.cli import main
from goalloc.display.sizetable import sizes_text


def test_classes_prints_the_table(python):
    assert python.output("-m", "goalloc", "classes") == sizes_text(goalloc.size_classes()) + "\n"


def test_version(python):
    assert python.output("-m", "goalloc", "--version") == f"goalloc {goalloc.__version__}\n"


@needs_launch
def test_console_script_is_the_module(python):
    import os

    script = os.path.join(sysconfig.get_path("scripts"), "goalloc")
    if not os.path.exists(script):
        pytest.skip("goalloc is not installed as a distribution here")
    code = "import goalloc, sys; print(goalloc.mode(), sys.argv, sys.flags.utf8_mode)"
    out = python.output("-X", "utf8", script, "run", "-c", code, "a")
    assert out == "launch ['-c', 'a'] 1\n"


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["fly"],
        ["--nope"],
        ["run"],
        ["run", "--nope"],
        ["run", "--nope", "x.py"],
        ["run", "--stats"],
        ["run", "-m"],
        ["run", "-c"],
        ["run", "--"],
        ["classes", "extra"],
        ["doctor", "--nope"],
        ["run", "-u", "script.py"],
        ["run", "--sta", "script.py"],
    ],
)
def test_bad_arguments_are_a_message_and_status_2(python, words):
    result = python("-m", "goalloc", *words)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("usage: python -m goalloc")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "words, error",
    [
        ([], "the following arguments are required: command"),
        (["--nope"], "unrecognized arguments: --nope"),
        (["kernel"], "the following arguments are required: action"),
        (["kernel", "--nope"], "unrecognized arguments: --nope"),
        (["attach", "abc"], "argument PID: not the number of a process: 'abc'"),
        (["attach", "1", "--timeout", "soon"], "argument --timeout: not a number of seconds: 'soon'"),
        (["attach", "1", "--timeout", "nan"], "argument --timeout: not a number of seconds: 'nan'"),
    ],
)
def test_bad_arguments_are_named(capsys, words, error):
    with pytest.raises(SystemExit) as ended:
        main(words)
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (2, "") and err.endswith(f" error: {error}\n")


@needs_launch
@pytest.mark.parametrize("flags", [[], ["--stats"], ["--no-children", "--stats", "--stats"]])
def test_a_good_run_does_without_argparse(python, flags):
    """It would take half as long to import as an interpreter takes to start."""
    result = python("-X", "importtime", "-m", "goalloc", "run", *flags, "--", "-c", "print('ran')")
    assert (result.returncode, result.stdout) == (0, "ran\n")
    imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert "goalloc.cli" in imported and "argparse" not in imported
    assert ("heap_alloc" in result.stderr) == ("--stats" in flags)


@pytest.mark.parametrize("words, ends", [("run -c 'open(\"ran\", \"w\")'", "0"), ("top -", "2"), ("doctor -x", "2")])
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_were_closed_before_are_no_error(python, words, ends, closed):
    """As cron and supervisors start programs."""
    command = f"{sys.executable} -m goalloc {words} {closed}; echo $? > status"
    done = subprocess.run(["sh", "-c", command], cwd=python.folder, capture_output=True, text=True)
    assert "Traceback" not in done.stdout + done.stderr
    assert (python.folder / "ran").exists() == words.startswith("run")
    assert (python.folder / "status").read_text() == f"{ends}\n"


@needs_launch
def test_a_missing_script_fails_as_under_plain_python(python):
    plain, ours = python("nowhere.py"), python.run("nowhere.py")
    assert (ours.returncode, ours.stderr) == (plain.returncode, plain.stderr)


@pytest.mark.parametrize("words", [["-h"], ["run", "-h"], ["classes", "-h"], ["doctor", "-h"]])
def test_help(python, words):
    assert python.output("-m", "goalloc", *words).startswith("usage: python -m goalloc")


@needs_replaceable
def test_doctor_finds_all_well(python):
    heading, *lines = python.output("-m", "goalloc", "doctor").splitlines()
    assert sys.version.split()[0] in heading
    modes = ("launch", "import", "wrap")
    assert [line.split() for line in lines[:-1]] == [[mode, "works"] for mode in modes]
    assert lines[-1].startswith("enable ")


@needs_replaceable
def test_doctor_when_launched(python):
    heading, *lines = python.run("-m", "goalloc", "doctor").stdout.splitlines()
    assert [line.split()[1:] for line in lines[:3]] == [["works"]] * 3
    assert lines[-1].startswith("here:   LD_PRELOAD has goalloc")


@needs_launch
def test_doctor_tells_of_variables_that_make_no_sense(python):
    env = {"GOALLOC_GAURD": "5000", "GOALLOC_SCAVENGE_DELAY": "soon", "GOALLOC_GUARD": "5000"}
    *_, first, second = python.output("-m", "goalloc", "doctor", env=env).splitlines()
    assert first.startswith("here:   GOALLOC_SCAVENGE_DELAY is not a number of seconds")
    assert second == "here:   GOALLOC_GAURD is no variable of goalloc's"


@pytest.mark.parametrize(
    "outer, env, works",
    [
        (["-X", "dev"], {}, {"launch", "wrap"}),
        ([], {"PYTHONMALLOC": "debug"}, {"launch", "wrap"}),
        ([], {"PYTHONMALLOC": "malloc"}, {"wrap"}),
        ([], {"PYTHONMALLOC": "malloc_debug"}, {"wrap"}),
        (["-X", "tracemalloc"], {}, {"launch", "wrap"}),
    ],
)
def test_doctor_says_why_not(python, outer, env, works):
    heading, *lines = python.output(*outer, "-m", "goalloc", "doctor", env=env).splitlines()
    told = dict(line.split(maxsplit=1) for line in lines[:3])
    assert list(told) == ["launch", "import", "wrap"]
    cause = (*env.values(), *outer)[-1].replace("dev", "development")
    assert sum(cause in line and line.startswith("here:   ") for line in lines[3:]) == 1
    assert {mode for mode, text in told.items() if text == "works"} == works
    for mode in told.keys() - works:
        assert told[mode].startswith("does not work: ") and len(told[mode].split()) > 6


def test_a_reader_that_stops_early_is_no_error():
    # From another folder, so that the installed package is the one that runs.
    command = f"{sys.executable} -m goalloc classes | head -1"
    done = subprocess.run(
        ["sh", "-c", command], cwd="/", capture_output=True, text=True, check=False
    )
    assert done.stderr == ""


def test_python_options_after_run_get_a_hint(python):
    result = python("-m", "goalloc", "run", "-X", "utf8", "script.py")
    assert result.returncode == 2
    assert "unrecognized arguments: -X" in result.stderr
    assert "`python -X utf8 -m goalloc run ...`" in result.stderr


ASCII = [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}]


@needs_replaceable
@pytest.mark.parametrize("env", ASCII, ids=["PYTHONIOENCODING", "LC_ALL"])
def test_a_tree_where_stdout_takes_ascii_only(python, tmp_path, env):
    code = (
        "import goalloc; goalloc.set_profile_rate(1); goalloc.install('import')\n"
        "def gr\u00f6\u00dfe(n): return bytearray(n)\n"
        "def two(): return gr\u00f6\u00dfe(70_000), bytearray(50_000), [0] * 9000\n"
        "kept = two(); goalloc.heap_profile().write_pprof('heap.pb.gz')"
    )
    python.output("-X", "utf8", "-c", code)
    plain = python("-m", "goalloc", "tree", "heap.pb.gz", env=env)
    assert (plain.returncode, plain.stderr) == (0, "")
    assert plain.stdout.isascii() and "` __main__.gr??e" in plain.stdout
    rich = python.output("-m", "goalloc", "tree", "heap.pb.gz", env={"PYTHONIOENCODING": "utf-8"})
    assert [*map(len, rich.splitlines())] == [*map(len, plain.stdout.splitlines())]
    asked = python.output("-m", "goalloc", "tree", "heap.pb.gz", env={"PYTHONIOENCODING": "ascii:backslashreplace"})
    assert r"gr\xf6\xdfe" in asked


def test_every_sign_of_the_views_has_a_plain_one():
    """As many different ones as there are in one picture, so that the pictures can be told apart."""
    import goalloc.commands.plain as plain

    signs = {
        sign
        for source in Path(goalloc.__path__[0]).rglob("*.py")
        for sign in source.read_text(encoding="utf-8")
        if not sign.isascii()
    }
    told = {sign: sign.translate(plain._PLAIN) for sign in signs}
    assert all(text.isascii() and len(text) == 1 for text in told.values()), told
    for picture in ("░▒▓█■≡· ", "█▓░▪ ", " ▁▂▃▄▅▆▇█", "└├│ "):
        assert len(set(picture.translate(plain._PLAIN))) == len(picture)


@pytest.mark.parametrize("words", ["classes", "-h", "--version", "top -h", "stats {}", "pprof -o - {}", "flamegraph {}"])
@pytest.mark.parametrize("where, why", [(">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")])
def test_what_cannot_be_printed_is_a_message(tmp_path, words, where, why):
    """Also where standard output was closed before: then nobody has what was asked for."""
    goalloc.heap_profile().write_pprof(tmp_path / "heap.pb.gz")
    command = f"{sys.executable} -P -m goalloc {words.format('heap.pb.gz')} {where}"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, f"goalloc: standard output: {why}\n")


def test_where_errors_are_closed_what_is_printed_counts(python):
    command = f"{sys.executable} -m goalloc classes 2>&-"
    done = subprocess.run(["sh", "-c", command], cwd=python.folder, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, sizes_text(goalloc.size_classes()) + "\n")


@pytest.fixture
def without_core(tmp_path):
    """A goalloc that lacks what is compiled for this Python."""
    shutil.copytree(
        goalloc.__path__[0], tmp_path / "goalloc", ignore=shutil.ignore_patterns("*.so", "__pycache__")
    )
    return tmp_path / "goalloc"


@pytest.mark.parametrize("options, what", [
    ([], "and hides the goalloc that is installed in {home}: run it from another folder"),
    (["-S"], "run it from another folder, or install it"),  # no packages: there is nothing to hide
])  # fmt: skip
def test_doctor_of_unbuilt_sources_says_it_once(python, without_core, options, what):
    home = Path(goalloc.__path__[0]).parent
    if not options and sysconfig.get_path("platlib") != str(home):
        pytest.skip("goalloc is not installed as a distribution here")
    done = python(*options, "-m", "goalloc", "doctor")
    heading, *lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr, len(lines)) == (1, "", 1), done
    assert lines[0].startswith(f"nothing works: {without_core} holds goalloc's sources, not built"), done
    assert what.format(home=home) in lines[0], done


CORE_USERS = [["classes"], ["attach", "1"], ["kernel", "install"], ["enable"], ["run", "-c", "print(1)"],
              ["run", "--rate", "1", "--profile", "x", "-c", "print(1)"]]  # fmt: skip


@pytest.mark.parametrize("words", CORE_USERS, ids=" ".join)
def test_every_command_says_that_nothing_is_built(python, without_core, words):
    """-S: no installed goalloc is hidden."""
    done = python("-S", "-m", "goalloc", *words)
    what = "holds goalloc's sources, not built for this Python: run it from another folder, or install it"
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"goalloc: {without_core} {what}\n"


def test_a_build_for_another_python_is_told_as_that(python, without_core):
    (without_core / "_core.cpython-27-x86_64-linux-gnu.so").touch()
    what = "holds a goalloc that is built for another Python (cpython-27-x86_64-linux-gnu): install it for this one"
    for words in (["-m", "goalloc", "classes"], ["-c", "import goalloc; goalloc.memstats()"]):
        done = python("-S", *words)
        assert done.returncode and f"{without_core} {what}, {sys.executable}" in done.stderr.splitlines()[-1]


def test_a_core_that_does_not_load_is_told_as_that(python, without_core):
    (without_core / f"_core{EXTENSION_SUFFIXES[0]}").write_text("no shared object")
    done = python("-S", "-m", "goalloc", "classes")
    assert done.returncode == 2 and done.stderr.startswith("goalloc: goalloc's compiled part does not load: ")
    assert done.stderr.count("\n") == 1


def test_profiles_are_read_without_a_core(python, without_core, tmp_path):
    goalloc.heap_profile().write_pprof(tmp_path / "a.pb.gz")
    for words in (["top"], ["tree"], ["stats"], ["diff", "a.pb.gz"], ["flamegraph"], ["speedscope"], ["pprof"]):
        python.output("-S", "-m", "goalloc", *words, "a.pb.gz")


def test_unbuilt_sources_say_what_they_are(python, tmp_path):
    folder = tmp_path / "goalloc"
    folder.mkdir()
    for source in Path(goalloc.__path__[0]).glob("*.py"):
        (folder / source.name).write_text(source.read_text())
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import goalloc; goalloc.memstats()"
    result = python("-c", code)
    assert result.returncode == 1
    assert "holds goalloc's sources, not built for this Python" in result.stderr

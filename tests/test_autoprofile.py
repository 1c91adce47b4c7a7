"""Profiles that a program writes of itself: the same names in each file, and settings that are nonsense."""

import signal

import pytest
from pychild import needs_launch

import goalloc

EVERY_BLOCK = {"GOALLOC_PROFILE_RATE": "1"}
WORK = "def work():\n    return [bytes(1000) for _ in range(100)]\nx = work()\n"

ALIKE = """
import os, sys, time
def work():
    return [bytes(1000) for _ in range(100)]
x = work()
if os.fork() == 0:
    sys.exit(0)
assert os.wait()[1] == 0
os.kill(os.getpid(), int(sys.argv[1]))
while not os.path.exists("heap.1.pb.gz"):
    time.sleep(0.01)
"""


def modules_of_work(path):
    samples = goalloc.read_profile(path).samples
    return {f.module for s in samples for f in s.stack if f.function == "work"}


@needs_launch
@pytest.mark.parametrize("target", [["program.py"], ["-m", "program"], ["./program.py"]])
def test_the_main_module_has_one_name_in_all_files(python, tmp_path, target):
    """Python takes __main__.__file__ away before a profile is written at the end."""
    (tmp_path / "program.py").write_text(ALIKE)
    number = str(int(signal.SIGUSR2))
    options = ["--rate", "1", "--profile", "heap.pb.gz", "--signal", "SIGUSR2"]
    result = python.run(*options, *target, number)
    assert (result.returncode, result.stderr) == (0, "")
    paths = sorted(tmp_path.glob("heap*.pb.gz"))
    assert len(paths) == 3  # at the signal, at the end, of the fork
    assert [modules_of_work(path) for path in paths] == [{"__main__"}] * 3


@needs_launch
@pytest.mark.parametrize(
    "name, text, part",
    [
        ("GOALLOC_PROFILE_EVERY", "often", "not a time such as 60s, 5m or 1h: 'often'"),
        ("GOALLOC_PROFILE_SIGNAL", "SIGNONE", "no signal 'SIGNONE'"),
        ("GOALLOC_PROFILE_SIGNAL", "KILL", "SIGKILL has another meaning"),
    ],
)
def test_a_setting_that_is_nonsense_loses_no_profile(python, tmp_path, name, text, part):
    env = {**EVERY_BLOCK, "GOALLOC_PROFILE": "heap.pb.gz", name: text}
    result = python.run("-c", WORK, env=env)
    assert result.returncode == 0
    assert result.stderr.startswith(f"goalloc: warning: {name}: {part}")
    assert result.stderr.count("\n") == 1
    (path,) = tmp_path.glob("heap.*.pb.gz")
    assert modules_of_work(path) == {"__main__"}


@needs_launch
@pytest.mark.parametrize("off", ["off", "0"])
def test_what_is_off_is_not_done(python, tmp_path, off):
    env = {**EVERY_BLOCK, "GOALLOC_PROFILE": "heap.pb.gz"}
    when = {"GOALLOC_PROFILE_EVERY": off, "GOALLOC_PROFILE_SIGNAL": off}
    code = WORK + "import threading\nprint(threading.active_count())"
    result = python.run("-c", code, env={**env, **when})
    assert (result.returncode, result.stdout, result.stderr) == (0, "1\n", "")
    assert len(list(tmp_path.glob("heap.*.pb.gz"))) == 1


@needs_launch
@pytest.mark.parametrize("place", ["nowhere/heap.pb.gz", "/proc/heap.pb.gz"])
def test_a_place_that_is_none_is_told_at_the_start_and_once(python, place):
    code = "import sys; print('runs', file=sys.stderr)"
    result = python.run("-c", code, env={"GOALLOC_PROFILE": place})
    assert result.returncode == 0
    warning, runs = result.stderr.splitlines()
    assert warning.startswith("goalloc: warning: no profile: ") and runs == "runs"


@needs_launch
@pytest.mark.parametrize("name", ["folder", "folder/", "nowhere/"])
def test_a_folder_is_no_place_and_its_signal_does_no_harm(python, tmp_path, name):
    (tmp_path / "folder").mkdir()
    code = "import os, signal; os.kill(os.getpid(), signal.SIGUSR2); print('runs')"
    env = {"GOALLOC_PROFILE": name, "GOALLOC_PROFILE_SIGNAL": "SIGUSR2"}
    result = python.run("-c", code, env=env)
    assert (result.returncode, result.stdout) == (0, "runs\n")
    place = tmp_path / name.rstrip("/")
    told = f"no profile: GOALLOC_PROFILE is a folder, not a file: {place}"
    assert result.stderr == f"goalloc: warning: {told}\n"
    assert [p.name for p in tmp_path.rglob("*")] == ["folder"]


@needs_launch
def test_a_file_that_is_no_profile_stays(python, tmp_path):
    """Its name has the process id, which exec keeps."""
    code = (
        "import os, sys\n"
        "open(f'notes.{os.getpid()}', 'w').write('mine')\n"
        "os.environ['GOALLOC_PROFILE'] = 'notes'\n"
        "os.execv(sys.executable, [sys.executable, '-c', 'print(1)'])"
    )
    result = python.run("-c", code)
    assert (result.returncode, result.stdout) == (0, "1\n")
    (path,) = tmp_path.iterdir()
    assert path.read_text() == "mine"
    told = f"no profile: {path} is no heap profile, and would be lost"
    assert result.stderr.startswith(f"goalloc: warning: {told}") and result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "words, env, part",
    [
        (["--profile", "/proc/x.pb.gz"], {}, "no file can be made there: /proc/x.pb.gz"),
        (["--profile", "x.pb.gz", "--rate", "0"], {}, "--rate 0 turns the profile off"),
        (["--profile", "x.pb.gz", "--rate", "off"], {}, "--rate off turns the profile off"),
        (["--profile", "x.pb.gz"], {"GOALLOC_PROFILE_RATE": "off"}, "GOALLOC_PROFILE_RATE=off turns the profile off"),
        (["--profile", "x.pb.gz"], {"GOALLOC_PROFILE_RATE": "0"}, "GOALLOC_PROFILE_RATE=0 turns the profile off"),
    ],
)
def test_a_profile_that_would_not_be_is_refused(python, tmp_path, words, env, part):
    result = python.run(*words, "-c", "print('runs')", env=env)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("usage: ") and part in result.stderr
    assert list(tmp_path.iterdir()) == []


@needs_launch
@pytest.mark.parametrize("rate", ["off", "often", ""])
def test_the_rate_that_is_given_counts_and_none_in_the_environment_is_refused(python, tmp_path, rate):
    given = ["--rate", "1"] if rate == "off" else []
    result = python.run("--profile", "x.pb.gz", *given, "-c", WORK, env={"GOALLOC_PROFILE_RATE": rate})
    assert result.returncode == 0 and ("GOALLOC_PROFILE_RATE" in result.stderr) == (rate == "often")
    assert goalloc.read_profile(tmp_path / "x.pb.gz").rate == (1 if given else 512 * 1024)

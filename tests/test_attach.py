"""`goalloc attach`: into a running process, and what can be in the way."""

import signal
import subprocess
import sys
import time
import urllib.request

import pytest
from pychild import needs_replaceable, wait_for

import goalloc
from goalloc import attached
from goalloc.cli import main
from goalloc.commands import CommandError, attach

needs_remote_exec = pytest.mark.skipif(
    not hasattr(sys, "remote_exec"), reason="sys.remote_exec is there since Python 3.14"
)
PROGRAM = """
import sys, time
print("ready", flush=True)
names = set(globals()) | {"names", "kept"}
def work():
    return [bytes(1000) for _ in range(100)]
kept = []
while not set(globals()) - names - {"work"}:
    kept.append(work())
    del kept[:-50]
    time.sleep(0.01)
print("left behind:", set(globals()) - names)
"""


@pytest.fixture
def running(tmp_path):
    """A process at work; ends with the test."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    ) as child:
        assert child.stdout.readline() == "ready\n"
        yield child
        child.kill()


@needs_remote_exec
@needs_replaceable
def test_installs_and_leaves_no_names(running, capsys):
    for _ in range(2):
        assert main(["attach", str(running.pid)]) == 0
        out = capsys.readouterr().out
        assert out == f"goalloc is in process {running.pid} in import mode\n"
    time.sleep(0.2)
    assert running.poll() is None


@needs_remote_exec
@needs_replaceable
def test_writes_a_profile_and_serves(running, tmp_path, capsys):
    path = tmp_path / "heap.pb.gz"
    words = ["--rate", "1", "--serve", "0"]
    assert main(["attach", str(running.pid), *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("profile rate 1 (was ")
    url = lines[2].removeprefix("serving at ")
    with urllib.request.urlopen(f"{url}debug/pprof/cmdline", timeout=60) as answer:
        assert answer.read().split(b"\0")[1] == b"-c"
    time.sleep(0.3)
    assert main(["attach", str(running.pid), "--profile", str(path), "--serve", "0"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"serving at {url}"  # the one that is there
    assert goalloc.read_profile(path).filter(function="work").total("alloc_objects") > 0


@needs_remote_exec
@needs_replaceable
def test_profile_at_a_signal_from_then_on(running, tmp_path, capsys):
    path = tmp_path / "heap.pb.gz"
    words = ["--profile", str(path), "--every", "0.2s", "--signal", "SIGUSR2"]
    assert main(["attach", str(running.pid), *words]) == 0
    running.send_signal(signal.SIGUSR2)
    first = tmp_path / "heap.1.pb.gz"
    wait_for(first.exists)
    path.unlink()
    wait_for(path.exists)
    for file in (first, path):
        assert isinstance(goalloc.read_profile(file), goalloc.HeapProfile)


@needs_remote_exec
def test_a_busy_main_thread_is_given_up(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code = "import time; print('ready', flush=True); time.sleep(3); x = [1 for _ in range(1000)]"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline() == "ready\n"
        assert main(["attach", "--timeout", "0.5", str(child.pid)]) == 1
        assert f"process {child.pid} did not answer within 0.5 s" in capsys.readouterr().err
        assert child.wait(60) == 0
    assert list(tmp_path.iterdir()) == []  # it has cleared away what we left for it


@needs_remote_exec
def test_no_such_process(capsys):
    with subprocess.Popen([sys.executable, "-c", "pass"]) as child:
        child.wait(60)
    assert main(["attach", str(child.pid)]) == 1
    assert capsys.readouterr().err == f"goalloc: no process {child.pid}\n"


@needs_remote_exec
def test_a_process_that_is_no_python(capsys):
    with subprocess.Popen(["sleep", "60"]) as child:
        assert main(["attach", str(child.pid)]) == 1
        child.kill()
    error = capsys.readouterr().err
    assert error.startswith(f"goalloc: process {child.pid} cannot be attached to: ")


@pytest.mark.skipif(hasattr(sys, "remote_exec"), reason="this Python has it")
def test_an_older_python_says_so(capsys):
    assert main(["attach", "1"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("goalloc: attach needs Python 3.14") and error.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["x"],
        ["1", "--every", "5s"],
        ["1", "--profile", "x", "--every", "often"],
        ["1", "--profile", "x", "--signal", "SIGKILL"],
        ["1", "--rate", "much"],
    ],
)
def test_bad_arguments(words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["attach", *words])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("usage: ")


@pytest.mark.parametrize(
    "text, found",
    [
        ("6060", ("127.0.0.1", 6060)),
        ("0.0.0.0:0", ("0.0.0.0", 0)),
        ("[::1]:6060", ("::1", 6060)),
        ("localhost:80", ("localhost", 80)),
    ],
)
def test_addresses(text, found):
    assert attach.address(text) == found


@pytest.mark.parametrize("text", ["", "x", "1.2.3.4", "x:y", "70000", ":-1"])
def test_addresses_that_are_none(text):
    with pytest.raises(CommandError):
        attach.address(text)


def test_what_goes_wrong_over_there_is_told(tmp_path):
    """The part that runs in the process never raises: the program goes on."""
    import json

    answer = tmp_path / "answer"
    order = {"answer": str(answer), "rate": None, "profile": "/nowhere/x", "serve": None}
    order |= {"every": None, "signal": None}
    with goalloc.installed("wrap"):
        attached.obey(order)
    assert json.loads(answer.read_text())["error"].startswith("FileNotFoundError: ")
    notes = tmp_path / "notes"
    notes.write_text("mine")
    with goalloc.installed("wrap"):
        attached.obey({**order, "profile": str(notes)})
    assert "is no heap profile, and would be lost" in json.loads(answer.read_text())["error"]
    assert notes.read_text() == "mine"
    attached.obey({**order, "answer": str(tmp_path / "gone" / "answer")})  # nobody waits: no error

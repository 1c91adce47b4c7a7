"""Profiles from the command line, read from files."""

import json
import os
import subprocess
import sys
import time

import pytest
from profiledata import core_profile
from pychild import wait_for

import goalloc
from goalloc import autoprofile
from goalloc.cli import main
from goalloc.commands import progress
from goalloc.profiles.notes import OFF


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Two profiles, the second with one block of decode() more; in the current folder."""
    monkeypatch.chdir(tmp_path)
    raw = core_profile()
    goalloc.HeapProfile._from_core(raw).write_pprof("a.pb.gz")
    stack, size, rate, domain, thread, allocs, frees, peak = raw["samples"][0]
    raw["samples"][0] = (stack, size, rate, domain, thread, allocs + 1, frees, peak)
    goalloc.HeapProfile._from_core(raw).write_pprof("b.pb.gz")
    return tmp_path


def said(capsys, *words):
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_top_is_that_of_the_profile(files, capsys):
    profile = goalloc.read_profile("a.pb.gz")
    assert said(capsys, "top", "a.pb.gz") == f"{profile.top()}\n"
    words = ["top", "-n", "2", "--by", "file", "--cum", "--value", "alloc_objects", "a.pb.gz"]
    expected = profile.top(2, by="file", value="alloc_objects", sort="cum")
    assert said(capsys, *words) == f"{expected}\n"


@pytest.mark.parametrize("by", ["thread", "size", "domain"])
def test_top_and_diff_by_what_samples_have_besides_frames(files, capsys, by):
    a, b = goalloc.read_profile("a.pb.gz"), goalloc.read_profile("b.pb.gz")
    assert said(capsys, "top", "--by", by, "a.pb.gz") == f"{a.top(by=by)}\n"
    assert said(capsys, "diff", "--by", by, "a.pb.gz", "b.pb.gz") == f"{b.diff(a).top(by=by)}\n"


def test_several_files_are_added_up(files, capsys):
    a, b = goalloc.read_profile("a.pb.gz"), goalloc.read_profile("b.pb.gz")
    assert said(capsys, "top", "a.pb.gz", "b.pb.gz") == f"{a.merge(b).top()}\n"


def test_tree(files, capsys):
    profile = goalloc.read_profile("a.pb.gz")
    assert said(capsys, "tree", "--no-fold", "a.pb.gz") == f"{profile.tree(fold=False)}\n"
    expected = profile.tree("alloc_space", by="module")
    assert said(capsys, "tree", "--value", "alloc_space", "--by", "module", "a.pb.gz") == f"{expected}\n"
    few = profile.tree().to_text(lines=3, depth=1)
    assert said(capsys, "tree", "-n", "3", "--depth", "1", "a.pb.gz") == f"{few}\n"
    assert few not in (profile.tree().to_text(lines=3), profile.tree().to_text(depth=1))


def test_diff_is_of_the_second_to_the_first(files, capsys):
    out = said(capsys, "diff", "a.pb.gz", "b.pb.gz", "--flamegraph", "change.html")
    a, b = goalloc.read_profile("a.pb.gz"), goalloc.read_profile("b.pb.gz")
    change = b.diff(a)
    assert change.total() > 0
    assert out == f"{change.top()}\nwritten to change.html\n"
    assert (files / "change.html").read_text().startswith("<!DOCTYPE html>")


def test_frames_that_are_not_the_programs_are_there_on_demand(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    functions = [("load", "<frozen importlib._bootstrap>", 1), ("<module>", "/srv/app/module.py", 1)]
    raw = core_profile(
        rate=1, functions=functions, locations=[(0, 1), (1, 1)], stacks=[(1, 0)],
        samples=[(0, 64, 1, 2, 0, 1, 0, 1)],
    )  # fmt: skip
    goalloc.HeapProfile._from_core(raw).write_pprof("a.pb.gz")
    raw["samples"] = [(0, 64, 1, 2, 0, 5, 0, 5)]
    goalloc.HeapProfile._from_core(raw).write_pprof("b.pb.gz")
    for option, there in ((), False), (("--no-fold",), True):
        out = said(capsys, "diff", *option, "a.pb.gz", "b.pb.gz", "--flamegraph", "change.html")
        assert ("importlib._bootstrap.load" in out) is there
        page = (tmp_path / "change.html").read_text()
        assert ("importlib._bootstrap.load" in page) is there and ("[import]" in page) is not there
        assert ("importlib._bootstrap.load" in said(capsys, "top", *option, "a.pb.gz")) is there


def test_flamegraph_and_speedscope(files, capsys):
    (files / "sub").mkdir()
    (files / "a.pb.gz").rename(files / "sub" / "a.pb.gz")
    assert said(capsys, "flamegraph", "sub/a.pb.gz") == "written to a.html\n"
    assert "JSONDecoder.decode" in (files / "a.html").read_text()
    assert said(capsys, "speedscope", "sub/a.pb.gz") == "written to a.speedscope.json\n"
    document = json.loads((files / "a.speedscope.json").read_text())
    assert document["profiles"][0]["name"] == "inuse_space"
    assert said(capsys, "flamegraph", "-o", "x", "sub/a.pb.gz") == "written to x\n"
    assert (files / "x").read_text().startswith("<!DOCTYPE html>")


def test_pprof_has_the_values_of_go_and_the_peak_on_demand(python, files, capsys):
    profile = goalloc.HeapProfile._from_core(core_profile())
    profile.write_pprof("run.pb.gz", peak=True)
    assert said(capsys, "pprof", "run.pb.gz") == "written to run.go.pb.gz\n"
    assert goalloc.read_profile("run.go.pb.gz") == goalloc.read_profile("a.pb.gz")
    said(capsys, "pprof", "--peak", "-o", "sum.pb.gz", "run.pb.gz", "run.pb.gz")
    both = goalloc.read_profile("sum.pb.gz")
    assert both.total("peak_space") == 2 * profile.total("peak_space")
    assert main(["pprof", "--peak", "a.pb.gz"]) == 2 and "peak" in capsys.readouterr().err
    command = [sys.executable, "-m", "goalloc", "pprof", "-o", "-", files / "run.pb.gz"]
    done = subprocess.run(command, capture_output=True, cwd="/")
    assert goalloc.HeapProfile.from_pprof(done.stdout).total() == profile.total()


def test_stats_add_up(files, capsys):
    profile = goalloc.read_profile("a.pb.gz")
    heading, values, domains, threads, sizes = said(capsys, "stats", "a.pb.gz").split("\n\n")
    assert "a sample every 512.0 KiB" in heading and f"entries  {len(profile)}, of" in heading
    rows = {line[:9].strip(): line.split()[-4:] for line in values.splitlines()[1:]}
    assert int(rows["allocated"][-3].replace(",", "")) == profile.total("alloc_space")
    assert int(rows["in use"][-3].replace(",", "")) == profile.total("inuse_space")
    assert {line.split()[0] for line in domains.splitlines()[1:]} == {"raw", "mem", "obj"}
    blocks = [int(line.split()[1].replace(",", "")) for line in sizes.splitlines()[1:]]
    assert sum(blocks) == profile.total("inuse_objects")


def test_standard_input(python, files):
    data = (files / "a.pb.gz").read_bytes()
    command = [sys.executable, "-m", "goalloc", "top", "-"]
    done = subprocess.run(command, input=data, capture_output=True, cwd="/")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode() == f"{goalloc.read_profile(files / 'a.pb.gz').top()}\n"


@pytest.mark.parametrize("command", ["flamegraph", "speedscope", "pprof"])
def test_standard_input_gives_no_name_to_the_output(files, capsys, command):
    before = sorted(files.iterdir())
    assert main([command, "-"]) == 2
    assert "-o" in capsys.readouterr().err
    assert sorted(files.iterdir()) == before


def test_files_without_samples_say_how_to_have_some(files, capsys):
    raw = {**core_profile(), "rate": 0, "samples": []}
    goalloc.HeapProfile._from_core(raw, note=OFF).write_pprof("off.pb.gz")
    for words in (["top", "off.pb.gz"], ["tree", "off.pb.gz"], ["stats", "off.pb.gz"],
                  ["diff", "off.pb.gz", "off.pb.gz"], ["top", "off.pb.gz", "off.pb.gz"]):  # fmt: skip
        out = said(capsys, *words)
        assert "sampling was off" in out and "--rate" in out and "set_profile_rate" not in out
    for words in (["diff", "off.pb.gz", "a.pb.gz"], ["diff", "a.pb.gz", "off.pb.gz"],
                  ["top", "off.pb.gz", "a.pb.gz"], ["stats", "a.pb.gz", "off.pb.gz"]):  # fmt: skip
        out = said(capsys, *words)
        assert "a part of it was not sampled (rate 0)" in out and "off" not in out
        assert "a sample every 512.0 KiB" in out


BAD = {
    "missing": None,
    "empty": b"",
    "text": b"not a profile\n" * 100,
    "cut": "cut",
    "zeros": bytes(1000),
    "bad gzip": b"\x1f\x8b" + b"\xff" * 50,
}


@pytest.mark.parametrize("command", ["top", "tree", "flamegraph", "diff", "speedscope", "pprof", "stats"])
@pytest.mark.parametrize("how", [*BAD, "folder"])
def test_bad_files_are_a_message_and_status_2(files, capsys, how, command):
    bad = files / "bad.pb.gz"
    if how == "folder":
        bad.mkdir()
    elif BAD[how] is not None:
        bad.write_bytes((files / "a.pb.gz").read_bytes()[:-40] if how == "cut" else BAD[how])
    words = [command, "a.pb.gz", "bad.pb.gz"] if command == "diff" else [command, "bad.pb.gz"]
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("goalloc: bad.pb.gz: ") and err.count("\n") == 1


@pytest.mark.parametrize(
    "words, part",
    [
        (["top", ""], "empty"),
        (["top", "-", "-"], "only once"),
        (["top", "http://h/debug/pprof/heap"], "goalloc: http://h/debug/pprof/heap: profiles are read from files"),
        (["diff", "a.pb.gz", "https://h/x?gc=1"], "fetch it by curl -o heap.pb.gz 'https://h/x?gc=1'"),
        (["diff", "-", "-"], "only once"),
        (["flamegraph", "-o", ".", "a.pb.gz"], ".: Is a directory"),
        (["flamegraph", "-o", "nowhere/x.html", "a.pb.gz"], "goalloc: nowhere/x.html: No such file"),
        (["flamegraph", "-o", "", "a.pb.gz"], "the name of a file is empty"),
        (["speedscope", "-o", ".", "a.pb.gz"], ".: Is a directory"),
        (["pprof", "-o", ".", "a.pb.gz"], ".: Is a directory"),
        (["diff", "--flamegraph", ".", "a.pb.gz", "a.pb.gz"], ".: Is a directory"),
    ],
)
def test_what_cannot_be_read_or_written_is_said_before_the_work(files, capsys, words, part):
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == "" and part in err and err.count("\n") == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
def test_a_file_that_fails_late_has_the_name_that_was_given(files, capsys):
    assert main(["flamegraph", "-o", "/dev/full", "a.pb.gz"]) == 2
    assert capsys.readouterr().err == "goalloc: /dev/full: No space left on device\n"


def test_errors_name_the_file_and_not_the_one_beside_it(files):
    with pytest.raises(FileNotFoundError) as caught:
        goalloc.read_profile("a.pb.gz").write_pprof("nowhere/x.pb.gz")
    assert caught.value.filename == "nowhere/x.pb.gz" and ".tmp" not in str(caught.value)


@pytest.mark.parametrize(
    "words, output",
    [
        (["flamegraph", "-o", "a.pb.gz", "a.pb.gz"], "a.pb.gz"),
        (["speedscope", "-o", "./b.pb.gz", "a.pb.gz", "b.pb.gz"], "./b.pb.gz"),
        (["pprof", "-o", "soft.pb.gz", "a.pb.gz"], "soft.pb.gz"),
        (["pprof", "-o", "hard.pb.gz", "a.pb.gz"], "hard.pb.gz"),
        (["pprof", "a.go.pb.gz"], "a.go.pb.gz"),
        (["diff", "a.pb.gz", "b.pb.gz", "--flamegraph", "a.pb.gz"], "a.pb.gz"),
    ],
    ids=" ".join,
)
def test_what_is_read_is_never_written_over(files, capsys, words, output):
    os.symlink("a.pb.gz", "soft.pb.gz")
    os.link("a.pb.gz", "hard.pb.gz")
    os.link("b.pb.gz", "a.go.pb.gz")
    before = {path.name: path.read_bytes() for path in files.iterdir()}
    assert main(words) == 2
    told = f"goalloc: {output} is read here, and would be lost: name another file to write\n"
    assert tuple(capsys.readouterr()) == ("", told)
    assert {path.name: path.read_bytes() for path in files.iterdir()} == before


def test_standard_input_is_not_written_over_either(files):
    command = [sys.executable, "-m", "goalloc", "flamegraph", "-o", files / "a.pb.gz", "-"]
    with open("a.pb.gz", "rb") as file:
        done = subprocess.run(command, stdin=file, capture_output=True, text=True, cwd="/")
    assert done.returncode == 2 and "would be lost" in done.stderr
    assert goalloc.read_profile("a.pb.gz")


def test_a_converted_file_elsewhere_keeps_its_name(files, capsys):
    (files / "sub").mkdir()
    (files / "a.pb.gz").rename(files / "sub" / "a.go.pb.gz")
    assert said(capsys, "pprof", "sub/a.go.pb.gz") == "written to a.go.pb.gz\n"


def test_no_rows_are_a_heading(files, capsys):
    assert said(capsys, "top", "-n", "0", "a.pb.gz") == f"{goalloc.read_profile('a.pb.gz').top(0)}\n"


def test_output_to_stdout(files, capsys):
    assert said(capsys, "flamegraph", "-o", "-", "a.pb.gz").startswith("<!DOCTYPE html>")
    assert json.loads(said(capsys, "speedscope", "-o", "-", "a.pb.gz"))["profiles"]
    assert not (files / "-").exists()
    with pytest.raises(SystemExit) as ended:
        main(["diff", "--flamegraph", "-", "a.pb.gz", "a.pb.gz"])
    assert ended.value.code == 2 and "give a file" in capsys.readouterr().err


def test_values_that_a_file_does_not_have(files, capsys):
    assert main(["top", "--value", "peak_space", "a.pb.gz"]) == 2
    assert "peak" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["top"],
        ["top", "-n", "-1", "a.pb.gz"],
        ["top", "-n", "x", "a.pb.gz"],
        ["top", "--by", "colour", "a.pb.gz"],
        ["tree", "--by", "thread", "a.pb.gz"],
        ["tree", "--depth", "-1", "a.pb.gz"],
        ["tree", "--value", "space", "a.pb.gz"],
        ["diff", "a.pb.gz"],
        ["diff", "a.pb.gz", "b.pb.gz", "c.pb.gz"],
        ["speedscope", "--value", "inuse_space", "a.pb.gz"],
    ],
)
def test_bad_arguments(files, words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("usage: ")


@pytest.mark.parametrize("command", ["top", "tree", "flamegraph", "diff", "speedscope", "pprof", "stats"])
def test_help(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert "FILE" in capsys.readouterr().out


class Terminal:
    """A stderr that says it is one, and keeps what is written."""

    def __init__(self, is_one=True):
        self.is_one, self.text = is_one, ""

    def isatty(self):
        return self.is_one

    def write(self, text):
        self.text += text

    def flush(self):
        pass


def test_progress_shows_at_a_terminal_and_goes_away(monkeypatch):
    monkeypatch.setattr(progress, "_AFTER", 0)
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress.progress("reading x"):
        wait_for(lambda: "reading x, " in sys.stderr.text)
    assert sys.stderr.text.endswith("\r") and sys.stderr.text.rstrip("\r").endswith(" ")


def test_progress_is_silent_before_and_elsewhere(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress.progress("reading x"):
        pass
    assert sys.stderr.text == ""
    monkeypatch.setattr(progress, "_AFTER", 0)
    monkeypatch.setattr(sys, "stderr", Terminal(is_one=False))
    with progress.progress("reading x"):
        time.sleep(0.05)
    assert sys.stderr.text == ""


def test_paths_that_are_no_text(tmp_path):
    """os.fsencode's odd names go through the environment as they are."""
    odd = os.fsdecode(bytes(tmp_path) + b"/h\xff.pb.gz")
    assert autoprofile.environment(odd)["GOALLOC_PROFILE"] == odd

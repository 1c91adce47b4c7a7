"""Growth, threads, Go and the golden file of instructions: they run and write what readers expect.

No times are judged.  Instructions are, where compiler and C library are those of the golden file.
"""

import json
import re
import subprocess
from pathlib import Path

import pytest
from benchrun import BENCHMARKS, needs_go, needs_valgrind, run

pytestmark = pytest.mark.usefixtures("bench_modules")

GOLDEN = BENCHMARKS / "results" / "golden-x86_64.json"


def rows_of(script: str, file: Path, *args: str) -> list[dict]:
    done = run(script, "--quick", "--json", str(file), *args)
    assert done.returncode == 0, done.stderr
    return json.loads(file.read_text())["rows"]


def test_growth_measures_every_part(tmp_path):
    import growth

    rows = rows_of("growth.py", tmp_path / "growth.json", "--contenders", "goalloc", "glibc")
    found = {(row["part"], row["contender"]) for row in rows}
    assert found == {
        ("blocks", "goalloc"), ("blocks", "glibc"), ("runs", "goalloc"), ("arenas", "goalloc"),
    }  # fmt: skip
    for row in rows:
        names = getattr(growth, row["part"].upper())
        assert min(row[name] for name in names) > 0
        assert row["resident"] > 0
    runs = [row for row in rows if row["part"] == "runs"]
    assert all(row["n"] <= row["runs"] <= row["n"] + 1 for row in runs)
    arenas = [row for row in rows if row["part"] == "arenas"]
    assert all(row["arenas"] == row["n"] >> 26 for row in arenas)


def test_live_blocks_stay_within_the_memory_there_is(monkeypatch):
    import growth

    assert growth.live_counts(10**4) == [1000, 10_000]
    monkeypatch.setattr(growth, "available_bytes", lambda: 10**6)
    assert growth.live_counts(10**8) == [1000]


def test_threads_measures_all_modes(tmp_path):
    import threads

    file = tmp_path / "threads.json"
    rows = rows_of("threads.py", file, "--contenders", "goalloc", "--pythons", "stock")
    native = [row for row in rows if row["mode"] != "gil"]
    assert {(row["mode"], row["threads"]) for row in native} == {
        (mode, n) for mode, (numbers, _) in threads._MODES.items() for n in numbers
    }
    for row in native:
        assert min(row["wall"]) > 0 and min(row["resident"]) > 0
    [gil] = [row for row in rows if row["mode"] == "gil"]
    assert all(min(ns) > 0 for ns in gil["ns"].values())
    one, two = ([{"mode": "own", "contender": "x", "threads": n, "wall": wall}]
                for n, wall in ((1, [10.0, 20.0, 90.0]), (2, [5.0, 10.0, 10.0])))  # fmt: skip
    assert threads.speedup(one + two, "x") == 2.0


@needs_go
def test_go_and_goalloc_run_the_same_cells(tmp_path):
    import against_go

    rows = rows_of("against_go.py", tmp_path / "go.json")
    found = [(row["pattern"], row["size"], row["contender"]) for row in rows]
    expected = [
        (pattern, size, name)
        for pattern in against_go._PATTERNS for size in (16, 512) for name in against_go._CONTENDERS
    ]  # fmt: skip
    assert found == expected
    assert all(min(row["ns"]) > 0 for row in rows)


@needs_go
def test_go_program_is_formatted():
    done = subprocess.run(["gofmt", "-l", BENCHMARKS / "drivers"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def tiers_of_driver() -> list[str]:
    source = (BENCHMARKS / "drivers" / "golden.c").read_text()
    return [tier for tier in re.findall(r'COUNTED\("([^"]+)"', source) if tier != "nothing"]


def test_golden_file_has_every_tier():
    tiers = json.loads(GOLDEN.read_text())["tiers"]
    assert sorted(tiers) == sorted(tiers_of_driver())
    assert all(isinstance(n, int) and n > 0 for n in tiers.values())


@needs_valgrind
def test_counts_repeat(tmp_path):
    files = [tmp_path / "first.json", tmp_path / "again.json"]
    for file in files:
        done = run("golden.py", "--write", "--file", str(file))
        assert done.returncode == 0, done.stderr
    assert files[0].read_text() == files[1].read_text()
    assert sorted(json.loads(files[0].read_text())["tiers"]) == sorted(tiers_of_driver())


@needs_valgrind
def test_counts_are_those_of_the_golden_file():
    done = run("golden.py", "--file", str(GOLDEN))
    if done.returncode == 3:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout + done.stderr


def test_changed_and_foreign_counts_are_told_apart(capsys):
    import golden

    old = {"toolchain": golden.toolchain(), "tiers": {"a": 1, "b": 2, "gone": 3}}
    assert golden.check({"a": 1, "b": 5, "new": 4}, old) == 1
    assert capsys.readouterr().out.splitlines() == ["b: 2 -> 5", "gone: 3 -> -", "new: - -> 4"]
    old["toolchain"]["compiler"] = "another"
    assert golden.check({"a": 1}, old) == 3
    assert "another" in capsys.readouterr().out

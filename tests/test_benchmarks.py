"""The benchmark harness measures, prints and writes what readers expect; no times are judged."""

import json
import sys
from pathlib import Path

import pytest
from benchrun import needs_valgrind, run

PATTERNS = ["lifo", "fifo", "random", "replace", "mixed"]


def measure(script: str, file: Path, *args: str) -> tuple[dict, list[list[str]]]:
    """The JSON written, and the words of each line printed."""
    small = ["--quick", "--sizes", "64", "--live", "1000", "--contenders", "stock"]
    done = run(script, *small, "--json", str(file), *args)
    assert done.returncode == 0, done.stderr
    return json.loads(file.read_text()), [line.split() for line in done.stdout.splitlines()]


def test_timing_writes_table_and_json(tmp_path):
    result, lines = measure("run_pairs.py", tmp_path / "pairs.json", "--rounds", "2")
    assert result["kind"] == "pairs"
    assert result["python"].startswith(sys.version.split()[0])
    assert [row["pattern"] for row in result["rows"]] == PATTERNS
    for row in result["rows"]:
        assert row["contender"] == "stock"
        assert row["failure"] is None
        assert len(row["ns"]) == 2 and min(row["ns"]) > 0
        assert row["ratio"] == 1.0
        header = [row["pattern"], row["size"]]
        assert lines[lines.index(header) + 1] == ["stock", f"{row['value']:.1f}"]


@pytest.mark.parametrize("domain", ["obj", "mem", "raw"])
def test_every_domain_runs_untouched(tmp_path, domain):
    args = ["--domain", domain, "--no-touch", "--patterns", "lifo"]
    result, _ = measure("run_pairs.py", tmp_path / "pairs.json", *args)
    assert result["settings"]["domain"] == domain
    assert result["settings"]["touch"] is False
    assert result["rows"][0]["value"] > 0


@needs_valgrind
def test_instruction_counts_repeat(tmp_path):
    first, _ = measure("instructions.py", tmp_path / "first.json", "--patterns", "lifo")
    again, _ = measure("instructions.py", tmp_path / "again.json", "--patterns", "lifo")
    [row] = first["rows"]
    assert row["failure"] is None
    assert row["value"] >= 10  # two calls and a loop can't be fewer
    assert again["rows"][0]["value"] == row["value"]


def test_unknown_contender_is_refused():
    done = run("run_pairs.py", "--quick", "--contenders", "nonesuch")
    assert done.returncode == 2
    assert "nonesuch" in done.stderr and "stock" in done.stderr


def test_failing_contender_is_reported_and_the_rest_measured(tmp_path):
    """A block larger than any address space can't be had: the cell fails, and says so."""
    done = run(
        "run_pairs.py", "--quick", "--contenders", "stock", "--patterns", "replace", "--live", "1",
        "--sizes", "64", str(1 << 60), "--json", str(tmp_path / "pairs.json"),
    )  # fmt: skip
    assert done.returncode == 1
    assert f"failed: stock replace {1 << 60}" in done.stderr
    small, large = json.loads((tmp_path / "pairs.json").read_text())["rows"]
    assert small["failure"] is None and small["value"] > 0
    assert "MemoryError" in large["failure"] and large["value"] is None

"""Against Go: the same loops with Go's allocator and collector, and through goalloc's C functions.

`python benchmarks/against_go.py --help`.  drivers/pairs.go and drivers/pairs.c hold the loops.
Measured is the processor time of the process, so that Go's collector, which runs as GOGC says, is
in it whatever thread it runs on; all on one processor.  Go zeroes what it hands out: `zeroed` is
goalloc through ga_calloc.
"""

import os
import shutil
import statistics
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import drivers_cli
from drivers import SOURCES, Drivers
from interpreter import ChildFailed, clean_environment, run_json
from report import Result, Section, Table
from runner import Progress, Row, core

KIND = "against-go"
_BASELINE = "Go, bytes"
_CONTENDERS = ("goalloc", "goalloc, zeroed", _BASELINE, "Go, pointers")
_EXTRA = {"goalloc, zeroed": ("zeroed",), "Go, pointers": ("pointers",)}
_PATTERNS = ("churn", "batch", "replace")
_SIZES = (16, 32, 64, 128, 256, 512)
_PAIRS, _SLICES = 500_000, 5


def go_version() -> str | None:
    """None: there is no Go here."""
    if shutil.which("go") is None:
        return None
    return subprocess.run(["go", "version"], capture_output=True, text=True).stdout.strip()


def build_go(directory: Path) -> Path:
    target = directory / "pairs-go"
    command = ["go", "build", "-o", str(target), str(SOURCES / "pairs.go")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=directory)
    if done.returncode != 0:
        raise ChildFailed(f"cannot build pairs.go:\n{done.stderr.strip()}")
    return target


def measure(drivers: Drivers, options: Namespace) -> list[Row]:
    programs = {"Go": build_go(drivers.directory), "goalloc": drivers.program("pairs")}
    sizes = (16, 512) if options.quick else _SIZES
    env = {**clean_environment(), "GOGC": str(options.gogc)}
    cells = [(p, size, name) for p in _PATTERNS for size in sizes for name in _CONTENDERS]
    found: dict[tuple[str, int, str], list[float]] = {cell: [] for cell in cells}
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core()})
    progress = Progress(len(cells) * options.rounds)
    pairs = _PAIRS // (25 if options.quick else 1)
    for _ in range(options.rounds):
        for pattern, size, name in cells:
            progress.step(f"{pattern} {size} {name}")
            command = [str(programs[name.partition(",")[0]]), pattern, str(size), str(pairs)]
            command += [str(_SLICES), *_EXTRA.get(name, ())]
            ns: dict[str, Any] = run_json(command, env, drivers.directory)
            found[pattern, size, name].append(statistics.median(ns["ns"]))
    progress.finish()
    os.sched_setaffinity(0, before)
    return [
        {"pattern": pattern, "size": size, "contender": name, "ns": ns}
        for (pattern, size, name), ns in found.items()
    ]


def ratio(rows: list[Row], row: Row) -> float:
    """To Go with bytes, which is the easier for Go: the median of the rounds' ratios."""
    [base] = [
        other["ns"]
        for other in rows
        if other["contender"] == _BASELINE
        and (other["pattern"], other["size"]) == (row["pattern"], row["size"])
    ]
    ratios = [ours / theirs for ours, theirs in zip(row["ns"], base, strict=True)]
    return float(statistics.median(ratios))


def tables(result: Result) -> list[Table]:
    rows = result["rows"]
    out: list[Table] = []
    for pattern in dict.fromkeys(row["pattern"] for row in rows):
        mine = [row for row in rows if row["pattern"] == pattern]
        lines = []
        for name in dict.fromkeys(row["contender"] for row in mine):
            cells = [row for row in mine if row["contender"] == name]
            lines.append([name, *(f"{statistics.median(row['ns']):.1f}" for row in cells)])
            if name != _BASELINE:
                for i, row in enumerate(cells):
                    lines[-1][i + 1] += f" ({ratio(mine, row):.2f})"
        header = [f"{pattern}: ns per pair (ratio to {_BASELINE})"]
        header += [str(size) for size in dict.fromkeys(row["size"] for row in mine)]
        out.append([header, *lines])
    return out


SECTION = Section(KIND, tables)


def main(argv: list[str] | None = None) -> int:
    parser = drivers_cli.parser(__doc__)
    parser.add_argument("--rounds", type=int, help="processes of each (default: 5)")
    parser.add_argument("--gogc", type=int, default=100, metavar="PERCENT", help="default: 100")
    options = parser.parse_args(argv)
    options.rounds = options.rounds or (1 if options.quick else 5)
    version = go_version()
    if version is None:
        parser.error("needs go")
    settings = {"rounds": options.rounds, "GOGC": options.gogc, "Go": version}
    return drivers_cli.main(SECTION, options, measure, settings)


if __name__ == "__main__":
    sys.exit(main())

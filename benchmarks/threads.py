"""Threads: two at once against one, many that free each other's blocks, many under one GIL.

`python benchmarks/threads.py --help`.  The first two run drivers/threads.c on goalloc's raw domain
and on its peers; the last one runs drivers/gil.py in the Python that runs this, under each of
contenders.py.  All contenders of a round run one after the other, so that ratios are of one moment.
"""

import statistics
import sys
import tempfile
from argparse import Namespace
from pathlib import Path
from typing import Any

import contenders
import drivers_cli
from drivers import SOURCES, Drivers, Target, choose
from interpreter import ChildFailed, Interpreter, prepare, run_json
from report import Result, Section, Table
from runner import Progress, Row

KIND = "threads"
# mode -> (numbers of threads, batches of a hundred pairs in all)
_MODES = {
    "bare": ((1, 2), 400_000),
    "own": ((1, 2, 64), 160_000),
    "pass": ((2, 64), 80_000),
    "pipe": ((2, 64), 40_000),
}
_BARE = Target("no allocator")
_GIL_THREADS = (1, 2, 16)
_GIL_WORK, _GIL_SWITCH = 1_000_000, 0.0005
_MIB = 1 << 20


def _cells(found: list[Target]) -> list[tuple[str, int, Target]]:
    return [
        (mode, threads, target)
        for mode, (numbers, _) in _MODES.items()
        for threads in numbers
        for target in ([_BARE] if mode == "bare" else found)
    ]


def _run(drivers: Drivers, mode: str, threads: int, target: Target, quick: bool) -> dict[str, Any]:
    batches = _MODES[mode][1] // (40 if quick else 1) // threads
    return drivers.run("threads", mode, threads, max(batches, 8), target=target)


def _native_rows(drivers: Drivers, options: Namespace) -> list[Row]:
    cells = _cells(choose(options.contenders))
    runs: dict[tuple[str, int, Target], list[dict[str, Any]]] = {cell: [] for cell in cells}
    progress = Progress(len(cells) * options.rounds)
    for _ in range(options.rounds):
        for cell in cells:
            progress.step(f"{cell[0]} {cell[1]} threads {cell[2].name}")
            runs[cell].append(_run(drivers, *cell, options.quick))
    progress.finish()
    rows: list[Row] = []
    for (mode, threads, target), found in runs.items():
        row: Row = {"mode": mode, "threads": threads, "contender": target.name}
        for clock in ("wall", "cpu"):
            row[clock] = [round(run[f"{clock}_ns"] / run["pairs"], 2) for run in found]
        worst = max(found, key=lambda run: run["resident"][-1])
        row["resident"] = worst["resident"]
        rows.append(row)
    return rows


def _gil_rows(python: Interpreter, options: Namespace) -> list[Row]:
    rows: list[Row] = []
    work = _GIL_WORK // (20 if options.quick else 1)
    rounds = max(options.rounds, 2)
    for contender in contenders.choose(python, options.pythons, "stock"):
        job = python.job(
            threads=_GIL_THREADS, work=work, rounds=rounds, switch_interval=_GIL_SWITCH,
            **contender.requirements(),
        )  # fmt: skip
        row: Row = {"mode": "gil", "contender": contender.name, "failure": None}
        try:
            command = contender.command(python, SOURCES / "gil.py", job)
            row["ns"] = run_json(command, contender.environment(), python.build_dir)
        except ChildFailed as failed:
            row["failure"] = str(failed)
        rows.append(row)
    return rows


def measure(drivers: Drivers, options: Namespace) -> list[Row]:
    rows = _native_rows(drivers, options)
    with tempfile.TemporaryDirectory(prefix="goalloc-benchmarks-") as scratch:
        python = prepare(sys.executable, Path(scratch, "python"), "obj", True)
        return rows + _gil_rows(python, options)


def speedup(rows: list[Row], contender: str) -> float:
    """Of two threads against one: the median of the rounds' ratios."""
    mode = "bare" if contender == _BARE.name else "own"
    [one], [two] = (
        [
            row["wall"]
            for row in rows
            if row["mode"] == mode and row["contender"] == contender and row["threads"] == threads
        ]
        for threads in (1, 2)
    )
    return float(statistics.median(a / b for a, b in zip(one, two, strict=True)))


def _native_table(rows: list[Row]) -> Table:
    cells = {(row["mode"], row["threads"], row["contender"]): row for row in rows}
    names = dict.fromkeys(row["contender"] for row in rows)
    shown = [(mode, n) for mode, (numbers, _) in _MODES.items() if mode != "bare" for n in numbers]
    header = ["ns per pair, all threads together", *(f"{mode} {n}" for mode, n in shown)]
    header += ["two against one", "MiB, pass 64: first quarter", "last"]
    lines = []
    for name in names:
        line = [name]
        for mode, threads in shown:
            row = cells.get(("bare" if name == _BARE.name else mode, threads, name))
            missing = row is None or (name == _BARE.name and mode != "own")
            line.append("-" if row is None or missing else f"{statistics.median(row['wall']):.1f}")
        line.append(f"{speedup(rows, name):.2f}x")
        row = cells.get(("pass", 64, name))
        ends = [] if row is None else [row["resident"][0], row["resident"][-1]]
        lines.append(line + ([f"{end / _MIB:.0f}" for end in ends] or ["-", "-"]))
    return [header, *lines]


def _gil_table(rows: list[Row]) -> Table:
    header = ["Python threads, ns per step (ratio to one thread)", *map(str, _GIL_THREADS)]
    lines = []
    for row in rows:
        if row["failure"]:
            continue
        one = row["ns"]["1"]
        line = [row["contender"]]
        for threads in map(str, _GIL_THREADS):
            ns = row["ns"][threads]
            ratio = statistics.median(a / b for a, b in zip(ns, one, strict=True))
            line.append(f"{statistics.median(ns):.0f} ({ratio:.2f})")
        lines.append(line)
    return [header, *lines]


def tables(result: Result) -> list[Table]:
    native = [row for row in result["rows"] if row["mode"] != "gil"]
    gil = [row for row in result["rows"] if row["mode"] == "gil"]
    return [_native_table(native), _gil_table(gil)]


SECTION = Section(KIND, tables)


def main(argv: list[str] | None = None) -> int:
    parser = drivers_cli.parser(__doc__)
    parser.add_argument("--rounds", type=int, help="runs of each (default: 7)")
    parser.add_argument("--contenders", nargs="+", metavar="NAME", help="allocators (default: all)")
    parser.add_argument("--pythons", nargs="+", metavar="NAME", help="the same for the GIL's part")
    options = parser.parse_args(argv)
    options.rounds = options.rounds or (1 if options.quick else 7)
    return drivers_cli.main(SECTION, options, measure, {"rounds": options.rounds})


if __name__ == "__main__":
    sys.exit(main())

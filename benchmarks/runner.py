"""Times the contenders: a fresh process for each contender, cell and round, on one core.

A fresh process a cell, since an allocator's speed depends on what the process did before (glibc's
above all).  The contenders take turns within a round, in an order that rotates, so that a noisy
moment of the machine hits all of them alike; ratios are taken within the round.
"""

import os
import platform
import statistics
import sys
import time
from typing import Any

from cells import Cell
from contenders import Contender
from interpreter import CHILD, ChildFailed, Interpreter, run_json

Row = dict[str, Any]  # one contender in one cell: a row of the JSON

_SLICES = 5  # a process times this many runs and reports their median


class Progress:
    """One line on stderr, rewritten in place, once the work has taken two seconds."""

    _PATIENCE = 2.0
    _PERIOD = {True: 0.2, False: 15.0}  # seconds between updates, by whether stderr is a terminal

    def __init__(self, total: int):
        self.total = total
        self.done = 0
        self._start = time.monotonic()
        self._next = self._start + self._PATIENCE
        self._terminal = sys.stderr.isatty()
        self._shown = False

    def step(self, text: str) -> None:
        now = time.monotonic()
        if now >= self._next:
            left = (now - self._start) / max(self.done, 1) * (self.total - self.done)
            line = f"{self.done}/{self.total}, about {left:.0f} s left: {text}"
            print(f"\r{line:<78}" if self._terminal else line, end="", file=sys.stderr)
            print("", end="" if self._terminal else "\n", file=sys.stderr, flush=True)
            self._shown = True
            self._next = now + self._PERIOD[self._terminal]
        self.done += 1

    def finish(self) -> None:
        if self._shown and self._terminal:
            print(f"\r{'':<78}\r", end="", file=sys.stderr, flush=True)


def core() -> int:
    """Where all measuring processes run: the last core, since the first takes interrupts."""
    return max(os.sched_getaffinity(0))


def machine() -> dict[str, Any]:
    model = platform.processor() or platform.machine()
    with open("/proc/cpuinfo") as cpuinfo:
        for line in cpuinfo:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return {
        "cpu": model,
        "cpus": os.cpu_count(),
        "kernel": platform.release().partition("-")[0],  # without what a distribution adds
        "libc": " ".join(platform.libc_ver()),
        "load": os.getloadavg()[0],
    }


def _counts(cell: Cell, quick: bool) -> list[int]:
    """A warm-up, then the slices; every count goes by whole batches."""
    pairs = 1_000_000 if cell.size <= 512 else 200_000
    if quick:
        pairs //= 20
    # The replacing patterns reach their steady state when most of the first blocks are gone.
    warm_up = max(pairs // _SLICES, cell.live) if cell.pattern == "replace" else pairs // _SLICES
    return [warm_up] + [pairs // _SLICES] * _SLICES


def _time(python: Interpreter, contender: Contender, cell: Cell, quick: bool, cpu: int) -> float:
    job = python.job(
        pattern=cell.pattern, size=cell.size, live=cell.live, cpu=cpu,
        counts=_counts(cell, quick), **contender.requirements(),
    )  # fmt: skip
    command = contender.command(python, CHILD, job)
    result = run_json(command, contender.environment(), python.build_dir)
    ns: list[float] = result["ns"]
    return statistics.median(ns[1:])


def time_cells(
    python: Interpreter,
    contenders: list[Contender],
    grid: list[Cell],
    *,
    rounds: int,
    quick: bool,
) -> list[Row]:
    """One row for each contender and cell: the ns per pair of each round, or the failure."""
    rows: dict[tuple[str, Cell], Row] = {
        (contender.name, cell): {
            "contender": contender.name, "pattern": cell.pattern, "size": cell.column,
            "live": cell.live, "ns": [], "failure": None,
        }
        for cell in grid for contender in contenders
    }  # fmt: skip
    cpu = core()
    progress = Progress(rounds * len(rows))
    for turn in range(rounds):
        first = turn % len(contenders)
        for cell in grid:
            for contender in contenders[first:] + contenders[:first]:
                row = rows[contender.name, cell]
                progress.step(f"{cell.pattern} {cell.column} {contender.name}")
                if row["failure"] is None:
                    try:
                        row["ns"].append(_time(python, contender, cell, quick, cpu))
                    except ChildFailed as failed:
                        row["failure"] = str(failed)
    progress.finish()
    return list(rows.values())


def summarize(rows: list[Row], baseline: str, values: str = "ns") -> None:
    """Add to each row its median (`value`) and the median of its ratios within the rounds.

    values   the name under which a row has one number for each round
    """
    by_key = {(row["contender"], row["pattern"], row["size"]): row for row in rows}
    for row in rows:
        base = by_key[baseline, row["pattern"], row["size"]]
        failed = row["failure"] or base["failure"]
        row["value"] = None if row["failure"] else statistics.median(row[values])
        row["ratio"] = None if failed else statistics.median(
            ours / theirs for ours, theirs in zip(row[values], base[values], strict=True)
        )  # fmt: skip

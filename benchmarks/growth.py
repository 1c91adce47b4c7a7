"""Growth: how the time of a call depends on live blocks, free page runs and the size of the heap.

`python benchmarks/growth.py --help`.  drivers/blocks.c and drivers/runs.c say what each number is;
all are processor time.  The time of a random access to memory grows with the memory: `touch` is
that alone, without an allocator.  A number of live blocks that would take more than half of the
memory that is free is left out.  --plot draws results/growth.svg, and needs matplotlib.
"""

import os
import statistics
import sys
from argparse import Namespace
from collections.abc import Callable
from typing import Any

import drivers_cli
import report
from drivers import Drivers, Target, choose
from report import Result, Section, Table
from runner import Progress, Row

KIND = "growth"
SIZE = 64  # bytes of a block
_LIVE = [10**n for n in range(3, 9)]
_RUNS = [10**n for n in range(1, 7)]
_ARENAS = [64 << 20 << n for n in range(8)]  # bytes of heap, to 8 GiB
_OPS, _QUICK_OPS = 1_000_000, 20_000
_BYTES_PER_BLOCK = SIZE + 16 + 8  # with what an allocator may add, and the pointer to it

BLOCKS = ("fill", "touch", "replace", "batch", "thin", "holes", "drain")
RUNS = ("fit", "split", "release")
ARENAS = ("grow", "lookup", "cycle")


def available_bytes() -> int:
    """Memory that can be had without taking it from others."""
    with open("/proc/meminfo") as meminfo:
        for line in meminfo:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def live_counts(most: int) -> list[int]:
    return [n for n in _LIVE if n <= most and 2 * n * _BYTES_PER_BLOCK <= available_bytes()]


Run = Callable[[], dict[str, Any]]


def _jobs(drivers: Drivers, options: Namespace) -> list[tuple[Row, Run]]:
    """What identifies each row, and how to measure it once."""
    ops = _QUICK_OPS if options.quick else _OPS
    jobs: list[tuple[Row, Run]] = []

    def add(row: Row, target: Target | None, driver: str, *arguments: int | str) -> None:
        jobs.append((row, lambda: drivers.run(driver, *arguments, target=target)))

    for live in live_counts(10**4 if options.quick else options.most):
        for target in choose(options.contenders):
            row = {"part": "blocks", "contender": target.name, "n": live}
            add(row, target, "blocks", SIZE, live, ops)
    for runs in _RUNS[:2] if options.quick else _RUNS:
        add({"part": "runs", "contender": "goalloc", "n": runs}, None, "runs", runs, ops)
    for nbytes in _ARENAS[:2] if options.quick else _ARENAS:
        row = {"part": "arenas", "contender": "goalloc", "n": nbytes}
        add(row, None, "runs", "--arenas", nbytes, ops)
    return jobs


def measure(drivers: Drivers, options: Namespace) -> list[Row]:
    jobs = _jobs(drivers, options)
    found: list[list[dict[str, Any]]] = [[] for _ in jobs]
    progress = Progress(len(jobs) * options.rounds)
    for _ in range(options.rounds):
        for (row, run), results in zip(jobs, found, strict=True):
            progress.step(f"{row['part']} {row['n']:,} {row['contender']}")
            results.append(run())
    progress.finish()
    return [
        row | {name: statistics.median(one[name] for one in results) for name in results[0]}
        for (row, _), results in zip(jobs, found, strict=True)
    ]


def _bytes(n: int) -> str:
    return f"{n >> 30} GiB" if n >= 1 << 30 else f"{n >> 20} MiB"


def _part(rows: list[Row], part: str, contender: str, names: tuple[str, ...]) -> Table:
    """A table of one contender: a line for each number, a column for each n."""
    chosen = [row for row in rows if row["part"] == part and row["contender"] == contender]
    show = _bytes if part == "arenas" else "{:,}".format
    header = [f"{contender}, {part}", *(show(row["n"]) for row in chosen)]
    lines = [[name, *(f"{row[name]:.0f}" for row in chosen)] for name in names]
    return [header, *lines]


def tables(result: Result) -> list[Table]:
    rows = result["rows"]
    contenders = dict.fromkeys(row["contender"] for row in rows if row["part"] == "blocks")
    return [
        *(_part(rows, "blocks", contender, BLOCKS) for contender in contenders),
        _part(rows, "runs", "goalloc", RUNS),
        _part(rows, "arenas", "goalloc", ARENAS),
    ]


SECTION = Section(KIND, tables)


def main(argv: list[str] | None = None) -> int:
    parser = drivers_cli.parser(__doc__)
    parser.add_argument("--rounds", type=int, help="runs of each (default: 3)")
    parser.add_argument("--contenders", nargs="+", metavar="NAME", help="for blocks (default: all)")
    parser.add_argument("--most", type=int, default=_LIVE[-1], help="live blocks (default: 10**8)")
    parser.add_argument("--plot", action="store_true", help="measure nothing: draw growth.svg")
    options = parser.parse_args(argv)
    options.rounds = options.rounds or (1 if options.quick else 3)
    if options.plot:
        import growth_plot

        growth_plot.draw(options.json or report.RESULTS / f"{KIND}.json")
        return 0
    settings = {"block": f"{SIZE} B", "rounds": options.rounds}
    return drivers_cli.main(SECTION, options, measure, settings)


if __name__ == "__main__":
    sys.exit(main())

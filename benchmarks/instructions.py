"""Count instructions per malloc+free pair with callgrind: deterministic, needs no quiet machine.

`python benchmarks/instructions.py --help`.  Callgrind counts only inside the pattern's C function
and dumps when it returns; the child runs the function for a warm-up, a short and a long count, and
the difference of the last two is the loop alone.
"""

import re
import shutil
import sys
import tempfile
from argparse import Namespace
from pathlib import Path

import cli
from cells import Cell
from contenders import Contender
from interpreter import CHILD, ChildFailed, Interpreter, run_json
from runner import Progress, Row, core

_SHORT, _LONG = 10_000, 30_000
_LIVE = 100_000  # under callgrind a larger live set only takes longer: no caches are modelled
_TOTAL = re.compile(r"^(?:summary|totals): (\d+)", re.MULTILINE)


def _counts_of_dumps(directory: Path) -> list[int]:
    """The instructions of each run, from callgrind's numbered dumps."""
    dumps = [path for path in directory.glob("callgrind.out.*") if path.suffix[1:].isdigit()]
    dumps.sort(key=lambda path: int(path.suffix[1:]))
    found = [_TOTAL.search(path.read_text()) for path in dumps]
    return [int(match.group(1)) for match in found if match]


def count(python: Interpreter, contender: Contender, cell: Cell) -> float:
    """Instructions per pair of one contender in one cell."""
    warm_up = cell.live if cell.pattern == "replace" else _SHORT
    job = python.job(
        pattern=cell.pattern, size=cell.size, live=cell.live, cpu=core(),
        counts=[warm_up, _SHORT, _LONG], **contender.requirements(),
    )  # fmt: skip
    function = f"pairs_{cell.pattern}"
    with tempfile.TemporaryDirectory(dir=python.build_dir) as directory:
        command = [
            "valgrind", "--tool=callgrind", "--quiet", "--trace-children=yes",
            f"--toggle-collect={function}", f"--dump-after={function}",
            f"--callgrind-out-file={directory}/callgrind.out",
            *contender.command(python, CHILD, job),
        ]  # fmt: skip
        run_json(command, contender.environment(), python.build_dir)
        counts = _counts_of_dumps(Path(directory))
    if len(counts) < 3:
        raise ChildFailed(f"callgrind wrote {len(counts)} dumps for {function}, not 3")
    return (counts[2] - counts[1]) / (_LONG - _SHORT)


def measure(
    python: Interpreter, contenders: list[Contender], grid: list[Cell], options: Namespace
) -> list[Row]:
    rows = []
    progress = Progress(len(grid) * len(contenders))
    for cell in grid:
        for contender in contenders:
            progress.step(f"{cell.pattern} {cell.column} {contender.name}")
            row: Row = {"contender": contender.name, "pattern": cell.pattern, "size": cell.column}
            row |= {"live": cell.live, "value": None, "ratio": None, "failure": None}
            try:
                row["value"] = count(python, contender, cell)
            except ChildFailed as failed:
                row["failure"] = str(failed)
            rows.append(row)
    progress.finish()
    return rows


def main(argv: list[str] | None = None) -> int:
    parser = cli.parser("Count instructions per malloc+free pair with callgrind.")
    options = cli.parse(parser, argv)
    options.live = min(options.live, _LIVE)
    if shutil.which("valgrind") is None:
        parser.error("needs valgrind")
    return cli.main("instructions", options, measure)


if __name__ == "__main__":
    sys.exit(main())

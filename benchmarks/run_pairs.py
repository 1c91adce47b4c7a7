"""Time malloc+free pairs: see `--help`, and README.md on how to read the numbers."""

import sys
from argparse import Namespace

import cli
from cells import Cell
from contenders import Contender
from interpreter import Interpreter
from runner import Row, summarize, time_cells


def measure(
    python: Interpreter, contenders: list[Contender], grid: list[Cell], options: Namespace
) -> list[Row]:
    rows = time_cells(python, contenders, grid, rounds=options.rounds, quick=options.quick)
    summarize(rows, options.baseline)
    return rows


def main(argv: list[str] | None = None) -> int:
    parser = cli.parser("Time malloc+free pairs through CPython's allocator functions.")
    parser.add_argument("--rounds", type=int, help="fresh processes for each cell and contender")
    options = cli.parse(parser, argv)
    options.rounds = options.rounds or (1 if options.quick else 7)
    if options.rounds < 1:
        parser.error("--rounds is at least 1")
    return cli.main("pairs", options, measure)


if __name__ == "__main__":
    sys.exit(main())

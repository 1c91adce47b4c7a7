"""What the command lines of run_pairs.py and instructions.py have in common."""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import report
from cells import LIVE, PATTERNS, QUICK_LIVE, QUICK_SIZES, SIZES, Cell, cells
from contenders import Contender, choose
from interpreter import DOMAINS, ChildFailed, Interpreter, prepare
from runner import Row, machine

Measure = Callable[[Interpreter, list[Contender], list[Cell], argparse.Namespace], list[Row]]


def parser(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    add = parser.add_argument
    this = [sys.executable]
    add("--python", nargs="+", default=this, metavar="PATH", help="interpreters (default: this)")
    add("--contenders", nargs="+", metavar="NAME", help="default: all this machine can run")
    add("--baseline", default="stock", metavar="NAME", help="what ratios refer to (default: stock)")
    add("--patterns", nargs="+", choices=PATTERNS, default=PATTERNS, metavar="PATTERN")
    add("--sizes", nargs="+", type=int, metavar="BYTES")
    add("--live", type=int, help="live blocks of the replace pattern")
    add("--domain", choices=DOMAINS, default="obj", help="obj: PyObject_Malloc, and so on")
    add("--no-touch", dest="touch", action="store_false", help="don't write to the blocks")
    add("--quick", action="store_true", help="few sizes and short runs: to see that it works")
    add(
        "--json",
        type=Path,
        metavar="FILE",
        help="in place of a file in results/; one --python only",
    )
    return parser


def parse(parser: argparse.ArgumentParser, argv: list[str] | None) -> argparse.Namespace:
    options = parser.parse_args(argv)
    options.sizes = options.sizes or list(QUICK_SIZES if options.quick else SIZES)
    options.live = options.live or (QUICK_LIVE if options.quick else LIVE)
    if min(options.sizes) < 1 or options.live < 1:
        parser.error("sizes and --live are at least 1")
    if options.json and len(options.python) > 1:
        parser.error("--json goes with one --python")
    return options


def _measure_one(
    kind: str, path: str, build_dir: Path, options: argparse.Namespace, measure: Measure
) -> bool:
    """Measure with one interpreter, print and write; False when a contender failed."""
    python = prepare(path, build_dir, options.domain, options.touch)
    contenders = choose(python, options.contenders, options.baseline)
    grid = cells(options.patterns, options.sizes, options.live)
    machine_before = machine()
    rows = measure(python, contenders, grid, options)
    settings = {"domain": options.domain, "baseline": options.baseline, "touch": options.touch}
    if hasattr(options, "rounds"):
        settings["rounds"] = options.rounds
    result = {
        "kind": kind,
        "python": python.label,
        "goalloc": python.goalloc and python.goalloc["version"],
        "libraries": {c.name: Path(c.library).resolve().name for c in contenders if c.library},
        "machine": machine_before,
        "settings": settings,
        "rows": rows,
    }
    file = options.json or report.default_file(kind, python.label, options.quick)
    report.write_json(result, file)
    print(report.text(result, report.GRIDS.values()), end="\n\n")
    for line in report.failures(result):
        print(f"failed: {line}", file=sys.stderr)
    return not report.failures(result)


def main(kind: str, options: argparse.Namespace, measure: Measure) -> int:
    """Measure with each interpreter; 1 when a contender failed, 2 when none could run."""
    fine = True
    with tempfile.TemporaryDirectory(prefix="goalloc-benchmarks-") as scratch:
        for number, path in enumerate(options.python):
            try:
                fine &= _measure_one(kind, path, Path(scratch, str(number)), options, measure)
            except (ChildFailed, LookupError, OSError) as error:
                print(f"error: {error}", file=sys.stderr)
                return 2
    return 0 if fine else 1

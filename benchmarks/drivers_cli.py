"""What the commands that run the C drivers share: options, results.

A result is a dict: kind, compiler, machine, settings and rows.  The file is results/KIND.json.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import report
from drivers import Drivers, compiler
from interpreter import ChildFailed
from report import Result, Section
from runner import Row, machine

Measure = Callable[[Drivers, argparse.Namespace], list[Row]]


def parser(doc: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=doc.partition("\n")[0])
    add = parser.add_argument
    add("--quick", action="store_true", help="short runs, nothing kept: to see that it works")
    add("--json", type=Path, metavar="FILE", help="in place of the file in results/")
    return parser


def main(
    section: Section, options: argparse.Namespace, measure: Measure, settings: dict[str, Any]
) -> int:
    """Measure, print, write; 1 when a row failed, 2 when nothing could run."""
    before = machine()
    try:
        with tempfile.TemporaryDirectory(prefix="goalloc-benchmarks-") as scratch:
            rows = measure(Drivers(Path(scratch)), options)
    except (ChildFailed, LookupError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    result: Result = {"kind": section.kind, "compiler": compiler(), "machine": before}
    result |= {"settings": settings, "rows": rows}
    print(report.text(result, [section]))
    if options.json or not options.quick:
        report.write_json(result, options.json or report.RESULTS / f"{section.kind}.json")
    failed = [row for row in rows if row.get("failure")]
    for row in failed:
        print(f"failed: {row}", file=sys.stderr)
    return int(bool(failed))

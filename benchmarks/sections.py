"""What growth.py, threads.py and against_go.py share: options, results, tables.

A result is a dict: kind, compiler, machine, settings and rows.  The file is results/KIND.json; its
table stands in README.md between `<!-- KIND -->` and `<!-- end -->`.
"""

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from drivers import Drivers, compiler
from interpreter import ChildFailed
from report import README as README
from report import RESULTS as RESULTS
from report import write_json
from runner import Row, machine

Result = dict[str, Any]
Measure = Callable[[Drivers, argparse.Namespace], list[Row]]
Table = Callable[[Result], list[str]]


def parser(doc: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=doc.partition("\n")[0])
    add = parser.add_argument
    add("--quick", action="store_true", help="short runs, nothing kept: to see that it works")
    add("--json", type=Path, metavar="FILE", help="in place of the file in results/")
    add("--markdown", action="store_true", help="measure nothing: fill README.md from results/")
    return parser


def markdown(header: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    out = [f"| {' | '.join(header)} |", f"|---|{'---:|' * (len(header) - 1)}"]
    return out + [f"| {' | '.join(line)} |" for line in lines]


def describe(result: Result) -> str:
    machine = result["machine"]
    settings = "".join(f"{name} {value}, " for name, value in result["settings"].items())
    return (
        f"{settings}{machine['cpu']} ({machine['cpus']} processors), Linux {machine['kernel']}, "
        f"{machine['libc']}; {result['compiler']}"
    )


def replace(kind: str, lines: Sequence[str], readme: Path = README) -> None:
    """Put lines into the section of that name; ValueError: the README has no such section."""
    text = "\n".join(lines)
    section = re.compile(rf"(<!-- {kind} -->\n).*?(<!-- end -->)", re.DOTALL)
    old = readme.read_text()
    filled, count = section.subn(lambda match: f"{match[1]}\n{text}\n\n{match[2]}", old)
    if count != 1:
        raise ValueError(f"{readme}: {count} sections `<!-- {kind} -->` and not one")
    readme.write_text(filled)


def fill(kind: str, table: Table, readme: Path = README, results: Path = RESULTS) -> None:
    """Write the table of a result into its section."""
    result = json.loads((results / f"{kind}.json").read_text())
    replace(kind, [describe(result), "", *table(result)], readme)


def main(kind: str, options: argparse.Namespace, measure: Measure, table: Table,
         settings: dict[str, Any]) -> int:  # fmt: skip
    """Measure, print, write; 1 when a row failed, 2 when nothing could run."""
    if options.markdown:
        fill(kind, table)
        return 0
    before = machine()
    try:
        with tempfile.TemporaryDirectory(prefix="goalloc-benchmarks-") as scratch:
            rows = measure(Drivers(Path(scratch)), options)
    except (ChildFailed, LookupError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    result: Result = {"kind": kind, "compiler": compiler(), "machine": before}
    result |= {"settings": settings, "rows": rows}
    print("\n".join(table(result)))
    if options.json or not options.quick:
        write_json(result, options.json or RESULTS / f"{kind}.json")
    failed = [row for row in rows if row.get("failure")]
    for row in failed:
        print(f"failed: {row}", file=sys.stderr)
    return int(bool(failed))

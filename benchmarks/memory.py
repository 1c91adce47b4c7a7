"""What run_rss.py and run_service.py share: contenders, options, rounds, the result.

Not pinned to a core, unlike the timings: background threads and per-CPU heaps are part of how an
allocator gives memory back.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import report
from contenders import Contender, available
from interpreter import ChildFailed, Interpreter
from runner import Progress, Row, summarize
from subjects import headed, look_at

_DECAY = "background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:0"
_NOT_BY_DEFAULT = ("goalloc-linear", "glibc")
_POINTS = 300  # of a curve kept in the JSON: a picture shows no more

Key = tuple[str, str]  # table and column


@dataclass(frozen=True)
class Run:
    """What one process gave: a value for each column, and its resident size over time."""

    values: Mapping[Key, float]
    curve: Callable[[int], list[list[float]]]


Measure = Callable[[Interpreter, Contender, argparse.Namespace], Run]


def parser(doc: str, rounds: int) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=doc.partition("\n")[0])
    add = parser.add_argument
    add("--python", nargs="+", default=[sys.executable], metavar="PATH", help="default: this")
    add("--contenders", nargs="+", metavar="NAME", help="stock is always among them")
    add("--rounds", type=int, help=f"processes for each contender (default: {rounds})")
    add("--goalloc-env", nargs="+", default=[], metavar="NAME=VALUE", help="to tune goalloc")
    add("--quick", action="store_true", help="small and short: to see that it works")
    add("--json", type=Path, metavar="FILE", help="in place of a file in results/")
    return parser


def parse(
    parser: argparse.ArgumentParser, rounds: int, argv: list[str] | None
) -> argparse.Namespace:
    options = parser.parse_args(argv)
    if options.rounds is None:
        options.rounds = 1 if options.quick else rounds
    if options.rounds < 1:
        parser.error("--rounds is at least 1")
    if options.json and len(options.python) > 1:
        parser.error("--json goes with one --python")
    if not all("=" in word for word in options.goalloc_env):
        parser.error("--goalloc-env takes NAME=VALUE")
    return options


def contenders(python: Interpreter, options: argparse.Namespace, without: str) -> list[Contender]:
    """Those asked for, stock first; with jemalloc also as it gives memory back at its best."""
    tuning = dict(word.split("=", 1) for word in options.goalloc_env)
    found = {}
    for contender in available(python):
        if contender.name.startswith("goalloc"):
            contender = replace(contender, env={**contender.env, **tuning})
        found[contender.name] = contender
        if contender.name == "jemalloc":
            env = {**contender.env, "MALLOC_CONF": _DECAY}
            found["jemalloc-decay"] = replace(contender, name="jemalloc-decay", env=env)
    default = [name for name in found if name not in (*_NOT_BY_DEFAULT, without)]
    wanted = dict.fromkeys(["stock", *(options.contenders or default)])
    missing = [name for name in wanted if name not in found]
    if missing:
        raise LookupError(
            f"{python.path} can't run {', '.join(missing)}; it can run {', '.join(found)}"
        )
    return [found[name] for name in wanted]


def _rows(chosen: list[Contender], columns: Mapping[Key, int]) -> dict[tuple[str, Key], Row]:
    return {
        (contender.name, key): {
            "contender": contender.name, "pattern": key[0], "size": key[1],
            "values": [], "digits": digits, "failure": None,
        }
        for key, digits in columns.items() for contender in chosen
    }  # fmt: skip


def _measure_all(
    python: Interpreter,
    chosen: list[Contender],
    columns: Mapping[Key, int],
    options: argparse.Namespace,
    measure: Measure,
) -> tuple[list[Row], dict[str, list[list[float]]]]:
    """The rows, and for each contender the curve of its first round."""
    rows = _rows(chosen, columns)
    curves: dict[str, list[list[float]]] = {}
    failed: dict[str, str] = {}
    progress = Progress(options.rounds * len(chosen))
    for turn in range(options.rounds):
        first = turn % len(chosen)
        for contender in chosen[first:] + chosen[:first]:
            progress.step(contender.name)
            try:
                run = measure(python, contender, options)
            except ChildFailed as failure:
                failed[contender.name] = str(failure)
                continue
            curves.setdefault(contender.name, run.curve(_POINTS))
            for key in columns:
                rows[contender.name, key]["values"].append(run.values[key])
    progress.finish()
    for (name, _), row in rows.items():
        row["failure"] = failed.get(name)
    summarize(list(rows.values()), "stock", "values")
    return list(rows.values()), curves


def main(
    kind: str,
    columns: Mapping[Key, int],
    options: argparse.Namespace,
    measure: Measure,
    settings: Mapping[str, Any],
    without: str = "",
) -> int:
    """Measure with each interpreter, print and write; 1: a contender failed, 2: none could run.

    columns   the tables and their columns, with the digits after the point
    without   a contender left out unless asked for
    """
    fine = True
    with tempfile.TemporaryDirectory(prefix="goalloc-benchmarks-") as scratch:
        for number, path in enumerate(options.python):
            try:
                python = look_at(path, Path(scratch, str(number)))
                chosen = contenders(python, options, without)
            except (ChildFailed, LookupError, OSError) as error:
                print(f"error: {error}", file=sys.stderr)
                return 2
            result = headed(kind, python, chosen)
            result["settings"] = {"baseline": "stock", "rounds": options.rounds, **settings}
            result["settings"] |= dict(word.split("=", 1) for word in options.goalloc_env)
            result["rows"], result["curves"] = _measure_all(
                python, chosen, columns, options, measure
            )
            file = options.json or report.default_file(kind, python.label, options.quick)
            report.write_json(result, file)
            print(report.text(result, report.GRIDS.values()), end="\n\n")
            for line in report.failures(result):
                print(f"failed: {line}", file=sys.stderr)
                fine = False
    return 0 if fine else 1

"""Time the programs in `programs/` under the allocators: see `--help` and README.md.

Each program runs once in a fresh process for each contender and round, the contenders one after
another, in an order that rotates.  All must come to the same checksum.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paired
import programs_report
import report
from contenders import Contender, available
from interpreter import HERE, ChildFailed, Interpreter, run_json
from runner import Progress, core
from subjects import contenders, headed, libraries, look_at

PROGRAMS = sorted(path.stem for path in (HERE / "programs").glob("*.py"))
_CHILD = HERE / "program_child.py"
_ROUNDS = 9

Row = dict[str, Any]
Runs = dict[str, list[Row]]  # what the children said, by contender


class Missing(Exception):
    """A program needs a package that isn't installed."""


def _run_once(
    python: Interpreter, contender: Contender, chosen: list[Contender], program: str, scale: float
) -> dict[str, Any]:
    job = {"program": program, "scale": scale, "cpu": core(), **libraries(contender, chosen)}
    command = contender.command(python, _CHILD, json.dumps(job))
    env = contender.environment() | {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    said: dict[str, Any] = run_json(command, env, python.build_dir)
    if "missing" in said:
        raise Missing(f"needs {said['missing']}")
    return said


def measure(
    python: Interpreter, chosen: list[Contender], rounds: int, scale: float, names: list[str],
    result: report.Result,
) -> dict[str, Runs]:  # fmt: skip
    """Every run of every program that could run; the others go into the result's notes."""
    runs: dict[str, Runs] = {name: {c.name: [] for c in chosen} for name in names}
    progress = Progress(rounds * len(names))
    for turn in range(rounds):
        first = turn % len(chosen)
        for name in names:
            progress.step(name)
            if name not in runs:
                continue
            try:
                for contender in chosen[first:] + chosen[:first]:
                    runs[name][contender.name].append(
                        _run_once(python, contender, chosen, name, scale)
                    )
                _same_checksum(runs[name])
            except Missing as why:
                result["left_out"][name] = str(why)
                del runs[name]
            except ChildFailed as why:
                result["failed"][name] = str(why)
                del runs[name]
    progress.finish()
    return runs


def _same_checksum(runs: Runs) -> None:
    found = {contender: {said["checksum"] for said in every} for contender, every in runs.items()}
    if len(set().union(*found.values())) != 1:
        raise ChildFailed(f"checksums differ: {found}")


def rows(runs: dict[str, Runs]) -> list[dict[str, Any]]:
    out = []
    for name, by_contender in runs.items():
        seconds = {c: [said["seconds"] for said in every] for c, every in by_contender.items()}
        for contender, every in by_contender.items():
            out.append({
                "program": name, "contender": contender, "checksum": every[0]["checksum"],
                "seconds": statistics.median(seconds[contender]),
                "cpu_seconds": statistics.median(said["cpu_seconds"] for said in every),
                "peak": int(statistics.median(said["peak"] for said in every)),
                **paired.speed(seconds["stock"], seconds[contender]),
            })  # fmt: skip
    return out


def summarize(result: report.Result) -> None:
    """Geometric means of speed and of peak resident size, as parts of stock's."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for row in result["rows"]:
        by_name.setdefault(row["contender"], []).append(row)
    result["summary"] = {
        name: {
            "speed": paired.geometric_mean(row["speed"] for row in found),
            "peak": paired.geometric_mean(
                row["peak"] / stock["peak"]
                for row, stock in zip(found, by_name["stock"], strict=True)
            ),
        }
        for name, found in by_name.items()
        if name != "stock"
    }


def run(python: Interpreter, options: argparse.Namespace) -> report.Result:
    # glibc for everything is nobody's choice; the other goallocs differ in how they start only.
    usual = [c.name for c in available(python) if c.name == "goalloc" or c.library]
    chosen = contenders(python, options.contenders or usual)
    result = headed("programs", python, chosen)
    result["settings"] = {"rounds": options.rounds, "scale": options.scale}
    result |= {"left_out": {}, "failed": {}}
    runs = measure(python, chosen, options.rounds, options.scale, options.programs, result)
    result["rows"] = rows(runs)
    if result["rows"]:
        summarize(result)
    return result


def command_line(
    argv: list[str] | None, doc: str, kind: str, rounds: int,
    measured: Callable[[Interpreter, argparse.Namespace], report.Result],
    shown: Callable[[report.Result], str], *, choice: bool,
) -> int:  # fmt: skip
    """What the harnesses of our programs ask and answer alike; choice: contenders can be chosen."""
    parser = argparse.ArgumentParser(description=doc.partition("\n")[0])
    add = parser.add_argument
    add("--python", default=sys.executable, metavar="PATH", help="interpreter (default: this)")
    if choice:
        add("--contenders", nargs="+", metavar="NAME", help="default: goalloc and preloaded peers")
    add("--programs", nargs="+", choices=PROGRAMS, default=PROGRAMS, metavar="NAME")
    add("--rounds", type=int, help=f"processes of each contender (default: {rounds})")
    add("--scale", type=float, default=1.0, help="how much work, 1 is some tenths of a second")
    add("--json", type=Path, metavar="FILE", help="in place of a file in results/")
    add("--quick", action="store_true", help="one short round: does it work here?")
    options = parser.parse_args(argv)
    if options.quick:
        options.scale = min(options.scale, 0.02)
    options.rounds = options.rounds or (1 if options.quick else rounds)
    with tempfile.TemporaryDirectory(prefix=f"goalloc-{kind}-") as scratch:
        try:
            python = look_at(options.python, Path(scratch))
            result = measured(python, options)
        except (ChildFailed, LookupError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
    if not result["rows"]:
        print(f"error: nothing ran: {result['left_out'] | result['failed']}", file=sys.stderr)
        return 2
    file = options.json or report.default_file(kind, python.label, options.quick)
    report.write_json(result, file)
    print(shown(result))
    return 1 if result["failed"] else 0


def main(argv: list[str] | None = None) -> int:
    return command_line(
        argv, __doc__ or "", "programs", _ROUNDS, run, programs_report.text, choice=True
    )


if __name__ == "__main__":
    sys.exit(main())

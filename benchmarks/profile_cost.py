"""What a heap profile costs, on the scripts in `programs/`: see `--help` and README.md.

goalloc's profile on against goalloc's profile off, and beside it tracemalloc and memray against a Python
without them, all in one run: fresh processes, one after another, in an order that rotates.
"""

import argparse
import statistics
import sys
from dataclasses import replace
from importlib.util import find_spec

import paired
import report
import run_programs
from contenders import Contender, available
from interpreter import Interpreter
from report import Result, Section, Table
from subjects import headed

KIND = "profile-cost"
_ROUNDS = 7
_RATE = "GOALLOC_PROFILE_RATE"
# name -> what it is compared with
BASES = {
    "goalloc, 512 KiB": "goalloc, off",
    "goalloc, 64 KiB": "goalloc, off",
    "tracemalloc": "stock",
    "memray": "stock",
}


def contenders(python: Interpreter) -> list[Contender]:
    """Those that run here; memray only if it is installed."""
    found = {c.name: c for c in available(python)}
    if "goalloc" not in found:
        raise LookupError(f"{python.path} has no goalloc")
    goalloc, stock = found["goalloc"], found["stock"]

    def rate(name: str, nbytes: str) -> Contender:
        return replace(goalloc, name=name, env={**goalloc.env, _RATE: nbytes})

    chosen = [
        stock,
        rate("goalloc, off", "0"),
        rate("goalloc, 512 KiB", "512KiB"),
        rate("goalloc, 64 KiB", "64KiB"),
        replace(stock, name="tracemalloc", env={"PYTHONTRACEMALLOC": "1"}),
    ]
    if find_spec("memray") is not None:
        out = str(python.build_dir / "memray.bin")
        args = ("-m", "memray", "run", "--quiet", "--force", "--aggregate", "--output", out)
        chosen.append(replace(stock, name="memray", args=args))
    return chosen


def rows(runs: dict[str, run_programs.Runs]) -> list[run_programs.Row]:
    """For each program and way: seconds of it, times as slow as its base, peak over the base's."""
    out = []
    for program, by_name in runs.items():
        seconds = {name: [said["seconds"] for said in every] for name, every in by_name.items()}
        peaks = {
            name: statistics.median(said["peak"] for said in every)
            for name, every in by_name.items()
        }
        for name, base in BASES.items():
            if name in by_name:
                speed = paired.speed(seconds[base], seconds[name])
                out.append({
                    "program": program, "way": name, "base": base,
                    "base_seconds": statistics.median(seconds[base]),
                    "slower": 1 / speed["speed"],
                    "quartiles": sorted(1 / q for q in speed["quartiles"]),
                    "peak": peaks[name] / peaks[base],
                })  # fmt: skip
    return out


def run(python: Interpreter, options: argparse.Namespace) -> Result:
    chosen = contenders(python)
    result = headed(KIND, python, chosen)
    result["settings"] = {"rounds": options.rounds, "scale": options.scale}
    result |= {"left_out": {}, "failed": {}}
    runs = run_programs.measure(
        python, chosen, options.rounds, options.scale, options.programs, result
    )
    result["rows"] = rows(runs)
    by_way: dict[str, list[run_programs.Row]] = {}
    for row in result["rows"]:
        by_way.setdefault(row["way"], []).append(row)
    result["summary"] = {
        way: {
            what: paired.geometric_mean(row[what] for row in found) for what in ("slower", "peak")
        }
        for way, found in by_way.items()
    }
    return result


def table(result: Result) -> Table:
    ways = list(result["summary"])
    cells = {(row["program"], row["way"]): row for row in result["rows"]}
    head = [["program", *ways]]
    for program in dict.fromkeys(row["program"] for row in result["rows"]):
        line = [program]
        for way in ways:
            row = cells[program, way]
            line.append(f"{row['slower']:.2f}, {row['peak']:.2f}")
        head.append(line)
    means = [f"{m['slower']:.3f}, {m['peak']:.3f}" for m in result["summary"].values()]
    return [*head, ["geometric mean", *means]]


SECTION = Section(
    KIND, lambda result: [table(result)], "time and peak resident size, as times those without it"
)


def main(argv: list[str] | None = None) -> int:
    def shown(result: Result) -> str:
        return report.text(result, [SECTION])

    return run_programs.command_line(argv, __doc__ or "", KIND, _ROUNDS, run, shown, choice=False)


if __name__ == "__main__":
    sys.exit(main())

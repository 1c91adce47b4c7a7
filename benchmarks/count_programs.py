"""Count the instructions of whole programs with callgrind, under goalloc and under stock.

The programs are pyperformance's benchmark files: each runs a fixed number of loops, from the start
of the process to its end.  `--help` tells the options.  Beside the totals a result holds the
functions that differ most, so that a loss can be traced.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import paired
import programs_report
import report
import suite
from callgrind import Function, is_allocator, self_costs
from contenders import Contender
from interpreter import ChildFailed, Interpreter
from run_pyperformance import selected
from runner import Progress
from subjects import contenders, headed, libraries, look_at
from suite import Benchmark, Unavailable
from turns import Player

# Heavy and light users of the allocator; the light ones show what is lost beside it.
DEFAULT = (
    "async_tree", "comprehensions", "coroutines", "deepcopy", "float", "generators",
    "json_dumps", "json_loads", "logging", "pathlib", "pickle", "regex_compile", "richards",
    "sqlite_synth", "unpickle", "xml_etree",
)  # fmt: skip
_SECONDS = 0.3  # of a native run; a minute or less under callgrind
_SHOWN = 40  # functions kept in a result
_PATIENCE = 1800.0

# Above the first 4 GiB, where addresses would be Python ints of one digit, for stock alone.
_CALLGRIND = ("valgrind", "--tool=callgrind", "--quiet", "--aspace-minaddr=0x200000000")
# Callgrind counts every byte of a `rep movsb`; copies by vectors are counted as the machine would.
_TUNABLES = {
    "GLIBC_TUNABLES": "glibc.cpu.x86_rep_movsb_threshold=0x7fffffffffff"
    ":glibc.cpu.x86_rep_stosb_threshold=0x7fffffffffff"
}

# How much slower a program is under callgrind, about.  The scavenger goes by the clock, so without
# this it would tick that much more often for the same work.
_SLOWER = 50
_ENVIRONMENT = _TUNABLES | {"GOALLOC_SCAVENGE_DELAY": str(_SLOWER)}  # seconds; it is 1 by default

Row = dict[str, Any]


def find_loops(
    python: Interpreter, stock: Contender, benchmark: Benchmark, packages: str, seconds: float
) -> dict[str, int]:
    """Loops of each benchmark of a file, found without callgrind."""
    loops = {}
    job = libraries(stock, [stock])
    with Player(python, stock, benchmark, job, packages=packages) as player:
        name = player.first()
        while name is not None:
            loops[name] = player.calibrate(seconds)
            name = player.following()
    return {name: max(1, number // len(loops)) for name, number in loops.items()}


def count(
    python: Interpreter, contender: Contender, chosen: list[Contender], benchmark: Benchmark,
    packages: str, loops: dict[str, int],
) -> Counter[Function]:  # fmt: skip
    """Instructions by function of one whole process; what it starts is not counted."""
    with tempfile.TemporaryDirectory(dir=python.build_dir) as directory:
        out = Path(directory, "callgrind.out")
        with Player(
            python, contender, benchmark, libraries(contender, chosen), packages=packages,
            environment=_ENVIRONMENT, wrapper=(*_CALLGRIND, f"--callgrind-out-file={out}"),
            patience=_PATIENCE, pin=False,
        ) as player:  # fmt: skip
            name = player.first()
            while name is not None:
                player.run(loops[name])
                name = player.following()
            player.finish()
        return self_costs(out)


def _rows(name: str, loops: dict[str, int], costs: dict[str, Counter[Function]]) -> list[Row]:
    totals = {contender: sum(cost.values()) for contender, cost in costs.items()}
    rows = []
    for contender, cost in costs.items():
        difference = Counter(cost)
        difference.subtract(costs["stock"])
        largest = sorted(difference.items(), key=lambda item: -abs(item[1]))[:_SHOWN]
        rows.append({
            "benchmark": name, "contender": contender, "loops": loops,
            "instructions": totals[contender],
            "allocator": sum(n for function, n in cost.items() if is_allocator(function)),
            "ratio": totals[contender] / totals["stock"],
            "more_than_stock": {
                f"{Path(library).name}:{function}": n for (library, function), n in largest if n
            },
        })  # fmt: skip
    return rows


def summarize(result: report.Result) -> None:
    names = {row["contender"] for row in result["rows"]} - {"stock"}
    result["summary"] = {
        name: {"ratio": paired.geometric_mean(
            row["ratio"] for row in result["rows"] if row["contender"] == name
        )}
        for name in sorted(names)
    }  # fmt: skip


def run(python: Interpreter, options: argparse.Namespace, file: Path) -> report.Result:
    """Count; the loops of an older result are kept, so that its counts can be compared."""
    chosen = contenders(python, options.contenders)
    old = json.loads(file.read_text()) if file.exists() else {"rows": []}
    known = {row["benchmark"]: row["loops"] for row in old["rows"]}
    result = headed("counts", python, chosen)
    result |= {"settings": {"seconds": options.seconds}, "rows": [], "left_out": {}, "failed": {}}
    wanted = [b for b in suite.benchmarks() if selected(b.name, options.benchmarks)]
    progress = Progress(len(wanted))
    for benchmark in wanted:
        progress.step(benchmark.name)
        try:
            packages = suite.packages(benchmark, python)
            loops = known.get(benchmark.name) or find_loops(
                python, chosen[0], benchmark, packages, options.seconds
            )
            costs = {
                contender.name: count(python, contender, chosen, benchmark, packages, loops)
                for contender in chosen
            }
        except Unavailable as why:
            result["left_out"][benchmark.name] = str(why)
        except ChildFailed as why:
            result["failed"][benchmark.name] = str(why)
        else:
            result["rows"] += _rows(benchmark.name, loops, costs)
            summarize(result)
            report.write_json(result, file)
    progress.finish()
    return result


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--python", default=sys.executable, metavar="PATH", help="interpreter (default: this)")
    add("--contenders", nargs="+", default=["goalloc"], metavar="NAME", help="beside stock")
    add("--benchmarks", nargs="+", default=DEFAULT, metavar="NAME", help="`async*`: all such")
    add("--seconds", type=float, default=_SECONDS, help="of a run without callgrind")
    add("--json", type=Path, metavar="FILE", help="in place of a file in results/")
    options = parser.parse_args(argv)
    if shutil.which("valgrind") is None:
        parser.error("needs valgrind")
    with tempfile.TemporaryDirectory(prefix="goalloc-counts-") as scratch:
        try:
            python = look_at(options.python, Path(scratch))
            file = options.json or report.default_file("counts", python.label, False)
            result = run(python, options, file)
        except (ChildFailed, LookupError, OSError, Unavailable) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
    if not result["rows"]:
        why = {**result["left_out"], **result["failed"]} or {"nothing": "there is no such benchmark"}
        for name, reason in why.items():
            print(f"error: not counted: {name}: {reason}", file=sys.stderr)
        return 2
    print(programs_report.text(result))
    return 1 if result["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())

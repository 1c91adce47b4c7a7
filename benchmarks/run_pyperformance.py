"""Time pyperformance's benchmarks under goalloc against stock: see `--help` and README.md.

In a round each benchmark file runs in a fresh process for each contender; these take turns, a few
hundredths of a second each, for the same number of loops.  A result file is complete after every
benchmark, so a run that was stopped goes on with `--resume`.
"""

import argparse
import json
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import paired
import programs_report
import report
import suite
from contenders import Contender
from interpreter import ChildFailed, Interpreter
from runner import Progress
from subjects import contenders, headed, libraries, look_at
from suite import Benchmark, Unavailable
from turns import Player

Row = dict[str, Any]

_SLICE = 0.04  # seconds of a turn: short beside the swings, long beside what a switch costs
_MOST = 24  # turns in a round: more add little to the median
_FEWEST = 1  # for benchmarks of which one loop takes long


def _play(
    players: dict[str, Player], name: str, seconds: float, loops: dict[str, int]
) -> dict[str, list[float]]:
    """The times of one round of one benchmark, after a turn to warm up."""
    names = list(players)
    if name not in loops:
        loops[name] = players[names[0]].calibrate(_SLICE)
    warm = [player.run(loops[name]) for player in players.values()]
    turns = min(_MOST, max(_FEWEST, round(seconds / max(statistics.fmean(warm), 1e-6))))
    times: dict[str, list[float]] = {contender: [] for contender in names}
    for turn in range(turns):
        for contender in names if turn % 2 else reversed(names):  # A B, B A: drift cancels out
            times[contender].append(players[contender].run(loops[name]))
    return times


def _round(
    python: Interpreter,
    chosen: list[Contender],
    benchmark: Benchmark,
    packages: str,
    options: argparse.Namespace,
    loops: dict[str, int],
) -> tuple[dict[str, dict[str, list[float]]], dict[str, int]]:
    """One round of a file: {benchmark: {contender: times}}, {contender: peak bytes}."""
    times = {}
    with ExitStack() as stack:
        players = {}
        for contender in chosen:
            job = libraries(contender, chosen)
            player = Player(
                python, contender, benchmark, job, packages=packages, clock=options.clock
            )
            players[contender.name] = stack.enter_context(player)
        names = {player.first() for player in players.values()}
        while names != {None}:
            if len(names) > 1:
                raise ChildFailed(f"the contenders run different benchmarks: {names}")
            [name] = names
            times[str(name)] = _play(players, str(name), options.seconds, loops)
            names = {player.following() for player in players.values()}
        return times, {contender: player.peak for contender, player in players.items()}


def measure(
    python: Interpreter, chosen: list[Contender], benchmark: Benchmark, packages: str, options: Any
) -> tuple[list[Row], Row]:
    """A row for each benchmark of a file and each contender but stock, and one of peaks."""
    collected: dict[str, dict[str, list[float]]] = {}
    peaks: dict[str, list[int]] = {contender.name: [] for contender in chosen}
    loops: dict[str, int] = {}
    for number in range(options.rounds):
        order = chosen[number % len(chosen) :] + chosen[: number % len(chosen)]
        times, peak = _round(python, order, benchmark, packages, options, loops)
        for name, by_contender in times.items():
            for contender, values in by_contender.items():
                collected.setdefault(name, {}).setdefault(contender, []).extend(values)
        for contender, value in peak.items():
            peaks[contender].append(value)
    rows = []
    for name, by_contender in collected.items():
        # A file with one benchmark goes by the variant's name: its own is that of all variants.
        shown = benchmark.name if len(collected) == 1 else name
        for other in chosen[1:]:
            row = paired.speed(by_contender["stock"], by_contender[other.name])
            rows.append({
                "benchmark": shown, "contender": other.name, "loops": loops[name],
                "stock_seconds": statistics.median(by_contender["stock"]), **row,
            })  # fmt: skip
    medians = {name: int(statistics.median(values)) for name, values in peaks.items()}
    return rows, {"file": benchmark.name, **medians}


def summarize(result: report.Result) -> None:
    """The geometric mean of speeds and the sums of peaks, for each contender."""
    others = {row["contender"] for row in result["rows"]}
    result["summary"] = {}
    for name in sorted(others):
        rows = [row for row in result["rows"] if row["contender"] == name]
        errors = [paired.error(row) for row in rows]
        result["summary"][name] = {
            "speed": paired.geometric_mean(row["speed"] for row in rows),
            "error": sum(error**2 for error in errors) ** 0.5 / len(errors),
            "peak": sum(p[name] for p in result["peaks"])
            / sum(p["stock"] for p in result["peaks"]),
        }


def run(python: Interpreter, options: argparse.Namespace, file: Path) -> report.Result:
    chosen = contenders(python, options.contenders)
    result = headed("pyperformance", python, chosen)
    result["settings"] = {
        "clock": options.clock, "rounds": options.rounds, "seconds": options.seconds,
    }  # fmt: skip
    result |= {"rows": [], "peaks": [], "left_out": {}, "failed": {}}
    if options.resume and file.exists():
        result = json.loads(file.read_text())
    done = {peak["file"] for peak in result["peaks"]}
    wanted = [b for b in suite.benchmarks() if selected(b.name, options.benchmarks)]
    progress = Progress(len(wanted))
    for benchmark in wanted:
        progress.step(benchmark.name)
        if benchmark.name in done:
            continue
        try:
            packages = suite.packages(benchmark, python)
            rows, peaks = measure(python, chosen, benchmark, packages, options)
        except Unavailable as why:
            result["left_out"][benchmark.name] = str(why)
        except ChildFailed as why:
            result["failed"][benchmark.name] = str(why)
        else:
            result["failed"].pop(benchmark.name, None)
            result["rows"] += rows
            result["peaks"].append(peaks)
            summarize(result)
        report.write_json(result, file)
    progress.finish()
    return result


def selected(name: str, wanted: list[str] | None) -> bool:
    """Whether a name is asked for; a final `*` stands for anything."""
    if wanted is None:
        return True
    return any(name.startswith(w[:-1]) if w.endswith("*") else name == w for w in wanted)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--python", default=sys.executable, metavar="PATH", help="interpreter (default: this)")
    add("--contenders", nargs="+", default=["goalloc"], metavar="NAME", help="beside stock")
    add("--benchmarks", nargs="+", metavar="NAME", help="`async*`: all that start so")
    add("--rounds", type=int, default=3, help="fresh processes of each contender")
    add("--seconds", type=float, default=0.6, help="of turns in a round, for each contender")
    add("--clock", choices=("wall", "cpu"), default="wall",
        help="cpu: the process's own time, where others use the same core")  # fmt: skip
    add("--json", type=Path, metavar="FILE", help="in place of a file in results/")
    add("--resume", action="store_true", help="keep what the result file holds")
    add("--quick", action="store_true", help="one short round: does it work here?")
    options = parser.parse_args(argv)
    if options.quick:
        options.rounds, options.seconds = 1, 0.05
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds is at least 1, --seconds above 0")
    with tempfile.TemporaryDirectory(prefix="goalloc-pyperformance-") as scratch:
        try:
            python = look_at(options.python, Path(scratch))
            default = report.default_file("pyperformance", python.label, options.quick)
            result = run(python, options, options.json or default)
        except (ChildFailed, LookupError, OSError, Unavailable) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
    print(programs_report.text(result))
    for name, why in result["failed"].items():
        print(f"failed: {name}: {why}", file=sys.stderr)
    return 1 if result["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())

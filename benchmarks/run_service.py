"""Measure a service's memory, throughput and latency under load that comes and goes.

The service is service.py.  Its resident size is sampled from outside: the mean over the whole run,
idle times included, and the largest sample.
"""

import json
import sys
from argparse import Namespace

import memory
from contenders import Contender
from interpreter import HERE, Interpreter
from watch import curve, mean, peak, watch

_CHILD = HERE / "service.py"
_COLUMNS = {  # table and column -> digits
    ("memory", "mean MiB"): 0,
    ("memory", "peak MiB"): 0,
    ("speed", "requests/s in bursts"): 0,
    ("speed", "median ms"): 2,
    ("speed", "p99 ms"): 1,
    ("speed", "CPU s"): 1,
}
_PERIOD = 0.05  # seconds between samples
_ROUNDS = 1
# A cycle: seconds of a steady stream at a rate, requests in the burst behind it, seconds in all.
_FULL = {"steady": 8.0, "rate": 50.0, "burst": 3000, "period": 20.0}
_QUICK = {"steady": 1.0, "rate": 50.0, "burst": 50, "period": 2.0}
_CYCLES = 9


def _quantile(ordered: list[float], part: float) -> float:
    return ordered[min(int(part * len(ordered)), len(ordered) - 1)]


def measure(python: Interpreter, contender: Contender, options: Namespace) -> memory.Run:
    job = {**options.load, "cycles": options.cycles, **contender.requirements()}
    command = contender.command(python, _CHILD, json.dumps(job))
    watched = watch(command, contender.environment(), python.build_dir, _PERIOD)
    answer = watched.answer
    samples = watched.between(answer["start"], answer["end"])
    ms = [1000 * latency for latency in answer["latencies"]]
    values = {
        ("memory", "mean MiB"): mean(samples),
        ("memory", "peak MiB"): peak(samples),
        ("speed", "requests/s in bursts"): answer["burst_rate"],
        ("speed", "median ms"): _quantile(ms, 0.5),
        ("speed", "p99 ms"): _quantile(ms, 0.99),
        ("speed", "CPU s"): answer["cpu"],
    }
    return memory.Run(values, lambda points: curve(samples, points))


def main(argv: list[str] | None = None) -> int:
    parser = memory.parser(__doc__, _ROUNDS)
    parser.add_argument("--cycles", type=int, help="steady, burst, idle: so many times")
    options = memory.parse(parser, _ROUNDS, argv)
    options.load = _QUICK if options.quick else _FULL
    if options.cycles is None:
        options.cycles = 1 if options.quick else _CYCLES
    if options.cycles < 1:
        parser.error("--cycles is at least 1")
    settings = {"cycles": options.cycles, "seconds": options.cycles * options.load["period"]}
    return memory.main("service", _COLUMNS, options, measure, settings, "goalloc-import")


if __name__ == "__main__":
    sys.exit(main())

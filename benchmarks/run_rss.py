"""Measure how much memory a process gives back: scenarios A to D in one process, by contender.

The scenarios are the modules rss_a_freed.py to rss_d_grown.py.  After each one the process idles,
then reads its resident size; peaks are the largest samples taken from outside during the scenario.
"""

import json
import sys
from argparse import Namespace

import memory
from contenders import Contender
from interpreter import HERE, Interpreter
from watch import curve, peak, watch

_CHILD = HERE / "rss_child.py"
_PHASES = ("A", "B", "C", "D")
_COLUMNS = {
    **{("idle", column): 0 for column in ("start", *_PHASES)},
    **{("peak", column): 0 for column in (*_PHASES, "all")},
}
_PERIOD = 0.01  # seconds between samples: a scenario's peak lasts a few of them
_ROUNDS = 3


def measure(python: Interpreter, contender: Contender, options: Namespace) -> memory.Run:
    job = {"scale": options.scale, "idle": options.idle, **contender.requirements()}
    command = contender.command(python, _CHILD, json.dumps(job))
    watched = watch(command, contender.environment(), python.build_dir, _PERIOD)
    answer = watched.answer
    values = {("idle", "start"): answer["base"], ("peak", "all"): answer["peak"]}
    for name, phase in answer["phases"].items():
        values["idle", name] = phase["rss"]
        values["peak", name] = peak(watched.between(phase["begin"], phase["end"]))
    samples = watched.between(answer["start"], answer["phases"]["D"]["end"])
    return memory.Run(values, lambda points: curve(samples, points))


def main(argv: list[str] | None = None) -> int:
    parser = memory.parser(__doc__, _ROUNDS)
    parser.add_argument("--idle", type=float, help="seconds before the size is read")
    options = memory.parse(parser, _ROUNDS, argv)
    options.scale = 0.02 if options.quick else 1.0
    if options.idle is None:
        options.idle = 0.1 if options.quick else 1.5
    return memory.main("rss", _COLUMNS, options, measure, {"idle": f"{options.idle} s"})


if __name__ == "__main__":
    sys.exit(main())

"""Runs one benchmark file of pyperformance inside the interpreter under measurement.

suite_child.py JOB     JOB is JSON; what is asked and answered are lines of JSON on two pipes

The child names each benchmark of the file as it comes to it, and then does what it is asked:
{"loops": N} runs N loops; {"calibrate": S} finds how many loops take S seconds; {"next": true}
goes on in the file.  At the end it tells its peak resident size.
"""

import json
import os
import resource
import runpy
import sys
import time
from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))
Job = dict[str, Any]


def require_allocator(job: Job) -> None:
    """Fail unless exactly those allocator libraries are mapped that the contender is named after.

    That they work is checked once, by another process: here it would cost each contender a
    different number of instructions.
    """
    with open("/proc/self/maps") as file:
        maps = file.read()
    for library in job["libraries"]:
        if (library in maps) != (library in job["wanted"]):
            sys.exit(f"{library} is {'' if library in maps else 'not '}mapped")


def peak() -> int:
    """Bytes of the peak resident size, of a child if that was larger.

    VmHWM is ru_maxrss, less what the process was before it became this program.
    """
    with open("/proc/self/status") as file:
        own = next(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))
    return 1024 * max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)


def calibrate(time_func: Any, seconds: float) -> int:
    """How many loops take about that long, when the benchmark is warm."""
    loops = 1
    taken: float = time_func(1)
    if taken < 2 * seconds:
        taken = time_func(1)
    while taken < seconds / 2:
        loops = loops * 2 if taken <= 0 else max(loops * 2, int(loops * seconds / taken / 2))
        taken = time_func(loops)
    return max(1, round(loops * seconds / taken))


class Turns:
    """The conversation with the harness."""

    def __init__(self, reader: int, writer: int) -> None:
        self._reader = os.fdopen(reader)
        self._writer = os.fdopen(writer, "w")

    def say(self, **answer: Any) -> None:
        self._writer.write(json.dumps(answer) + "\n")
        self._writer.flush()

    def measure(self, name: str, time_func: Any) -> None:
        self.say(name=name)
        for line in self._reader:
            asked = json.loads(line)
            if "loops" in asked:
                self.say(seconds=time_func(asked["loops"]))
            elif "calibrate" in asked:
                self.say(loops=calibrate(time_func, asked["calibrate"]))
            else:
                return
        sys.exit("the harness is gone")


def run_file(path: str, args: list[str], clock: str, turns: Turns) -> None:
    sys.path.insert(0, os.path.join(HERE, "stand_in"))
    import pyperf

    pyperf.measure = turns.measure
    pyperf.perf_counter = {"wall": time.perf_counter, "cpu": time.process_time}[clock]
    sys.argv = [path, *args]
    sys.path[0:0] = [os.path.dirname(path)]
    runpy.run_path(path, run_name="__main__")


def main() -> None:
    job = json.loads(sys.argv[1])
    require_allocator(job)
    if job["cpu"] is not None:
        os.sched_setaffinity(0, {job["cpu"]})
    turns = Turns(job["reader"], job["writer"])
    run_file(job["file"], job["args"], job["clock"], turns)
    turns.say(end=True, peak=peak())


if __name__ == "__main__":
    main()

"""Runs scenarios A to D one after the other in the interpreter under measurement.

rss_child.py JOB    JOB is JSON; prints one line of JSON: when each phase was, and the size after it
"""

import json
import sys
import time
from typing import Any

import rss_a_freed
import rss_b_kept
import rss_c_threads
import rss_d_grown
from child import require_allocator

SCENARIOS = {"A": rss_a_freed, "B": rss_b_kept, "C": rss_c_threads, "D": rss_d_grown}


def _kib(file: str, name: str) -> int:
    with open(file) as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(name))


def resident() -> float:
    """MiB, exactly: statm lags behind by what each CPU has not yet added."""
    return _kib("/proc/self/smaps_rollup", "Rss:") / 1024


def run(job: dict[str, Any]) -> dict[str, Any]:
    require_allocator(job)
    start, base = time.monotonic(), resident()
    phases, kept = {}, []
    for name, scenario in SCENARIOS.items():
        begin = time.monotonic()
        kept.append(scenario.run(job["scale"]))
        freed = time.monotonic()
        time.sleep(job["idle"])
        phases[name] = {"begin": begin, "freed": freed, "rss": resident(), "end": time.monotonic()}
    high = _kib("/proc/self/status", "VmHWM:") / 1024
    return {"start": start, "base": base, "peak": high, "phases": phases}


if __name__ == "__main__":
    print(json.dumps(run(json.loads(sys.argv[1]))))

"""Runs one of our programs inside the interpreter under measurement; prints one line of JSON.

program_child.py JOB     JOB is JSON: the program, its scale, the allocator that must be there
"""

import importlib
import json
import os
import sys
import time
from typing import Any

from suite_child import HERE, peak, require_allocator


def run(job: dict[str, Any]) -> dict[str, Any]:
    os.sched_setaffinity(0, {job["cpu"]})
    require_allocator(job)
    sys.path.insert(0, os.path.join(HERE, "programs"))
    try:
        main = importlib.import_module(job["program"]).main
    except ModuleNotFoundError as missing:
        return {"missing": missing.name}
    start, start_cpu = time.perf_counter(), time.process_time()
    checksum = main(job["scale"])
    seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    return {"seconds": seconds, "cpu_seconds": cpu, "checksum": checksum, "peak": peak()}


if __name__ == "__main__":
    print(json.dumps(run(json.loads(sys.argv[1]))))

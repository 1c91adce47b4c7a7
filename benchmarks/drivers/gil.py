"""Runs in a Python under measurement: the same allocating work by one thread and by several.

gil.py JOB      JOB is JSON: what child.py's require_allocator wants, and threads, work, rounds
"""

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from child import require_allocator  # noqa: E402


def work(n: int) -> None:
    """Objects of many sizes: floats, strings, tuples, lists, dicts."""
    kept: list[Any] = [None] * 256
    for i in range(n):
        kept[i & 255] = [float(i), str(i), (i, i + 1), {"key": i}]


def seconds(threads: int, n: int) -> float:
    """Time of n steps in all, spread over that many threads."""
    crowd = [threading.Thread(target=work, args=(n // threads,)) for _ in range(threads)]
    start = time.perf_counter()
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    return time.perf_counter() - start


def run(job: dict[str, Any]) -> dict[str, list[float]]:
    """ns per step, by number of threads, of each round."""
    require_allocator(job)
    sys.setswitchinterval(job["switch_interval"])
    seconds(1, job["work"])
    ns: dict[str, list[float]] = {str(threads): [] for threads in job["threads"]}
    for _ in range(job["rounds"]):
        for threads in job["threads"]:
            ns[str(threads)].append(seconds(threads, job["work"]) / job["work"] * 1e9)
    return ns


if __name__ == "__main__":
    print(json.dumps(run(json.loads(sys.argv[1]))))

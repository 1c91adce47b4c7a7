"""Scenario C: eight threads parse a JSON document three times each, then all is freed.

A thread holds its last result while it parses the next.  Allocators that give each thread a heap or
a cache are left with those of threads that ended.
"""

import json
import random
import threading

_RECORDS = 15_000
_LONGEST = 640  # characters of a record's text
_THREADS = 8
_TIMES = 3


def document(count: int) -> str:
    rng = random.Random(3)
    return json.dumps(
        [
            {
                "id": i, "name": f"user-{i}", "score": i * 1.5,
                "tags": [f"tag-{j}" for j in range(i % 5)],
                "text": "t" * rng.randrange(_LONGEST + 1),
            }
            for i in range(count)
        ]
    )  # fmt: skip


def run(scale: float) -> None:
    text = document(int(_RECORDS * scale))

    def parse() -> None:
        for _ in range(_TIMES):
            result = json.loads(text)  # noqa: F841: holding it is the point

    threads = [threading.Thread(target=parse) for _ in range(_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

"""Scenario A: 400,000 small dicts with a string and bytes, then all of them freed.

Most blocks are below pymalloc's limit; a quarter of the bytes objects lies above it.  An allocator
that gives back only what lies at its end, or only with the next call, keeps a part of them.
"""

import random
from typing import Any

COUNT = 400_000
_LARGEST = 640  # bytes of data in the largest bytes object
_TEXT = 200  # characters

Record = dict[str, Any]


def build(count: int, rng: random.Random) -> list[Record]:
    return [
        {"id": i, "text": f"{i:{_TEXT}}", "data": b"x" * rng.randrange(_LARGEST + 1)}
        for i in range(count)
    ]


def run(scale: float) -> None:
    build(int(COUNT * scale), random.Random(1))

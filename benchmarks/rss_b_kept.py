"""Scenario B: the dicts of scenario A again, then one of 100 kept at random and the rest freed.

The kept ones lie all over the heap: how much can an allocator give back between them?  They live on
through the scenarios behind this one.
"""

import random

from rss_a_freed import COUNT, Record, build

_ONE_OF = 100


def run(scale: float) -> list[Record]:
    rng = random.Random(2)
    records = build(int(COUNT * scale), rng)
    return rng.sample(records, len(records) // _ONE_OF)

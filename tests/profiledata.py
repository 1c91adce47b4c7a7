"""Heap profiles made up for tests, in the shape in which the core gives them."""

import random

RATE = 512 * 1024

# A small program: main calls load twice (by two ways) and itself; a worker thread fills a cache.
FUNCTIONS = [
    ("<module>", "/srv/app/main.py", 1),
    ("main", "/srv/app/main.py", 10),
    ("Store.load", "/srv/app/store.py", 20),
    ("JSONDecoder.decode", "/usr/lib/python3.11/json/decoder.py", 332),
    ("walk.<locals>.<lambda>", "/srv/app/main.py", 55),
    ("Thread.run", "/usr/lib/python3.11/threading.py", 950),
    ("<no Python frame>", "", 0),
]
LOCATIONS = [(0, 70), (1, 12), (1, 14), (2, 25), (3, 337), (4, 56), (5, 975), (6, 0)]
STACKS = [
    (4, 3, 1, 0),  # decode, load, main, <module>
    (3, 2, 0),  # load, main, <module>
    (5, 2, 1, 0),  # <lambda>, main, main (recursion), <module>
    (4, 6),  # decode in the worker
    (7,),
]
THREADS = [(4001, "MainThread"), (4002, "cache;filler")]
SAMPLES = [
    # stack, size, rate, domain, thread, allocs, frees, peak
    (0, 4096, RATE, 2, 0, 4, 0, 3),
    (0, 3072, RATE, 2, 0, 5, 2, 4),
    (1, 524288, RATE, 1, 0, 1, 0, 1),
    (2, 64, RATE, 2, 0, 7, 7, 2),
    (3, 4096, RATE, 2, 1, 9, 1, 8),
    (4, 112, RATE, 0, 0, 2, 0, 2),
]


def core_profile(rate=RATE, **changes):
    """The small program's profile, with all of its samples taken at that rate."""
    return {
        "rate": rate,
        "time_ns": 1_700_000_000_000_000_000,
        "functions": list(FUNCTIONS),
        "locations": list(LOCATIONS),
        "threads": list(THREADS),
        "stacks": list(STACKS),
        "samples": [(*sample[:2], rate, *sample[3:]) for sample in SAMPLES],
        "peak_time_ns": 1_699_999_999_000_000_000,
        "dropped_samples": 0,
        "truncated_stacks": 0,
        "memory": 65536,
        **changes,
    }


def large_core_profile(buckets, depth, seed, functions=2000):
    """Random stacks that share their outer frames, as those of a program do."""
    rng = random.Random(seed)
    locations = [(f, 10 * k + f % 7) for f in range(functions) for k in range(3)]
    stacks = [tuple(rng.randrange(len(locations)) for _ in range(depth))]
    while len(stacks) < buckets:
        shared = stacks[rng.randrange(len(stacks))]
        cut = rng.randrange(depth // 2)
        stacks.append(tuple(rng.randrange(len(locations)) for _ in range(cut)) + shared[cut:])
    samples = []
    for i in range(buckets):
        allocs = rng.randrange(1, 1000)
        frees = rng.randrange(allocs + 1)
        size = 16 * rng.randrange(1, 200)
        samples.append((i, size, RATE, 2, i % 2, allocs, frees, rng.randrange(allocs + 1)))
    return core_profile(
        functions=[
            (f"Class{i % 50}.method{i}", f"/srv/app/m{i % 40}.py", i) for i in range(functions)
        ],
        locations=locations,
        stacks=stacks,
        samples=samples,
    )

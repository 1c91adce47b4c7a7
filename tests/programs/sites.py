"""A program that knows what it allocates: call sites that keep a shadow of what the profile should say.

Blocks are made by CPython's allocation functions, of sizes that nothing else here asks for, so that
they can be told from the objects that the bookkeeping makes at the same sites.
"""

import random
from collections import Counter
from math import expm1

from goalloc import _core

DOMAINS = ("raw", "mem", "obj")
SIZES = (1500, 2000, 5000, 7000, 11000, 20000, 50000, 100000)
FIELDS = ("stack", "size", "rate", "domain", "thread", "allocs", "frees", "peak")


def slot(size):
    """Bytes of the block that a request of so many gets."""
    if _core.mode() == "wrap":
        return size  # what the allocator below makes of it is not known
    number = _core.size_class_of(size)
    return _core.size_class_table()[number][0] if number else pages(size)


def pages(size):
    """The same of a block with pages of its own."""
    return -(-size // 8192) * 8192


SLOTS = {size: slot(size) for size in SIZES}
CUT_MIN = 2 * 8192  # a block with pages of its own keeps those that it needs, from here on


class Site:
    """alloc, grow and free are what the profile sees as callers."""

    def __init__(self):
        self.expected = Counter()  # (function, domain, slot, 'allocs' | 'frees')
        self.live = []  # (address, domain, slot, has pages of its own, function that made it)

    def make(self, domain, size):
        address = _core._domain_malloc(domain, size)
        self.made("Site.make", address, domain, size)

    def clear(self, domain, size):
        address = _core._domain_calloc(domain, 2, size // 2)
        self.made("Site.clear", address, domain, size)

    def move(self, i, size):
        address, domain, old, own, function = self.live.pop(i)
        moved = _core._domain_realloc(domain, address, size)
        keeps_pages = own and size >= CUT_MIN
        new = pages(size) if keeps_pages else SLOTS[size]
        if moved == address and new == old and _core.mode() != "wrap":  # where it was: no event
            self.live.append((address, domain, old, own, function))
            return
        self.expected[function, domain, old, "frees"] += 1
        self.made("Site.move", moved, domain, size, keeps_pages)

    def free(self, i):
        address, domain, slot, _, function = self.live.pop(i)
        _core._domain_free(domain, address)
        self.expected[function, domain, slot, "frees"] += 1

    def made(self, function, address, domain, size, keeps_pages=False):
        own = keeps_pages or (_core.mode() != "wrap" and _core.size_class_of(size) == 0)
        slot = pages(size) if own else SLOTS[size]
        self.expected[function, domain, slot, "allocs"] += 1
        self.live.append((address, domain, slot, own, function))

    def work(self, steps, rng):
        for _ in range(steps):
            dice, size = rng.random(), rng.choice(SIZES)
            if len(self.live) < 20 or (dice < 0.3 and len(self.live) < 500):
                (self.make if dice < 0.15 else self.clear)(rng.choice(DOMAINS), size)
            elif dice < 0.6:
                self.move(rng.randrange(len(self.live)), size)
            else:
                self.free(rng.randrange(len(self.live)))


def function_of(raw, sample):
    """The name of the innermost function."""
    location = raw["stacks"][sample[0]][0]
    return raw["functions"][raw["locations"][location][0]][0]


def seen(raw):
    """As Site.expected."""
    counts = Counter()
    slots = {*SLOTS.values(), *(pages(size) for size in SIZES if size >= CUT_MIN)}
    for sample in raw["samples"]:
        function = function_of(raw, sample)
        if not function.startswith("Site.") or sample[1] not in slots:
            continue
        for field in ("allocs", "frees"):
            key = function, DOMAINS[sample[3]], sample[1], field
            counts[key] += sample[FIELDS.index(field)]
    return counts


def inuse(raw):
    """Sampled blocks in use."""
    return sum(allocs - frees for *_, allocs, frees, _ in raw["samples"])


def estimate(raw, sizes, field):
    """How many blocks of these sizes the samples stand for, and the variance of that."""
    objects = variance = 0
    for sample in raw["samples"]:
        if sample[1] in sizes:
            chance = 1 if sample[2] <= 1 else -expm1(-sample[1] / sample[2])
            objects += sample[FIELDS.index(field)] / chance
            variance += sample[FIELDS.index(field)] * (1 - chance) / chance**2
    return objects, variance


def exact(steps, seed):
    """Differences between the shadow and the profile, at a rate of 1."""
    site = Site()
    rng = random.Random(seed)
    _core.set_profile_rate(1)
    site.work(steps, rng)
    raw = _core.profile_read()
    there = +site.expected - seen(raw), seen(raw) - +site.expected
    while site.live:
        site.free(0)
    raw = _core.profile_read()
    _core.set_profile_rate(0)
    gone = +site.expected - seen(raw), seen(raw) - +site.expected
    return [dict(difference) for difference in (*there, *gone)]

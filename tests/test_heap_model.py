"""Random operations on a private heap against a dict that knows what every block must hold."""

import ctypes
import random

import pytest

import goalloc

OPERATIONS = 4000


class Model:
    """A heap and what it should be: address -> (size, fill byte)."""

    def __init__(self, heap, rng):
        self.heap, self.rng, self.blocks = heap, rng, {}

    def size(self):
        """Every class with the same chance, and large objects now and then."""
        if self.rng.random() < 0.03:
            return self.rng.randrange(32769, 1 << 21)
        return min(int(2 ** self.rng.uniform(0, 15.01)), 32768)

    def pick(self):
        return self.rng.choice(list(self.blocks))

    def enter(self, p, n):
        for other, (size, _) in self.blocks.items():
            assert p + max(n, 1) <= other or other + max(size, 1) <= p, "blocks overlap"
        self.write(p, n)

    def write(self, p, n):
        fill = self.rng.randrange(256)
        ctypes.memset(p, fill, n)
        self.blocks[p] = (n, fill)

    def verify(self, p, n=None):
        size, fill = self.blocks[p]
        n = size if n is None else min(n, size)
        assert ctypes.string_at(p, n) == bytes([fill]) * n

    def malloc(self):
        n, noscan = self.size(), self.rng.random() < 0.5
        align = self.rng.choice([None, None, None, 1, 8, 64, 4096])
        p = self.heap.malloc(n, noscan, align)
        assert p % (align or 1) == 0
        self.enter(p, n)

    def calloc(self):
        n = self.size()
        p = self.heap.calloc(n, noscan=self.rng.random() < 0.5)
        assert ctypes.string_at(p, n) == bytes(n)
        self.enter(p, n)

    def realloc(self):
        p, n = self.pick(), self.size()
        self.verify(p)
        q = self.heap.realloc(p, n, self.rng.random() < 0.5)
        size, fill = self.blocks.pop(p)
        kept = min(size, n)
        assert ctypes.string_at(q, kept) == bytes([fill]) * kept
        self.enter(q, n)

    def free(self):
        p = self.pick()
        self.verify(p)
        del self.blocks[p]
        self.heap.free(p)

    def misuse(self):
        p = self.pick()
        wild = p + self.rng.randrange(1, max(2, self.heap.usable_size(p)))
        if wild not in self.blocks:
            with pytest.raises(goalloc.HeapError):
                self.heap.free(wild)

    def release(self):
        self.heap.free_os_memory()

    def step(self):
        growing = len(self.blocks) < 300
        choices = [self.malloc] * (6 if growing else 3) + [self.calloc] * 2
        if self.blocks:
            choices += [self.free] * 5 + [self.realloc] * 2 + [self.misuse]
        if self.rng.random() < 0.002:
            choices = [self.release]
        self.rng.choice(choices)()

    def check(self):
        self.heap.check()
        m = self.heap.memstats()
        assert m == self.heap._memstats_slow()
        live = {a for s in self.heap.spans("in_use") for a in s.live_addresses()}
        assert m.heap_objects == len(live)
        # Tiny blocks share a slot; the cache keeps the one that it cuts parts from, as in Go.
        held = live - {p if p in live else p // 16 * 16 for p in self.blocks}
        assert len(held) <= 1
        for p in self.blocks:
            self.verify(p)


def test_random_operations_match_the_model(heap, seed):
    model = Model(heap, random.Random(seed))
    for i in range(OPERATIONS):
        model.step()
        if i % 200 == 0:
            model.check()
    model.check()
    for p in list(model.blocks):
        heap.free(p)
    model.blocks.clear()
    model.check()
    assert heap.memstats().heap_alloc in (0, 16)

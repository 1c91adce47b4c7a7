"""goalloc.Heap against a model, by Hypothesis: any calls in any order, made short when they fail.

What a block must hold, which addresses are live and what the statistics have to add up to is known
by a dict.  The fuzzer of the C core (test_fuzz.py) goes far deeper; this is about what Python sees.
"""

import ctypes

import hypothesis
import hypothesis.strategies as st
import pytest
from conftest import SEED
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import goalloc

KIB, MIB = 1 << 10, 1 << 20
LIVE_MAX = 4000

sizes = st.one_of(
    st.integers(0, 40),
    st.builds(int.__add__, st.sampled_from([c.size for c in goalloc.size_classes()][1:]),
              st.integers(-1, 1)),
    st.integers(0, 33 * KIB),
    st.integers(32 * KIB, 4 * MIB),
)
fills = st.integers(0, 255)
picks = st.integers(0, 1 << 30)


class HeapMachine(RuleBasedStateMachine):
    layout = "sparse"

    def __init__(self):
        super().__init__()
        self.heap = goalloc.Heap(self.layout)
        self.blocks = {}  # address -> (size, fill byte)
        self.freed = None  # the last one, while nothing has been made since

    def teardown(self):
        for p in list(self.blocks):
            self.verify(p)
            self.heap.free(p)
        self.blocks.clear()
        self.heap.set_memory_limit(None)
        self.heap.free_os_memory()
        m = self.heap.memstats()
        self.heap.check()
        self.heap.close()
        assert (m.heap_alloc, m.heap_objects, m.heap_inuse) == (0, 0, 0)
        assert m.heap_released == m.heap_sys

    # ---- the model --------------------------------------------------------------------------

    def enter(self, p, n, fill):
        assert p not in self.blocks and self.heap.usable_size(p) >= max(n, 1)
        ctypes.memset(p, fill, n)
        self.blocks[p] = n, fill
        self.freed = None

    def pick(self, i):
        return list(self.blocks)[i % len(self.blocks)]

    def verify(self, p):
        n, fill = self.blocks[p]
        assert ctypes.string_at(p, n) == bytes([fill]) * n

    # ---- making and freeing -----------------------------------------------------------------

    @rule(n=sizes, noscan=st.booleans(), fill=fills,
          align=st.none() | st.integers(0, 16).map(lambda bits: 1 << bits))
    def malloc(self, n, noscan, align, fill):
        p = self.heap.malloc(n, noscan, align)
        assert p % (align or 1) == 0
        self.enter(p, n, fill)

    @precondition(lambda self: len(self.blocks) < LIVE_MAX)
    @rule(n=st.integers(0, 2 * KIB), count=st.integers(2, 300), noscan=st.booleans(), fill=fills)
    def malloc_many(self, n, count, noscan, fill):
        for _ in range(count):
            self.enter(self.heap.malloc(n, noscan), n, fill)

    @rule(n=st.integers(0, 300), size=st.integers(0, 300), noscan=st.booleans(), fill=fills)
    def calloc(self, n, size, noscan, fill):
        p = self.heap.calloc(n, size, noscan)
        assert ctypes.string_at(p, n * size) == bytes(n * size)
        self.enter(p, n * size, fill)

    @precondition(lambda self: self.blocks)
    @rule(i=picks, n=sizes, noscan=st.booleans(), fill=fills)
    def realloc(self, i, n, noscan, fill):
        p = self.pick(i)
        self.verify(p)
        size, old = self.blocks[p]
        q = self.heap.realloc(p, n, noscan)
        kept = min(size, n)
        assert ctypes.string_at(q, kept) == bytes([old]) * kept
        del self.blocks[p]
        self.enter(q, n, fill)

    @precondition(lambda self: self.blocks)
    @rule(i=picks)
    def free(self, i):
        p = self.pick(i)
        self.verify(p)
        self.heap.free(p)
        del self.blocks[p]
        self.freed = p

    @precondition(lambda self: self.blocks)
    @rule(step=st.integers(1, 4), start=picks)
    def free_many(self, step, start):
        for p in list(self.blocks)[start % len(self.blocks)::step]:
            self.verify(p)
            self.heap.free(p)
            del self.blocks[p]
            self.freed = p

    # ---- what must not work -----------------------------------------------------------------

    def counts(self):
        """Of blocks.  A cache that is full makes room before it looks at what is freed: spans may go."""
        m = self.heap.memstats()
        return m.mallocs, m.frees, m.alloc, m.total_alloc, m.heap_alloc, m.heap_objects

    def refused(self, p):
        before = self.counts()
        for call in (self.heap.free, self.heap.usable_size, lambda p: self.heap.realloc(p, 100)):
            with pytest.raises(goalloc.HeapError):
                call(p)
        assert self.counts() == before

    @precondition(lambda self: self.freed is not None)
    @rule()
    def free_again(self):
        self.refused(self.freed)

    @precondition(lambda self: self.blocks)
    @rule(i=picks, offset=st.integers(1, 1 << 20))
    def free_inside(self, i, offset):
        p = self.pick(i)
        inside = p + 1 + offset % self.heap.usable_size(p)
        if inside not in self.blocks:
            self.refused(inside)

    @rule(n=st.sampled_from([1 << 47, (1 << 63) - 1]))
    def too_much(self, n):
        before = self.heap.memstats()
        with pytest.raises(MemoryError):
            self.heap.malloc(n)
        with pytest.raises(MemoryError):
            self.heap.calloc(n, 16)
        if self.blocks:
            with pytest.raises(MemoryError):
                self.heap.realloc(next(iter(self.blocks)), n)
        assert self.heap.memstats().heap_objects == before.heap_objects

    @rule(k=st.integers(1, 4), onwards=st.booleans(), n=sizes, noscan=st.booleans(), fill=fills)
    def system_fails(self, k, onwards, n, noscan, fill):
        self.heap._fail_os_call(k, onwards=onwards)
        try:
            self.enter(self.heap.malloc(n, noscan), n, fill)
        except MemoryError:
            pass
        finally:
            self.heap._fail_os_call(0)

    # ---- the heap as a whole ----------------------------------------------------------------

    @rule()
    def free_os_memory(self):
        before = self.heap.memstats()
        given = self.heap.free_os_memory()
        after = self.heap.memstats()
        back = after.heap_released + after.heap_inuse_released
        assert back - before.heap_released - before.heap_inuse_released == given
        assert after.heap_released == after.heap_idle

    @rule(limit=st.none() | st.integers(1, 16 * MIB))
    def set_memory_limit(self, limit):
        self.heap.set_memory_limit(limit)
        assert self.heap.memory_limit() == limit

    @rule()
    def snapshot(self):
        snapshot = self.heap.snapshot()
        assert snapshot.memstats == self.heap.memstats()
        spans = [span for span in snapshot.spans if span.state == "in_use"]
        for c in snapshot.classes:
            of_class = [s for s in spans if s.span_class == c.span_class]
            assert (c.spans, c.live) == (len(of_class), sum(s.alloc_count for s in of_class))

    @invariant()
    def adds_up(self):
        self.heap.check()
        m = self.heap.memstats()
        assert m == self.heap._memstats_slow()
        assert m.heap_objects == m.mallocs - m.frees
        assert m.heap_sys == m.heap_idle + m.heap_inuse
        assert m.sys == sum(
            getattr(m, f"{part}_sys")
            for part in ("heap", "stack", "mspan", "mcache", "buck_hash", "gc", "other")
        )

    @invariant()
    def live_is_live(self):
        live = {a for span in self.heap.spans("in_use") for a in span.live_addresses()}
        # Tiny blocks share a slot; the cache keeps the one that it cuts parts from, as in Go.
        slots = {p if p in live else p // 16 * 16 for p in self.blocks}
        assert slots <= live and len(live - slots) <= 1


@pytest.mark.parametrize("layout", ["sparse", "linear"])
def test_any_calls_in_any_order(layout):
    machine = type("Machine", (HeapMachine,), {"layout": layout})
    settings = hypothesis.settings(
        max_examples=40, stateful_step_count=60, deadline=None, database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    hypothesis.stateful.run_state_machine_as_test(hypothesis.seed(SEED)(machine), settings=settings)

/* A cache: what stands in a store, and when the heap bitmap knows of it. */
#include "mcache.h"

#include "rig.h"

static const spanclass_t SCAN = 2 * 4, NOSCAN = 2 * 4 + 1; /* class 4 */

static void *pop(struct mcache *c, spanclass_t spc) {
    uintptr_t granule = store_pop(c, spc, c->shared);
    return granule != 0 ? (void *)granule_addr(granule) : mcache_pop_slow(c, spc);
}

static bool push(struct mcache *c, spanclass_t spc, void *p) {
    const struct heap_arena *ha = arena_of(&c->heap->map, (uintptr_t)p);
    if (mcache_is_shut(c, spc))
        mcache_overflow(c, spc);
    uintptr_t addr = (uintptr_t)p;
    return addr % 8 == 0 &&
           store_push(c, spc, heap_bits_word(ha, addr), granule_of(addr), c->shared);
}

static bool live(struct mcache *c, void *p) {
    return heap_bits_live(arena_of(&c->heap->map, (uintptr_t)p), (uintptr_t)p);
}

static size_t limit(const struct mcache *c, spanclass_t spc) {
    return mcache_is_shut(c, spc) ? 0 : (size_t)(c->limit[spc] - c->cold[spc].base);
}
static size_t filled(const struct mcache *c, spanclass_t spc) { return mcache_waiting(c, spc); }

/* Slots that are out of the spans of a class. */
static size_t slots_out(struct mheap *h, spanclass_t spc) {
    size_t n = 0;
    for (size_t i = 0; i < h->nallspans; i++)
        if (h->allspans[i]->state == MSPAN_IN_USE && h->allspans[i]->spanclass == spc)
            n += h->allspans[i]->alloc_count;
    return n;
}

/* ---- what is live --------------------------------------------------------------------------- */

/* A block comes back once, by its first byte, in whatever order. */
static void test_push_once(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    void *a = pop(r.c, SCAN), *b = pop(r.c, SCAN), *d = pop(r.c, SCAN);
    CHECK(push(r.c, SCAN, d));
    CHECK(!push(r.c, SCAN, d));
    CHECK(live(r.c, a) && live(r.c, b) && !live(r.c, d));
    CHECK_EQ(pop(r.c, SCAN), d); /* the last one in */
    CHECK(push(r.c, SCAN, a));
    CHECK(!live(r.c, a) && live(r.c, b) && live(r.c, d));
    CHECK_EQ(pop(r.c, SCAN), a);
    CHECK(!push(r.c, SCAN, (char *)a + 8)); /* inside of it */
    CHECK(!push(r.c, SCAN, (char *)a + 1));
    CHECK(live(r.c, a) && live(r.c, b) && live(r.c, d));
    CHECK(push(r.c, SCAN, a) && push(r.c, SCAN, d) && push(r.c, SCAN, b));
    CHECK(!push(r.c, SCAN, a) && !push(r.c, SCAN, b) && !push(r.c, SCAN, d));
    rig_close(&r);
}

static void test_shared_marks_at_once(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_THREAD);
    struct mcache *other = mcache_new(r.h, MCACHE_THREAD, r.h->central);
    void *a = pop(r.c, NOSCAN), *b = pop(r.c, NOSCAN);
    CHECK(live(r.c, a) && live(r.c, b));
    CHECK(push(other, NOSCAN, a)); /* by whomever */
    CHECK(!push(r.c, NOSCAN, a) && !push(other, NOSCAN, a));
    CHECK_EQ(filled(other, NOSCAN), 1);
    CHECK_EQ(pop(other, NOSCAN), a);
    CHECK(push(r.c, NOSCAN, a) && push(r.c, NOSCAN, b));
    mcache_free(other);
    mcache_release_all(r.c);
    CHECK_EQ(slots_out(r.h, NOSCAN), 0);
    rig_close(&r);
}

/* ---- refill, overflow, limit ---------------------------------------------------------------- */

static void test_batches_grow(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    CHECK_EQ(limit(r.c, SCAN), 0); /* the first use makes room */
    CHECK(pop(r.c, SCAN) != NULL);
    size_t start = limit(r.c, SCAN), first = r.c->cold[SCAN].batch;
    CHECK(start <= GA_STORE_LIMIT_MAX && start <= r.c->cold[SCAN].cap);
    for (size_t taken = 0; taken < 600; taken++) {
        size_t batch = r.c->cold[SCAN].batch;
        bool refills = filled(r.c, SCAN) == 0;
        CHECK(pop(r.c, SCAN) != NULL);
        CHECK(!refills || filled(r.c, SCAN) < batch); /* the last of a span may be fewer */
        CHECK(r.c->cold[SCAN].batch >= batch && r.c->cold[SCAN].batch <= (start + 1) / 2);
    }
    CHECK(r.c->cold[SCAN].batch >= 8 * first);
    CHECK_EQ(limit(r.c, SCAN), start); /* nothing was ever given back */
    rig_close(&r);
}

static void test_fresh_slots_rise(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    char *before = pop(r.c, SCAN);
    for (int i = 0; i < 60; i++, before += store_elemsize(SCAN))
        CHECK_EQ(pop(r.c, SCAN), before + store_elemsize(SCAN));
    rig_close(&r);
}

/* Swings wider than the store: each time what was given back is wanted again its limit doubles,
 * up to its capacity, and then it stays. */
static void test_limit_grows(void) {
    enum { SWING = 3000 };
    static void *p[SWING];
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    CHECK(push(r.c, SCAN, pop(r.c, SCAN)));
    size_t expected = limit(r.c, SCAN), cap = r.c->cold[SCAN].cap;
    for (int round = 0; round < 8; round++) {
        CHECK_EQ(limit(r.c, SCAN), expected);
        for (int i = 0; i < SWING; i++)
            p[i] = pop(r.c, SCAN);
        if (round > 0)
            expected = ga_min(2 * expected, cap);
        CHECK_EQ(limit(r.c, SCAN), expected);
        for (int i = 0; i < SWING; i++) {
            if (push(r.c, SCAN, p[i]))
                continue;
            CHECK_EQ(filled(r.c, SCAN), expected);
            mcache_overflow(r.c, SCAN);
            CHECK_EQ(filled(r.c, SCAN), expected / 2);
            CHECK(push(r.c, SCAN, p[i]));
        }
        CHECK_EQ(slots_out(r.h, SCAN), filled(r.c, SCAN));
    }
    CHECK_EQ(expected, cap);
    rig_close(&r);
}

/* The half that is given back is the one that was freed first. */
static void test_overflow_gives_the_coldest(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    static void *p[GA_STORE_CAP];
    CHECK(push(r.c, SCAN, pop(r.c, SCAN)));
    size_t n = limit(r.c, SCAN);
    for (size_t i = 0; i < n + 1; i++)
        p[i] = pop(r.c, SCAN);
    while (filled(r.c, SCAN) != 0)
        pop(r.c, SCAN);
    for (size_t i = 0; i < n; i++)
        CHECK(push(r.c, SCAN, p[i]));
    mcache_overflow(r.c, SCAN);
    for (size_t i = n; i-- > (n + 1) / 2;)
        CHECK_EQ(pop(r.c, SCAN), p[i]);
    CHECK_EQ(filled(r.c, SCAN), 0);
    rig_close(&r);
}

/* ---- kinds, close, open, release ------------------------------------------------------------ */

static void test_kinds(void) {
    for (int kind = 0; kind < MCACHE_KINDS; kind++) {
        struct rig r = rig_open(LAYOUT_SPARSE, (enum mcache_kind)kind);
        CHECK_EQ(r.c->shared, kind == MCACHE_THREAD || kind == MCACHE_ORPHAN);
        for (unsigned spc = 0; spc < GA_NUM_SPAN_CLASSES; spc++) {
            bool noscan = spc & 1, open = spc > 1 && (kind == MCACHE_INTERP   ? !noscan
                                                      : kind == MCACHE_THREAD ? noscan
                                                                              : true);
            CHECK_EQ(mcache_is_closed(r.c, (uint8_t)spc), !open);
            CHECK_EQ(pop(r.c, (spanclass_t)spc) != NULL, open);
        }
        CHECK(mcache_is_closed(r.c, GA_PAGE_TINY));
        rig_close(&r);
    }
}

static void check_empty(const struct mcache *c) {
    for (unsigned spc = 2; spc < GA_NUM_SPAN_CLASSES; spc++) {
        CHECK(mcache_is_closed(c, (uint8_t)spc) || filled(c, (spanclass_t)spc) == 0);
        CHECK_EQ(c->cold[spc].cached, NULL);
    }
}

static void fill_all(struct mcache *c, void *kept[GA_NUM_SPAN_CLASSES]) {
    for (unsigned spc = 2; spc < GA_NUM_SPAN_CLASSES; spc++) {
        kept[spc] = pop(c, (spanclass_t)spc);
        void *p = pop(c, (spanclass_t)spc), *q = pop(c, (spanclass_t)spc);
        CHECK(push(c, (spanclass_t)spc, p) && push(c, (spanclass_t)spc, q));
    }
}

static void test_close_and_open(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    void *kept[GA_NUM_SPAN_CLASSES];
    size_t start = limit(r.c, SCAN);
    fill_all(r.c, kept);
    mcache_close(r.c);
    check_empty(r.c);
    for (unsigned spc = 2; spc < GA_NUM_SPAN_CLASSES; spc++) {
        CHECK(mcache_is_closed(r.c, (uint8_t)spc));
        CHECK_EQ(pop(r.c, (spanclass_t)spc), NULL);
        CHECK(!push(r.c, (spanclass_t)spc, kept[spc]));
        CHECK(live(r.c, kept[spc]));
        CHECK_EQ(slots_out(r.h, (spanclass_t)spc), 1);
    }
    CHECK_HEAP(r.h);
    mcache_open(r.c);
    CHECK_EQ(limit(r.c, SCAN), start);
    for (unsigned spc = 2; spc < GA_NUM_SPAN_CLASSES; spc++)
        CHECK(push(r.c, (spanclass_t)spc, kept[spc]));
    mcache_release_all(r.c);
    check_empty(r.c);
    for (unsigned spc = 2; spc < GA_NUM_SPAN_CLASSES; spc++) {
        CHECK_EQ(slots_out(r.h, (spanclass_t)spc), 0);
        CHECK(pop(r.c, (spanclass_t)spc) != NULL); /* it stays usable */
    }
    rig_close(&r);
}

/* The memory of a cache that ended serves the next, and what it counted stays counted. */
static void test_free_and_new(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    void *kept[GA_NUM_SPAN_CLASSES];
    fill_all(r.c, kept);
    uint64_t nmalloc = mcache_nmalloc(r.c, SCAN);
    CHECK_EQ(nmalloc, 3);
    struct mcache *old = r.c;
    mcache_free(r.c);
    CHECK_EQ(r.h->caches->ncaches, 0);
    CHECK_EQ(r.h->caches->retired_nmalloc[SCAN], nmalloc);
    r.c = mcache_new(r.h, MCACHE_HEAP, r.h->central);
    CHECK_EQ(r.c, old);
    check_empty(r.c);
    CHECK_EQ(mcache_nmalloc(r.c, SCAN), 0);
    for (unsigned spc = 2; spc < GA_NUM_SPAN_CLASSES; spc++)
        CHECK(push(r.c, (spanclass_t)spc, kept[spc]));
    rig_close(&r);
}

/* ---- sampling ------------------------------------------------------------------------------- */

/* At a rate of one byte every block is a sample, whether it came from the store or from a
 * refill. */
static void test_every_block_is_sampled(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    r.h->caches->sample_rate = 1;
    struct mcache *c = mcache_new(r.h, MCACHE_HEAP, r.h->central);
    for (uint64_t i = 1; i < 3000; i++) {
        CHECK(pop(c, SCAN) != NULL);
        CHECK_EQ(c->sampler.hits, i);
    }
    mcache_close(c);
    CHECK_EQ(pop(c, SCAN), NULL);
    CHECK_EQ(c->sampler.hits, 2999); /* what is not handed out is not sampled */
    rig_close(&r);
}

/* In a forked child only the forking thread's cache is in use; whoever was at a gate is gone. */
static void test_after_fork(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_THREAD);
    struct mcache *lost = mcache_new(r.h, MCACHE_THREAD, r.h->central);
    struct mcache *interp = mcache_new(r.h, MCACHE_INTERP, r.h->central);
    void *p = pop(lost, NOSCAN), *q = pop(interp, SCAN);
    world_stop(r.h);
    atomic_store(&lost->busy, 1);
    atomic_store(&interp->busy, 1);
    world_start(r.h);
    mcaches_after_fork(r.h, r.c);
    CHECK_EQ(r.h->caches->ncaches, 2);
    CHECK_EQ(atomic_load(&interp->busy), 0); /* or stopping again would wait forever */
    CHECK(live(r.c, p) && push(r.c, NOSCAN, p));
    CHECK(push(interp, SCAN, q));
    rig_close(&r);
}

int main(void) {
    test_push_once();
    test_shared_marks_at_once();
    test_batches_grow();
    test_fresh_slots_rise();
    test_limit_grows();
    test_overflow_gives_the_coldest();
    test_kinds();
    test_close_and_open();
    test_free_and_new();
    test_every_block_is_sampled();
    test_after_fork();
    return check_summary();
}

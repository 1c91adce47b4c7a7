/* Which free pages go back, in what order, and how the memory limit is kept.  larger pages: */
#include "blocks.h"
#include "kernel.h"

#include <string.h>
#include <sys/mman.h>

/* ---- order, against the slow way ------------------------------------------------------------- */

enum { NRUNS = 24, MAX_PAGES = 300 }; /* of the kind that go back together */

struct runs {
    struct rig rig;
    uintptr_t start[NRUNS];
    size_t npages[NRUNS];
    bool kept[NRUNS][MAX_PAGES];
};

/* Free runs of random lengths, some of their pages given back, a page in use between each two. */
static void lay(struct runs *r, struct rng *rng) {
    struct mspan *run[NRUNS], *between[NRUNS];
    size_t unit = rig_unit(), per_unit = unit / GA_PAGE_SIZE;
    memset(r, 0, sizeof *r);
    r->rig = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    struct mheap *h = r->rig.h;
    for (unsigned i = 0; i < NRUNS; i++) {
        r->npages[i] = 1 + rng_next(rng) % (i % 3 == 0 ? 4 : MAX_PAGES);
        run[i] = mheap_alloc_manual(h, r->npages[i] * per_unit);
        between[i] = mheap_alloc_manual(h, per_unit);
        r->start[i] = run[i]->start_addr;
        CHECK(between[i] != NULL);
    }
    mheap_free_os_memory(h); /* the rest behind them is no run of ours */
    for (unsigned i = 0; i < NRUNS; i++)
        mheap_free(h, run[i]);
    for (unsigned i = 0; i < NRUNS; i++) {
        bool any = false;
        for (size_t page = 0; page < r->npages[i]; page++)
            any |= r->kept[i][page] = rng_next(rng) % 4 != 0;
        if (!any || i % 5 == 0)
            memset(r->kept[i], true, r->npages[i]);
        else
            r->kept[i][0] = true; /* a run that is all back has another key: not by this door */
        for (size_t page = 0; page < r->npages[i]; page++)
            if (!r->kept[i][page]) {
                arena_set_released(&h->map, r->start[i] + page * unit, per_unit, true);
                h->released += unit;
            }
    }
    CHECK_HEAP(h);
}

/* The run whose turn it is: the longest, of equal ones the highest; NRUNS: none has kept pages. */
static unsigned model_next(const struct runs *r) {
    unsigned best = NRUNS;
    for (unsigned i = 0; i < NRUNS; i++) {
        bool any = false;
        for (size_t page = 0; page < r->npages[i]; page++)
            any |= r->kept[i][page];
        if (any && (best == NRUNS || r->npages[i] > r->npages[best] ||
                    (r->npages[i] == r->npages[best] && r->start[i] > r->start[best])))
            best = i;
    }
    return best;
}

/* The highest stretch of kept pages of a run, at most max of them; returns how many. */
static size_t model_give(struct runs *r, unsigned i, size_t max) {
    size_t page = r->npages[i], n = 0;
    while (!r->kept[i][page - 1])
        page--;
    for (; page > 0 && n < max && r->kept[i][page - 1]; page--, n++)
        r->kept[i][page - 1] = false;
    return n;
}

static void compare(const struct runs *r) {
    size_t unit = rig_unit(), per_unit = unit / GA_PAGE_SIZE;
    for (unsigned i = 0; i < NRUNS; i++)
        for (size_t page = 0; page < r->npages[i]; page++)
            CHECK_EQ(arena_count_released(&r->rig.h->map, r->start[i] + page * unit, per_unit),
                     r->kept[i][page] ? 0 : per_unit);
}

static void test_biggest_and_highest_first(struct rng *rng) {
    static struct runs r;
    lay(&r, rng);
    struct mheap *h = r.rig.h;
    mheap_scavenge_tick(h);
    for (;;) {
        size_t ask = 1 + rng_next(rng) % 100;
        unsigned i = model_next(&r);
        size_t expected = i == NRUNS ? 0 : model_give(&r, i, ask);
        CHECK_EQ(mheap_scavenge(h, ask * rig_unit()), expected * rig_unit());
        compare(&r);
        CHECK_HEAP(h);
        if (expected == 0)
            break;
    }
    CHECK_EQ(h->free.npages << GA_PAGE_SHIFT, h->released);
    CHECK(h->scavenge.over);
    rig_close(&r.rig);
}

/* Bytes that are backed. */
static uint64_t backed(const struct mheap *h) { return h->mapped - h->released; }

/* A run that does not fit goes back when the heap would else take more than ever before, and only
 * then. */
static void test_what_is_kept_makes_no_peak(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    struct mheap *h = r.h;
    size_t n = 4 * GA_TOP_KEPT_PAGES, per_unit = rig_unit() / GA_PAGE_SIZE;
    struct mspan *run = mheap_alloc_manual(h, n), *fence = mheap_alloc_manual(h, per_unit);
    mheap_free(h, run);
    uint64_t before = backed(h), top = h->scavenge.top;
    struct mspan *more = mheap_alloc_manual(h, 2 * n);
    CHECK_EQ(h->scavenge.bytes, n << GA_PAGE_SHIFT);
    CHECK_EQ(backed(h), before + (n << GA_PAGE_SHIFT));
    CHECK(h->scavenge.top > top);
    CHECK_HEAP(h);
    mheap_free(h, more);
    mheap_free_os_memory(h);

    run = mheap_alloc_manual(h, n / 2); /* the same again, with room below that peak */
    struct mspan *fence2 = mheap_alloc_manual(h, per_unit);
    mheap_free(h, run);
    before = backed(h), top = h->scavenge.top;
    more = mheap_alloc_manual(h, n);
    CHECK_EQ(h->scavenge.bytes, n << GA_PAGE_SHIFT);
    CHECK_EQ(backed(h), before + (n << GA_PAGE_SHIFT));
    CHECK_EQ(h->scavenge.top, top);
    CHECK_HEAP(h);
    mheap_free(h, more);
    mheap_free(h, fence);
    mheap_free(h, fence2);
    rig_close(&r);
}

/* A program that needs a run and one of twice its size by turns has both after a while, and no
 * longer faults in what it gave back a moment ago. */
static void test_turns_come_to_an_end(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    struct mheap *h = r.h;
    size_t n = 4 * GA_TOP_KEPT_PAGES, per_unit = rig_unit() / GA_PAGE_SIZE;
    struct mspan *runs[2] = {mheap_alloc_manual(h, n), NULL};
    struct mspan *fences[2] = {mheap_alloc_manual(h, per_unit), NULL};
    mheap_free(h, runs[0]);
    runs[1] = mheap_alloc_manual(h, 2 * n);
    fences[1] = mheap_alloc_manual(h, per_unit);
    mheap_free(h, runs[1]);
    unsigned last = 0; /* turn that gave something back */
    for (unsigned turn = 1; turn <= 8 * GA_TOP_YIELD; turn++) {
        uint64_t given = h->scavenge.bytes;
        mheap_free(h, mheap_alloc_manual(h, n << turn % 2));
        if (h->scavenge.bytes != given)
            last = turn;
    }
    CHECK(last > 2 && last <= 4 * GA_TOP_YIELD);
    CHECK_HEAP(h);
    mheap_free(h, fences[0]);
    mheap_free(h, fences[1]);
    rig_close(&r);
}

/* What the system refuses stays, harms nothing, and is tried again in the next tick. */
static void test_refused(struct rng *rng) {
    for (uint64_t k = 1; k < 40; k++) {
        static struct runs r;
        lay(&r, rng);
        struct mheap *h = r.rig.h;
        uint64_t kept = (h->free.npages << GA_PAGE_SHIFT) - h->released, given = 0;
        mheap_scavenge_tick(h);
        rig_fail(&r.rig, k, k % 4 == 0);
        for (size_t n; (n = mheap_scavenge(h, GA_SCAVENGE_CHUNK)) != 0;)
            given += n;
        bool failed = atomic_load(&h->os.ncalls) >= atomic_load(&h->os.fail_at);
        CHECK_EQ(given < kept, failed);
        CHECK_EQ((h->free.npages << GA_PAGE_SHIFT) - h->released, kept - given);
        CHECK_HEAP(h);
        rig_fail(&r.rig, 0, false);
        CHECK_EQ(mheap_scavenge(h, GA_SCAVENGE_CHUNK), 0); /* not in this tick */
        mheap_scavenge_tick(h);
        for (size_t n; (n = mheap_scavenge(h, GA_SCAVENGE_CHUNK)) != 0;)
            given += n;
        CHECK_EQ(given, kept);
        CHECK_EQ(h->scavenge.bytes, kept);
        CHECK_HEAP(h);
        rig_close(&r.rig);
    }
}

/* ---- goal ----------------------------------------------------------------------------------- */

/* Against the history of all ticks: the most in use during any of the last delay's. */
static void test_goal(struct rng *rng) {
    enum { TICKS = 300, NSPANS = 50 };
    static uint64_t peak[TICKS];
    struct mspan *span[NSPANS] = {NULL};
    size_t per_unit = rig_unit() / GA_PAGE_SIZE;
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    mheap_scavenge_tick(r.h); /* before the first one nothing is looked for */
    for (unsigned tick = 0; tick < TICKS; tick++) {
        unsigned calm = tick % 60 >= 30;
        peak[tick] = r.h->pages_manual;
        for (unsigned op = rng_next(rng) % (calm ? 2 : 40); op > 0; op--) {
            struct mspan **s = &span[rng_next(rng) % NSPANS];
            if (*s != NULL)
                mheap_free(r.h, *s);
            size_t n = (1 + rng_next(rng) % 60) * per_unit;
            *s = *s != NULL || calm ? NULL : mheap_alloc_manual(r.h, n);
            peak[tick] = ga_max(peak[tick], r.h->pages_manual);
        }
        uint64_t goal = 0;
        for (unsigned i = 0; i <= GA_SCAVENGE_TICKS && i <= tick; i++)
            goal = ga_max(goal, peak[tick - i]);
        uint64_t have = (r.h->mapped - r.h->released) >> GA_PAGE_SHIFT;
        CHECK_EQ(mheap_scavenge_surplus(r.h), have > goal ? (have - goal) << GA_PAGE_SHIFT : 0);
        if (rng_next(rng) % 8 == 0) /* now and then it is given */
            for (size_t n, given = 1; given != 0 && (n = mheap_scavenge_surplus(r.h)) != 0;) {
                given = mheap_scavenge(r.h, n);
                CHECK(given != 0);
            }
        mheap_scavenge_tick(r.h);
    }
    for (unsigned i = 0; i < NSPANS; i++)
        if (span[i] != NULL)
            mheap_free(r.h, span[i]);
    rig_close(&r);
}

/* ---- memory limit --------------------------------------------------------------------------- */

static uint64_t ready(struct mheap *h) {
    mutex_lock(&h->lock);
    uint64_t n = mheap_ready_bytes_locked(h);
    mutex_unlock(&h->lock);
    return n;
}

/* As sys - heap_released - inuse_released of memstats. */
static void check_ready(struct mheap *h) {
    struct memstats m;
    inspect_memstats(h, &m);
    CHECK_EQ(ready(h), m.sys - m.heap_released - m.inuse_released);
}

enum { NBLOCKS = 1500 };

static size_t limit_size(int i) {
    return i % 20 == 0 ? 40 * GA_KIB + (size_t)i * 90 : 16 + (size_t)i % 900;
}

/* Random allocations around the limit: none fails, and above it nothing that is free is kept. */
static void test_limit(enum arena_layout layout, struct rng *rng) {
    static struct block block[NBLOCKS];
    memset(block, 0, sizeof block);
    struct rig r = rig_open(layout, MCACHE_HEAP);
    uint64_t limit = ready(r.h) + 3 * GA_MIB;
    CHECK_EQ(mheap_set_memory_limit(r.h, limit), UINT64_MAX);
    CHECK(!mheap_is_tight(r.h));
    bool over = false, was_tight = false, loose_again = false;
    for (int step = 0; step < 40000; step++) {
        int i = (int)(rng_next(rng) % NBLOCKS);
        struct block *b = &block[i];
        bool grows = step / 5000 % 2 == 0, with_it = rng_next(rng) % 10 != 0;
        if (b->p != NULL && grows != with_it) {
            CHECK(block_holds(b, b->size));
            CHECK_EQ(ga_free(r.h, r.c, b->p), MISUSE_NONE);
            b->p = NULL;
        } else if (b->p == NULL && grows == with_it) {
            b->size = limit_size(i);
            b->p = ga_malloc(r.h, r.c, b->size, false);
            CHECK(b->p != NULL);
            block_fill(b, (uint32_t)step);
        }
        CHECK(ready(r.h) <= limit || rig_kept(r.h) == 0);
        bool tight = mheap_is_tight(r.h);
        over |= ready(r.h) > limit;
        loose_again |= was_tight && !tight;
        was_tight |= tight;
        CHECK(tight || ready(r.h) <= limit);
        if (step % 2000 == 0) {
            CHECK_HEAP(r.h);
            check_ready(r.h);
            check_memstats_slow(r.h);
        }
    }
    CHECK(over); /* else this has tested nothing */
    CHECK(was_tight);
    if (os_page_size() <= GA_PAGE_SIZE) /* of larger ones hardly any is free between the blocks */
        CHECK(loose_again);
    for (int i = 0; i < NBLOCKS; i++)
        if (block[i].p != NULL)
            CHECK_EQ(ga_free(r.h, r.c, block[i].p), MISUSE_NONE);
    CHECK_EQ(mheap_set_memory_limit(r.h, UINT64_MAX), limit);
    CHECK(!mheap_is_tight(r.h));
    rig_close(&r);
}

/* Set below what is taken already, down to nothing at all: what is free goes at once, all works
 * on. */
static void test_set_low(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    void *p = ga_malloc(r.h, r.c, 5 * GA_MIB, true), *q = ga_malloc(r.h, r.c, 3 * GA_MIB, true);
    CHECK_EQ(ga_free(r.h, r.c, p), MISUSE_NONE);
    uint64_t some = ready(r.h) - 2 * GA_MIB;
    mheap_set_memory_limit(r.h, some);
    CHECK(ready(r.h) <= some && rig_kept(r.h) != 0); /* no more than is asked for */
    for (uint64_t limit = 0; limit < 300; limit += 99) {
        mheap_set_memory_limit(r.h, limit);
        CHECK_EQ(rig_kept(r.h), 0);
        CHECK(mheap_is_tight(r.h));
        CHECK((p = ga_malloc(r.h, r.c, 100, false)) != NULL);
        CHECK_EQ(ga_free(r.h, r.c, p), MISUSE_NONE);
        CHECK((p = ga_malloc(r.h, r.c, GA_MIB, false)) != NULL);
        CHECK_EQ(ga_free(r.h, r.c, p), MISUSE_NONE);
        CHECK_EQ(rig_kept(r.h), 0);
    }
    CHECK_EQ(ga_free(r.h, r.c, q), MISUSE_NONE);
    mheap_set_memory_limit(r.h, GA_MIB * 100);
    CHECK(!mheap_is_tight(r.h));
    rig_close(&r);
}

/* Tight, a central keeps no idle span, and a cache no more than what it hands out at once. */
static void test_tight_keeps_nothing(void) {
    enum { N = 4000 };
    static void *p[N];
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    for (int i = 0; i < N; i++)
        p[i] = ga_malloc(r.h, r.c, 1000, false);
    for (int i = 0; i < N / 2; i++)
        CHECK_EQ(ga_free(r.h, r.c, p[i]), MISUSE_NONE);
    unsigned spc = make_spanclass(size_to_class(1000), false);
    CHECK(r.c->top[spc][-1].granule != 0);
    CHECK(r.h->central[spc].nonempty[0].length != 0);
    mheap_set_memory_limit(r.h, 1);
    CHECK(ga_malloc(r.h, r.c, 20, false) != NULL); /* a slow path of any class */
    mcache_obey(r.c);
    CHECK(r.c->top[spc][-1].granule == 0); /* no slots */
    for (int i = N / 2; i < N; i++)
        CHECK_EQ(ga_free(r.h, r.c, p[i]), MISUSE_NONE);
    mcache_age(r.c);
    CHECK(r.c->top[spc][-1].granule == 0); /* no slots */
    mcentral_release_idle(r.h, &r.h->central[spc], SIZE_MAX);
    CHECK_EQ(mcentral_nspans(&r.h->central[spc]), 0);
    CHECK_EQ(rig_kept(r.h), 0);
    rig_close(&r);
}

/* A system that takes nothing back: the limit can't be kept, and nobody waits for it. */
static void test_limit_refused(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    void *p = ga_malloc(r.h, r.c, 5 * GA_MIB, true);
    CHECK_EQ(ga_free(r.h, r.c, p), MISUSE_NONE);
    rig_fail(&r, 1, true);
    mheap_set_memory_limit(r.h, 0);
    CHECK(rig_kept(r.h) != 0);
    CHECK_HEAP(r.h);
    rig_fail(&r, 0, false);
    mheap_set_memory_limit(r.h, 0);
    CHECK_EQ(rig_kept(r.h), 0);
    rig_close(&r);
}

/* ---- populating ----------------------------------------------------------------------------- */

static bool is_backed(uintptr_t page) {
    unsigned char there = 0;
    CHECK_EQ(mincore((void *)page, os_page_size(), &there), 0);
    return there & 1;
}

/* A page that nobody may write stops the system: what it has backed by then and is not in use
 * counts as given back, and must be. */
static void test_populated_half_way(void) {
    if (!kernel_is_real() || os_page_size() > GA_PAGE_SIZE) /* larger ones come by faults only */
        return;
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    struct mheap *h = r.h;
    spanclass_t spc = make_spanclass(size_to_class(64), false);
    struct mspan *first = mheap_alloc(h, spc, false, false);
    uintptr_t begin = mspan_end(first), wall = begin + 3 * GA_PAGE_SIZE;
    CHECK_EQ(arena_released_from(&h->map, begin, 4), 4);
    CHECK_EQ(mprotect((void *)wall, os_page_size(), PROT_NONE), 0);
    struct mspan *s = mheap_alloc(h, spc, false, true);
    CHECK_EQ(s->start_addr, begin);
    CHECK_EQ(mprotect((void *)wall, os_page_size(), PROT_READ | PROT_WRITE), 0);
    for (uintptr_t page = mspan_end(s); page < wall; page += os_page_size())
        CHECK(!is_backed(page));
    CHECK_EQ(arena_released_from(&h->map, mspan_end(s), 3), 3);
    mheap_free(h, first);
    mheap_free(h, s);
    rig_close(&r);
}

int main(void) {
    struct rng rng;
    rng_seed(&rng, check_seed());
    for (int i = 0; i < 8; i++)
        test_biggest_and_highest_first(&rng);
    test_refused(&rng);
    test_goal(&rng);
    test_limit(LAYOUT_SPARSE, &rng);
    test_limit(LAYOUT_LINEAR, &rng);
    test_what_is_kept_makes_no_peak();
    test_turns_come_to_an_end();
    test_set_low();
    test_tight_keeps_nothing();
    test_limit_refused();
    test_populated_half_way();
    return check_summary();
}

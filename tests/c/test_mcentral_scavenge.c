/* What a central gives back: idle spans when they age, and vacant pages inside the others, but for
 * systems whose pages are larger than the heap's.  larger pages: */
#include "blocks.h"

#include <string.h>

enum { MAX_SLOTS = GA_MAX_SLOTS_PER_SPAN, LONG_AGO = 100 };

static bool vacant_pages; /* can they go back? */

/* One full span of a central, its slots written to. */
struct one {
    struct rig rig;
    struct mcentral *mc;
    struct mspan *s;
    void *slot[MAX_SLOTS];
    bool out[MAX_SLOTS];
};

static void fill_slot(const struct one *t, unsigned i) {
    memset(t->slot[i], 1 + (int)(i % 255), t->s->elemsize);
}

static void one_open(struct one *t, unsigned index) {
    struct mspan *cached = NULL;
    memset(t, 0, sizeof *t);
    t->rig = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    t->mc = &t->rig.h->central[index];
    CHECK_EQ(mcentral_take(t->rig.h, t->mc, t->rig.c, &cached, 1, t->slot), 1);
    t->s = cached;
    size_t n = cached->nelems;
    CHECK_EQ(mcentral_take(t->rig.h, t->mc, t->rig.c, &cached, n - 1, t->slot + 1), n - 1);
    mcentral_uncache_span(t->rig.h, &cached);
    for (unsigned i = 0; i < n; i++) {
        t->out[i] = true;
        fill_slot(t, i);
    }
}

static void put(struct one *t, unsigned i) {
    CHECK(t->out[i]);
    t->out[i] = false;
    mcentral_put(t->rig.h, &t->slot[i], 1);
}

/* Takes the slots that the span hands out next; they may be others than were put. */
static void take(struct one *t, unsigned n) {
    struct mspan *cached = NULL;
    void *got[MAX_SLOTS];
    CHECK_EQ(mcentral_take(t->rig.h, t->mc, t->rig.c, &cached, n, got), n);
    for (unsigned k = 0; k < n; k++) {
        unsigned i = mspan_objindex(t->s, (uintptr_t)got[k] - t->s->start_addr);
        CHECK(got[k] == t->slot[i] && !t->out[i]);
        t->out[i] = true;
        fill_slot(t, i);
    }
    mcentral_uncache_span(t->rig.h, &cached);
}

static void check_slots(const struct one *t) {
    for (unsigned i = 0; i < t->s->nelems; i++)
        if (t->out[i])
            for (size_t at = 0; at < t->s->elemsize; at += 7)
                CHECK_EQ(((unsigned char *)t->slot[i])[at], 1 + i % 255);
}

static void one_close(struct one *t) {
    for (unsigned i = 0; t->s != NULL && i < t->s->nelems; i++)
        if (t->out[i])
            put(t, i);
    mcentral_release_idle(t->rig.h, t->mc, SIZE_MAX);
    CHECK_EQ(t->rig.h->pages_in_use, 0);
    CHECK_EQ(atomic_load(&t->rig.h->inuse_released), 0);
    rig_close(&t->rig);
}

static uint64_t sweep(struct one *t, uint8_t min_age) {
    uint64_t given = 0;
    mcentral_sweep_begin(t->mc);
    while (mcentral_sweep_step(t->rig.h, t->mc, min_age, &given))
        continue;
    CHECK_EQ(t->mc->sweep, NULL);
    return given;
}

/* The slow way: a page is vacant if no byte of it belongs to a slot that is out.  A larger one is
 * not the span's alone. */
static uint32_t vacant(const struct one *t) {
    size_t os_page = os_page_size();
    uint32_t mask = 0;
    for (unsigned page = 0; os_page <= GA_PAGE_SIZE && page * os_page < mspan_bytes(t->s); page++) {
        bool any = false;
        for (unsigned i = 0; i < t->s->nelems; i++) {
            size_t from = i * t->s->elemsize, to = from + t->s->elemsize;
            any |= t->out[i] && from < (page + 1) * os_page && to > page * os_page;
        }
        mask |= (uint32_t)!any << page;
    }
    return mask;
}

/* The counters of pages, by walking.  (Slots that no cache has handed out count as live.) */
static void check_counters(struct mheap *h) {
    struct memstats fast, slow;
    inspect_memstats(h, &fast);
    inspect_memstats_slow(h, &slow);
    CHECK_EQ(fast.inuse_released, slow.inuse_released);
    CHECK_EQ(fast.heap_released, slow.heap_released);
    CHECK_EQ(fast.heap_inuse, slow.heap_inuse);
    CHECK_EQ(fast.heap_idle, slow.heap_idle);
}

static void check_released(const struct one *t) {
    uint64_t nbytes = ga_popcount64(t->s->os_released) * os_page_size();
    CHECK_EQ(atomic_load(&t->rig.h->inuse_released), nbytes);
    for (unsigned page = 0; page < 24; page++) /* they read as zero */
        if (t->s->os_released >> page & 1)
            for (size_t at = 0; at < os_page_size(); at += 64)
                CHECK_EQ(*((char *)t->s->start_addr + page * os_page_size() + at), 0);
    check_slots(t);
    check_counters(t->rig.h);
}

/* ---- vacant pages --------------------------------------------------------------------------- */

/* Random sets of slots go back and are taken again, in every class and in tiny spans. */
static void test_against_model(struct rng *rng) {
    static struct one t;
    for (unsigned index = 2; index < GA_NUM_CENTRALS; index++) {
        one_open(&t, index);
        unsigned n = t.s->nelems;
        if (n < 2) { /* it has one slot: it is full or idle */
            one_close(&t);
            continue;
        }
        for (int turn = 0; turn < 6; turn++) {
            unsigned from = rng_next(rng) % n, to = from + 1 + rng_next(rng) % (n - from), nout = 0;
            for (unsigned i = 0; i < n; i++)
                nout += t.out[i];
            for (unsigned i = from; i < to && nout > 1; i++)
                if (t.out[i]) {
                    put(&t, i);
                    nout--;
                }
            uint32_t before = t.s->os_released;
            t.mc->tick += LONG_AGO;
            uint64_t given = sweep(&t, LONG_AGO);
            /* What has room for less than a page is not looked at: its waste behind the last
             * slot. */
            if ((n - nout) * t.s->elemsize >= os_page_size())
                CHECK_EQ(t.s->os_released, vacant(&t));
            CHECK_EQ(given, (ga_popcount64(t.s->os_released) - ga_popcount64(before)) *
                                os_page_size());
            check_released(&t);
            CHECK_EQ(sweep(&t, LONG_AGO), 0); /* it was all */
            if (n > nout)
                take(&t, 1 + rng_next(rng) % (n - nout));
            CHECK_EQ(t.s->os_released & ~vacant(&t), 0);
            check_released(&t);
        }
        one_close(&t);
    }
}

static const unsigned SPC = 2 * 16; /* one page of the heap, slots that do not divide it */

/* A slot on the border of two pages of the system holds both. */
static void test_borders(void) {
    static struct one t;
    one_open(&t, SPC);
    size_t os_page = os_page_size();
    unsigned border = (unsigned)(os_page / t.s->elemsize);
    if (os_page * 2 != mspan_bytes(t.s) || os_page % t.s->elemsize == 0) {
        one_close(&t); /* this system's pages have no such border */
        return;
    }
    for (unsigned i = 0; i < t.s->nelems; i++)
        if (i != border)
            put(&t, i);
    CHECK_EQ(sweep(&t, 0), 0);
    CHECK_EQ(t.s->os_released, 0);
    take(&t, 1); /* where the lap begins: the first one */
    put(&t, border);
    CHECK_EQ(t.out[0], true);
    CHECK_EQ(sweep(&t, 0), os_page);
    CHECK_EQ(t.s->os_released, 2);
    mspan_refill_alloc_cache(t.s); /* or the border would wait for the next lap */
    take(&t, border); /* the last of them lies on both */
    CHECK(t.out[border]);
    CHECK_EQ(t.s->os_released, 0);
    check_released(&t);
    one_close(&t);
}

/* Only what was not touched for a while: a slot that goes or comes begins the time anew. */
static void test_age(void) {
    static struct one t;
    one_open(&t, SPC);
    for (unsigned i = 1; i < t.s->nelems; i++)
        put(&t, i);
    for (uint8_t tick = 1; tick < 5; tick++) {
        mcentral_age(t.rig.h, t.mc, tick);
        CHECK_EQ(sweep(&t, 5), 0);
    }
    take(&t, 1);
    for (uint8_t tick = 5; tick < 9; tick++) {
        mcentral_age(t.rig.h, t.mc, tick);
        CHECK_EQ(sweep(&t, 5), 0);
    }
    mcentral_age(t.rig.h, t.mc, 9);
    CHECK_EQ(sweep(&t, 5) > 0, vacant_pages);
    one_close(&t);
}

/* A span that becomes idle with pages given back is freed with them: whole pages of the heap stay
 * given back, half ones count as kept. */
static void test_freed_while_released(void) {
    for (unsigned index = 2; index < GA_NUM_CENTRALS; index++) {
        static struct one t;
        one_open(&t, index);
        unsigned n = t.s->nelems, last = n / 2;
        if (n < 3) {
            one_close(&t);
            continue;
        }
        for (unsigned i = 0; i < n; i++)
            if (i != last)
                put(&t, i);
        sweep(&t, 0);
        uint64_t before = t.rig.h->released, whole = 0;
        size_t per_page = GA_PAGE_SIZE / os_page_size();
        for (unsigned page = 0; vacant_pages && page < t.s->npages; page++) {
            uint32_t bits = t.s->os_released >> page * per_page & ((1u << per_page) - 1);
            whole += bits == (1u << per_page) - 1;
        }
        uintptr_t start = t.s->start_addr;
        size_t npages = t.s->npages;
        put(&t, last);
        mcentral_release_idle(t.rig.h, t.mc, SIZE_MAX);
        t.s = NULL;
        CHECK_EQ(atomic_load(&t.rig.h->inuse_released), 0);
        CHECK_EQ(t.rig.h->released - before, whole << GA_PAGE_SHIFT);
        CHECK_EQ(arena_count_released(&t.rig.h->map, start, npages), whole);
        check_counters(t.rig.h);
        CHECK_HEAP(t.rig.h);
        mheap_free_os_memory(t.rig.h);
        CHECK_EQ(t.rig.h->released, t.rig.h->mapped);
        one_close(&t);
    }
}

/* What the system does not take stays as it is, and goes the next time. */
static void test_refused(void) {
    for (uint64_t k = 1; k < 6; k++) {
        static struct one t;
        unsigned largest = GA_NUM_SPAN_CLASSES - 4; /* spans of many pages */
        one_open(&t, largest);
        for (unsigned i = 0; i < t.s->nelems; i += 2)
            put(&t, i);
        uint32_t all = vacant(&t);
        rig_fail(&t.rig, k, k % 2 == 0);
        uint64_t given = sweep(&t, 0);
        CHECK_EQ(given, ga_popcount64(t.s->os_released) * os_page_size());
        CHECK_EQ(t.s->os_released & ~all, 0);
        CHECK_EQ(t.s->os_released == all, atomic_load(&t.rig.h->os.ncalls) <
                                              atomic_load(&t.rig.h->os.fail_at));
        rig_fail(&t.rig, 0, false);
        check_released(&t);
        sweep(&t, 0);
        CHECK_EQ(t.s->os_released, all);
        check_released(&t);
        one_close(&t);
    }
}

/* n slots, none of whose spans stays with the cache. */
static size_t take_all(struct rig *r, struct mcentral *mc, void **slot, size_t n) {
    struct mspan *cached = NULL;
    for (size_t done = 0; done < n;)
        done += mcentral_take(r->h, mc, r->c, &cached, n - done, slot + done);
    mcentral_uncache_span(r->h, &cached);
    return n;
}

/* A walk goes on, however the span that it has come to moves from list to list. */
static void test_walk_while_spans_move(struct rng *rng) {
    enum { NSPANS = 300 };
    static void *slot[NSPANS * 8];
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    struct mcentral *mc = &r.h->central[make_spanclass(size_to_class(1024), false)];
    size_t n = take_all(&r, mc, slot, NSPANS * 8);
    for (size_t i = 0; i < n; i++) /* the last of each stays out for good */
        if (i % 8 < 5)
            mcentral_put(r.h, &slot[i], 1);
    uint64_t given = 0;
    for (int turn = 0; turn < 20; turn++) {
        mcentral_sweep_begin(mc);
        do {
            for (int op = 0; op < 20; op++) { /* slots 0 to 4 are in: 5 and 6 come and go */
                struct mspan *none = NULL;
                size_t i = rng_next(rng) % NSPANS * 8 + 5 + rng_next(rng) % 2;
                if (slot[i] != NULL)
                    mcentral_put(r.h, &slot[i], 1);
                slot[i] = NULL;
                if (rng_next(rng) % 2)
                    CHECK_EQ(mcentral_take(r.h, mc, r.c, &none, 1, &slot[i]), 1);
                mcentral_uncache_span(r.h, &none);
            }
            check_counters(r.h);
        } while (mcentral_sweep_step(r.h, mc, 0, &given));
    }
    CHECK_EQ(given > 0, vacant_pages);
    check_counters(r.h);
    for (size_t i = 0; i < n; i++)
        if (i % 8 >= 5 && slot[i] != NULL)
            mcentral_put(r.h, &slot[i], 1);
    mcentral_release_idle(r.h, mc, SIZE_MAX);
    CHECK_EQ(r.h->pages_in_use, 0);
    rig_close(&r);
}

/* ---- idle spans ----------------------------------------------------------------------------- */

/* Of the idle spans as many go at a tick as were never needed since the last one. */
static void test_idle_spans_age(void) {
    enum { NSPANS = 6 };
    static void *slot[NSPANS * 8];
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    struct mcentral *mc = &r.h->central[make_spanclass(size_to_class(1024), false)];
    size_t n = take_all(&r, mc, slot, NSPANS * 8);
    struct mspan *cached = NULL;
    mcentral_age(r.h, mc, 1);
    mcentral_put(r.h, slot, n);
    CHECK_EQ(mc->nonempty[0].length, NSPANS);
    mcentral_age(r.h, mc, 2); /* they were needed a moment ago */
    CHECK_EQ(mc->nonempty[0].length, NSPANS);
    n = mcentral_take(r.h, mc, r.c, &cached, 16, slot); /* two are used for a moment */
    mcentral_put(r.h, slot, n);
    mcentral_uncache_span(r.h, &cached);
    CHECK_EQ(mc->nonempty[0].length, NSPANS);
    mcentral_age(r.h, mc, 3);
    CHECK_EQ(mc->nonempty[0].length, 2);
    mcentral_age(r.h, mc, 4);
    CHECK_EQ(mcentral_nspans(mc), 0);
    CHECK_EQ(r.h->pages_in_use, 0);
    rig_close(&r);
}

int main(void) {
    struct rng rng;
    vacant_pages = os_page_size() <= GA_PAGE_SIZE;
    rng_seed(&rng, check_seed());
    for (int i = 0; i < 5; i++)
        test_against_model(&rng);
    test_borders();
    test_age();
    test_freed_while_released();
    test_refused();
    test_walk_while_spans_move(&rng);
    test_idle_spans_age();
    return check_summary();
}

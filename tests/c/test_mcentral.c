/* A central: where its spans stand while slots go out and come back. */
#include "mcentral.h"

#include "rig.h"

#define SPC make_spanclass(size_to_class(1024), false) /* few slots per span */

static size_t nelems(spanclass_t spc) {
    unsigned sizeclass = spanclass_sizeclass(spc);
    return (class_to_allocnpages[sizeclass] << GA_PAGE_SHIFT) / class_to_size[sizeclass];
}

static void check_lists(const struct mcentral *mc, size_t nonempty, size_t empty, size_t nidle) {
    CHECK_EQ(mcentral_nspans(mc) - mc->empty.length, nonempty);
    CHECK_EQ(mc->empty.length, empty);
    CHECK_EQ(mc->nonempty[0].length, nidle);
}

static void test_take_and_put(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    struct mcentral *mc = &r.h->central[SPC];
    struct mspan *cached = NULL;
    void *out[64];
    size_t n = nelems(SPC);
    CHECK_EQ(mcentral_take(r.h, mc, r.c, &cached, 3, out), 3);
    CHECK_EQ(mc->taken, 3);
    struct mspan *s = cached;
    CHECK(s != NULL && s->cached == r.c && s->central == mc);
    check_lists(mc, 0, 1, 0);
    for (size_t i = 0; i < 3; i++) /* in address order */
        CHECK_EQ(out[i], s->start_addr + i * s->elemsize);

    /* The rest of it; for one more the heap would have to grow, and it does that only for a
     * first. */
    CHECK_EQ(mcentral_take(r.h, mc, r.c, &cached, 64, out + 3), n - 3);
    CHECK_EQ(cached, NULL);
    CHECK_EQ(s->cached, NULL);
    check_lists(mc, 0, 1, 0);

    mcentral_put(r.h, out, 1); /* it has room again */
    check_lists(mc, 1, 0, 0);
    CHECK_EQ(mcentral_take(r.h, mc, r.c, &cached, 64, out), 1);
    CHECK_EQ(cached, NULL);
    check_lists(mc, 0, 1, 0);
    mcentral_put(r.h, out, n); /* all of it */
    check_lists(mc, 1, 0, 1);
    CHECK_EQ(s->alloc_count, 0);
    CHECK_EQ(mc->taken, 0);
    mcentral_release_idle(r.h, mc, SIZE_MAX);
    check_lists(mc, 0, 0, 0);
    CHECK_EQ(r.h->pages_in_use, 0);
    rig_close(&r);
}

/* A cached span stays with its cache, however many of its slots come back. */
static void test_cached_span_stays(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    struct mcentral *mc = &r.h->central[SPC];
    struct mspan *cached = NULL, *none = NULL;
    void *out[4];
    CHECK_EQ(mcentral_take(r.h, mc, r.c, &cached, 4, out), 4);
    mcentral_put(r.h, out, 4);
    check_lists(mc, 0, 1, 0);
    CHECK_EQ(mcentral_take(r.h, mc, r.c, &none, 1, out), 1); /* another cache gets another span */
    CHECK(none != cached);
    mcentral_put(r.h, out, 1);
    mcentral_uncache_span(r.h, &cached);
    mcentral_uncache_span(r.h, &none);
    CHECK(cached == NULL && none == NULL);
    check_lists(mc, 2, 0, 2);
    mcentral_uncache_span(r.h, &none); /* having none is fine */
    rig_close(&r);
}

/* Where a span goes when its cache gives it up: by the slots that are out. */
static void test_uncache(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    struct mcentral *mc = &r.h->central[SPC];
    struct mspan *cached = NULL;
    void *out[64];
    size_t n = nelems(SPC);
    CHECK_EQ(mcentral_take(r.h, mc, r.c, &cached, n, out), n); /* full, and still cached */
    CHECK(cached != NULL);
    mcentral_uncache_span(r.h, &cached);
    check_lists(mc, 0, 1, 0);
    mcentral_put(r.h, out, n);
    CHECK_EQ(mcentral_take(r.h, mc, r.c, &cached, 1, out), 1);
    check_lists(mc, 0, 1, 0); /* the idle one was taken first */
    mcentral_uncache_span(r.h, &cached);
    check_lists(mc, 1, 0, 0);
    mcentral_put(r.h, out, 1);
    check_lists(mc, 1, 0, 1);
    rig_close(&r);
}

/* Idle spans are kept up to GA_CENTRAL_KEEP_BYTES, but at least one; the next go to the heap.  So
 * does the only one of a coarse class. */
static void test_hysteresis(void) {
    static void *out[20000];
    for (unsigned spc = 2; spc < GA_NUM_SPAN_CLASSES; spc++) {
        struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
        struct mcentral *mc = &r.h->central[spc];
        size_t span_bytes = (size_t)class_to_allocnpages[spc >> 1] << GA_PAGE_SHIFT;
        size_t keep = ga_max(GA_CENTRAL_KEEP_BYTES / span_bytes, 1), n = nelems((spanclass_t)spc);
        size_t total = 0, nspans = keep + 3;
        struct mspan *cached = NULL;
        for (size_t i = 0; i < nspans; i++)
            total += mcentral_take(r.h, mc, r.c, &cached, n, out + total);
        mcentral_uncache_span(r.h, &cached);
        CHECK_EQ(total, n * nspans);
        CHECK_EQ(r.h->pages_in_use << GA_PAGE_SHIFT, nspans * span_bytes);
        for (size_t i = 0; i < nspans; i++) {
            mcentral_put(r.h, out + i * n, n);
            CHECK_EQ(mc->nonempty[0].length, ga_min(i + 1, keep));
        }
        CHECK_EQ(r.h->pages_in_use << GA_PAGE_SHIFT, keep * span_bytes);
        CHECK_EQ(mcentral_take(r.h, mc, r.c, &cached, 1, out), 1); /* from one that was kept */
        CHECK_EQ(mc->nonempty[0].length, keep - 1);
        CHECK_EQ(r.h->pages_in_use << GA_PAGE_SHIFT, keep * span_bytes);
        mcentral_put(r.h, out, 1);
        mcentral_uncache_span(r.h, &cached);
        if (keep != 1 || class_to_size[spc >> 1] <= GA_COARSE_BYTES)
            CHECK_EQ(mc->nonempty[0].length, keep);
        mcentral_release_idle(r.h, mc, SIZE_MAX);
        CHECK_EQ(r.h->pages_in_use, 0);
        CHECK_EQ(mc->nonempty[0].length, 0);
        rig_close(&r);
    }
}

/* Packing: of spans with room the fullest is handed out first, an idle one last. */
static void test_the_fullest_first(void) {
    enum { NSPANS = 5, NSLOTS = 64 };
    static void *slot[NSPANS][NSLOTS];
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    spanclass_t spc = make_spanclass(size_to_class(128), false);
    struct mcentral *mc = &r.h->central[spc];
    struct mspan *cached[NSPANS] = {NULL}, *span[NSPANS];
    /* far enough apart for lists of their own */
    const size_t back[NSPANS] = {20, 50, NSLOTS, 10, 40};
    const unsigned order[NSPANS] = {3, 0, 4, 1, 2};
    CHECK_EQ(nelems(spc), NSLOTS);
    for (unsigned i = 0; i < NSPANS; i++) {
        CHECK_EQ(mcentral_take(r.h, mc, r.c, &cached[i], NSLOTS, slot[i]), NSLOTS);
        span[i] = cached[i];
        mcentral_uncache_span(r.h, &cached[i]);
    }
    for (unsigned i = 0; i < NSPANS; i++)
        mcentral_put(r.h, slot[i], back[i]);
    for (unsigned k = 0; k < NSPANS; k++) {
        void **out = slot[order[k]]; /* those in front are in */
        CHECK_EQ(mcentral_take(r.h, mc, r.c, &cached[k], 1, out), 1);
        CHECK_EQ(cached[k], span[order[k]]);
        mcentral_put(r.h, out, 1); /* it stays with its cache */
    }
    for (unsigned i = 0; i < NSPANS; i++) {
        mcentral_uncache_span(r.h, &cached[i]);
        mcentral_put(r.h, slot[i] + back[i], NSLOTS - back[i]);
    }
    check_lists(mc, NSPANS, 0, NSPANS);
    rig_close(&r);
}

/* Slots of several centrals in one put, in any order. */
static void test_mixed_put(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    struct mspan *cached[GA_NUM_CENTRALS] = {NULL};
    void *out[3 * GA_NUM_CENTRALS];
    size_t n = 0;
    for (unsigned round = 1; round <= 3; round++)
        for (unsigned i = 2; i < GA_NUM_CENTRALS; i++)
            if (round <= nelems(r.h->central[i].spanclass)) /* all from one span */
                n += mcentral_take(r.h, &r.h->central[i], r.c, &cached[i], 1, out + n);
    CHECK(n > 2 * GA_NUM_CENTRALS);
    for (unsigned i = 2; i < GA_NUM_CENTRALS; i++)
        CHECK_EQ(cached[i]->alloc_count, ga_min(3, cached[i]->nelems));
    mcentral_put(r.h, out, n);
    for (unsigned i = 2; i < GA_NUM_CENTRALS; i++) {
        CHECK_EQ(cached[i]->alloc_count, 0);
        CHECK_EQ(cached[i]->central, &r.h->central[i]);
        CHECK_EQ(cached[i]->tiny_parts != NULL, i == GA_TINY_CENTRAL);
        mcentral_uncache_span(r.h, &cached[i]);
        unsigned sizeclass = spanclass_sizeclass(r.h->central[i].spanclass);
        bool kept = class_to_size[sizeclass] <= GA_COARSE_BYTES; /* the only one of its class */
        check_lists(&r.h->central[i], kept, 0, kept);
    }
    mcentral_put(r.h, out, 0);
    rig_close(&r);
}

/* A span never leaves its set. */
static void test_sets(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    struct mcentral *other = mcentral_new_set(r.h);
    struct mspan *cached = NULL;
    void *out[4];
    CHECK(other != NULL && (uintptr_t)other % GA_CACHE_LINE == 0);
    CHECK_EQ(r.h->central_sets, other);
    CHECK_EQ(other->next_set, r.h->central);
    CHECK_EQ(mcentral_take(r.h, &other[SPC], r.c, &cached, 4, out), 4);
    mcentral_uncache_span(r.h, &cached);
    mcentral_put(r.h, out, 4);
    check_lists(&other[SPC], 1, 0, 1);
    check_lists(&r.h->central[SPC], 0, 0, 0);
    mcentral_release_idle(r.h, &other[SPC], SIZE_MAX);
    rig_close(&r);
}

static void test_out_of_memory(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    struct mcentral *mc = &r.h->central[SPC];
    struct mspan *cached = NULL;
    void *out[4];
    rig_fail(&r, 1, true);
    CHECK_EQ(mcentral_take(r.h, mc, r.c, &cached, 4, out), 0);
    CHECK_EQ(cached, NULL);
    check_lists(mc, 0, 0, 0);
    rig_fail(&r, 0, false);
    CHECK_EQ(mcentral_take(r.h, mc, r.c, &cached, 4, out), 4);
    mcentral_put(r.h, out, 4);
    mcentral_uncache_span(r.h, &cached);
    rig_close(&r);
}

int main(void) {
    test_take_and_put();
    test_cached_span_stays();
    test_uncache();
    test_hysteresis();
    test_the_fullest_first();
    test_mixed_put();
    test_sets();
    test_out_of_memory();
    return check_summary();
}

/* What a cache gives back when it ages, and how it comes into use again. */
#include "blocks.h"

enum { SIZE = 512, N = 60, SPC = 2 * 25 + 1 }; /* noscan; test_shape says that it is SIZE's */

static void *block[N];

static void alloc(struct rig *r, unsigned n) {
    for (unsigned i = 0; i < n; i++)
        CHECK((block[i] = ga_malloc(r->h, r->c, SIZE, true)) != NULL);
}

static void free_them(struct rig *r, unsigned n) {
    for (unsigned i = 0; i < n; i++)
        CHECK_EQ(ga_free(r->h, r->c, block[i]), MISUSE_NONE);
}

/* No slots and no room, wherever its ends point. */
static bool store_is_empty_and_full(const struct mcache *c, unsigned spc) {
    return c->top[spc] == c->limit[spc] && c->top[spc][-1].granule == 0;
}
static bool is_shut(const struct rig *r) { return store_is_empty_and_full(r->c, SPC); }
static size_t filled(const struct rig *r) {
    return is_shut(r) ? 0 : (size_t)(r->c->top[SPC] - r->c->cold[SPC].base);
}
static bool is_used(const struct rig *r) { return atomic_load(&r->c->used); }

static void test_shape(void) { CHECK_EQ(make_spanclass(size_to_class(SIZE), true), SPC); }

/* As many slots stay as were handed out since the last time; unused for a whole time, it is
 * shut. */
static void test_store(enum mcache_kind kind) {
    struct rig r = rig_open(LAYOUT_SPARSE, kind);
    alloc(&r, N);
    free_them(&r, N);
    size_t have = filled(&r);
    CHECK(have >= N);
    mcache_age_store(r.c, SPC); /* all were handed out in its life so far */
    CHECK_EQ(filled(&r), N);
    alloc(&r, 20);
    free_them(&r, 20);
    mcache_age_store(r.c, SPC);
    CHECK_EQ(filled(&r), 20);
    CHECK(!is_shut(&r));
    alloc(&r, 3);
    free_them(&r, 2);
    mcache_age_store(r.c, SPC);
    CHECK_EQ(filled(&r), 3);
    mcache_age_store(r.c, SPC);
    CHECK(is_shut(&r) && filled(&r) == 0 && r.c->cold[SPC].cached == NULL);
    mcache_age_store(r.c, SPC); /* shut is shut */
    CHECK(is_shut(&r));
    CHECK_EQ(ga_free(r.h, r.c, block[2]), MISUSE_NONE);
    rig_close(&r);
}

/* Of a coarse class nothing is kept, not even a span, until enough were asked for; then as of any
 * other, until the store is shut again. */
static void test_coarse(enum mcache_kind kind) {
    enum { COARSE = 18432 };
    unsigned spc = make_spanclass(size_to_class(COARSE), true);
    struct rig r = rig_open(LAYOUT_SPARSE, kind);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 4; i < GA_COARSE_SINGLES; i += 4) {
            CHECK_EQ(r.h->pages_in_use, 0);
            void *p = ga_malloc(r.h, r.c, COARSE, true), *q = ga_malloc(r.h, r.c, COARSE, true);
            CHECK(p != NULL && q != NULL && mcache_is_shut(r.c, spc));
            CHECK_EQ(ga_free(r.h, r.c, p), MISUSE_NONE);
            CHECK_EQ(ga_free(r.h, r.c, p), MISUSE_DOUBLE_FREE); /* the span lives on */
            CHECK_EQ(ga_free(r.h, r.c, q), MISUSE_NONE);
            CHECK_EQ(ga_free(r.h, r.c, q), MISUSE_DOUBLE_FREE); /* it does not */
        }
        CHECK_EQ(r.h->pages_in_use, 0);
        void *p[3];
        for (unsigned i = 0; i < 3; i++)
            CHECK((p[i] = ga_malloc(r.h, r.c, COARSE, true)) != NULL);
        for (unsigned i = 0; i < 3; i++)
            CHECK_EQ(ga_free(r.h, r.c, p[i]), MISUSE_NONE);
        CHECK(mcache_waiting(r.c, spc) >= 2); /* after the first of them it was enough */
        mcache_age_store(r.c, spc);
        mcache_age_store(r.c, spc);
        CHECK(mcache_is_shut(r.c, spc));
    }
    CHECK_EQ(mcache_nmalloc(r.c, spc), 2 * (GA_COARSE_SINGLES / 2 + 1));
    rig_close(&r);
}

/* It gives the coldest: what was freed last is handed out again. */
static void test_the_warm_ones_stay(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    alloc(&r, N);
    mcache_age_store(r.c, SPC);
    void *again = ga_malloc(r.h, r.c, SIZE, true);
    free_them(&r, N);
    CHECK_EQ(ga_free(r.h, r.c, again), MISUSE_NONE);
    mcache_age_store(r.c, SPC);
    CHECK_EQ(filled(&r), 1);
    CHECK_EQ(ga_malloc(r.h, r.c, SIZE, true), again);
    CHECK_EQ(ga_free(r.h, r.c, again), MISUSE_NONE);
    rig_close(&r);
}

/* A shut store opens by whichever comes first. */
static void test_reopens(bool by_free) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    void *first = ga_malloc(r.h, r.c, SIZE, true);
    for (int turn = 0; turn < 5; turn++) {
        mcache_age_store(r.c, SPC);
        mcache_age_store(r.c, SPC);
        CHECK(is_shut(&r));
        if (by_free) {
            CHECK_EQ(ga_free(r.h, r.c, first), MISUSE_NONE);
            CHECK_EQ(filled(&r), 1);
            CHECK_EQ(ga_free(r.h, r.c, first), MISUSE_DOUBLE_FREE);
            CHECK_EQ(ga_malloc(r.h, r.c, SIZE, true), first);
        } else {
            void *second = ga_malloc(r.h, r.c, SIZE, true);
            CHECK(second != NULL && second != first);
            CHECK_EQ(ga_free(r.h, r.c, second), MISUSE_NONE);
        }
        CHECK(!is_shut(&r));
        CHECK_HEAP(r.h);
        check_memstats_slow(r.h);
    }
    CHECK_EQ(ga_free(r.h, r.c, first), MISUSE_NONE);
    rig_close(&r);
}

/* All of it, whatever class; how many are handed out is known through it all. */
static void test_whole_cache(enum mcache_kind kind) {
    static void *p[2000];
    struct rig r = rig_open(LAYOUT_SPARSE, kind);
    struct memstats m;
    void *stack[8];
    for (int turn = 1; turn < 4; turn++) {
        for (int i = 0; i < 2000; i++)
            p[i] = ga_malloc(r.h, r.c, 1 + (size_t)i * 17 % 3000, kind != MCACHE_INTERP);
        for (int i = 0; i < 8; i++)
            stack[i] = stack_alloc(r.h, &r.c->stackcache, GA_STACK_MIN);
        for (int i = 0; i < 8; i++)
            CHECK(stack_free(r.h, &r.c->stackcache, stack[i], GA_STACK_MIN));
        for (int i = 0; i < 2000; i++)
            CHECK_EQ(ga_free(r.h, r.c, p[i]), MISUSE_NONE);
        CHECK(is_used(&r));
        mcache_age(r.c);
        CHECK_HEAP(r.h);
        check_memstats_slow(r.h);
        mcache_age(r.c);
        mcache_age(r.c);
        CHECK(!is_used(&r));
        CHECK_EQ(r.c->tiny.nslots, 0);
        CHECK_EQ(r.c->tiny.block, 0);
        for (unsigned order = 0; order < GA_STACK_ORDERS; order++)
            CHECK_EQ(r.c->stackcache.order[order].nbytes, 0);
        inspect_memstats(r.h, &m);
        CHECK_EQ(m.mallocs, (uint64_t)turn * 2000);
        CHECK_EQ(m.frees, (uint64_t)turn * 2000);
        CHECK_EQ(r.h->pages_manual, 0);
        check_memstats_slow(r.h);
    }
    for (unsigned i = 0; i < GA_NUM_CENTRALS; i++)
        mcentral_release_idle(r.h, &r.h->central[i], SIZE_MAX);
    CHECK_EQ(r.h->pages_in_use, 0);
    rig_close(&r);
}

/* A closed cache has nothing and stays closed. */
static void test_closed(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    alloc(&r, N);
    mcache_close(r.c);
    mcache_age(r.c);
    mcache_age(r.c);
    CHECK(mcache_is_closed(r.c, (uint8_t)SPC));
    CHECK_EQ(ga_malloc(r.h, r.c, SIZE, true), NULL);
    free_them(&r, N);
    mcache_open(r.c);
    alloc(&r, N);
    free_them(&r, N);
    rig_close(&r);
}

/* ---- by others ------------------------------------------------------------------------------ */

static unsigned allowed, held, asked;

static bool hold(struct mcache *c) {
    CHECK_EQ(c->kind, MCACHE_INTERP);
    CHECK_EQ(held, 0);
    asked++;
    if (allowed == 0)
        return false;
    allowed--;
    held++;
    return true;
}

static void let_go(struct mcache *c) {
    (void)c;
    held--;
}

/* Refused at once, half way, or never: then the owner is asked, and obeys in its next slow path. */
static void test_hold_refused(void) {
    for (unsigned times = 0; times < 2 * GA_NUM_SPAN_CLASSES; times += 13) {
        struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_INTERP);
        r.h->caches->hold_interp = hold;
        r.h->caches->let_go_interp = let_go;
        void *p = ga_malloc(r.h, r.c, SIZE, false);
        unsigned scan = make_spanclass(size_to_class(SIZE), false);
        asked = 0;
        for (int tick = 0; tick < 3; tick++) {
            allowed = times;
            mcaches_age(r.h);
            CHECK_EQ(held, 0);
            CHECK_HEAP(r.h);
        }
        bool refused = times < GA_NUM_SPAN_CLASSES;
        CHECK_EQ(atomic_load(&r.c->age_wanted), refused);
        CHECK(!refused || asked == 3 * (times + 1)); /* one no is enough for one tick */
        CHECK_EQ(is_used(&r), refused);
        CHECK_EQ(store_is_empty_and_full(r.c, scan), times >= scan - 1);
        CHECK_EQ(ga_free(r.h, r.c, ga_malloc(r.h, r.c, 4096, false)), MISUSE_NONE); /* slow */
        CHECK(!atomic_load(&r.c->age_wanted));
        CHECK_EQ(ga_free(r.h, r.c, p), MISUSE_NONE);
        rig_close(&r);
    }
}

/* What a pass that was cut short has aged is not aged again by the owner, a moment later. */
static void test_aged_once(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_INTERP);
    r.h->caches->hold_interp = hold;
    r.h->caches->let_go_interp = let_go;
    unsigned scan = make_spanclass(size_to_class(SIZE), false);
    void *p[100];
    for (int i = 0; i < 100; i++)
        p[i] = ga_malloc(r.h, r.c, SIZE, false);
    for (int i = 0; i < 100; i++)
        CHECK_EQ(ga_free(r.h, r.c, p[i]), MISUSE_NONE);
    allowed = scan; /* far enough for this store, not for all */
    mcaches_age(r.h);
    CHECK(atomic_load(&r.c->age_wanted));
    size_t waiting = mcache_waiting(r.c, scan);
    CHECK(waiting >= 100); /* as many as were handed out */
    CHECK_EQ(ga_free(r.h, r.c, ga_malloc(r.h, r.c, 4096, false)), MISUSE_NONE); /* it obeys */
    CHECK(!atomic_load(&r.c->age_wanted));
    CHECK_EQ(mcache_waiting(r.c, scan), waiting);
    rig_close(&r);
}

/* An owner that is at work for long is not waited for. */
static void test_owner_at_work(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_THREAD);
    void *p = ga_malloc(r.h, r.c, SIZE, true);
    mcache_enter(r.c);
    CHECK(mcaches_age(r.h));
    CHECK(atomic_load(&r.c->age_wanted));
    CHECK_EQ(atomic_load(&r.c->gate) & GA_GATE_STOP, 0);
    mcache_leave(r.c);
    mcaches_age(r.h);
    CHECK(!atomic_load(&r.c->age_wanted));
    CHECK_EQ(ga_free(r.h, r.c, p), MISUSE_NONE);
    rig_close(&r);
}

/* Whoever can't be asked says so; the owner of a heap of its own is left alone. */
static void test_nobody_to_ask(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_INTERP);
    struct mcache *own = mcache_new(r.h, MCACHE_HEAP, r.h->central);
    void *p = ga_malloc(r.h, r.c, SIZE, false), *q = ga_malloc(r.h, own, SIZE, false);
    for (int tick = 0; tick < 3; tick++)
        CHECK(mcaches_age(r.h));
    CHECK(atomic_load(&r.c->age_wanted) && !atomic_load(&own->age_wanted));
    CHECK(own->top[make_spanclass(size_to_class(SIZE), false)][-1].granule != 0);
    CHECK_EQ(ga_free(r.h, r.c, p), MISUSE_NONE);
    CHECK_EQ(ga_free(r.h, own, q), MISUSE_NONE);
    rig_close(&r);
}

/* The caches of idle threads, all of them; it says when nothing is left. */
static void test_idle_threads(void) {
    enum { NTHREADS = 20 };
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_THREAD);
    struct mcache *c[NTHREADS];
    for (int i = 0; i < NTHREADS; i++) {
        c[i] = mcache_new(r.h, MCACHE_THREAD, r.h->central);
        void *p[3] = {ga_malloc(r.h, c[i], SIZE, true), ga_malloc(r.h, c[i], 9000, true),
                      ga_malloc(r.h, c[i], 5, true)};
        for (int k = 0; k < 3; k++)
            CHECK_EQ(ga_free(r.h, c[i], p[k]), MISUSE_NONE);
    }
    int ticks = 0;
    while (mcaches_age(r.h))
        CHECK(++ticks < 5);
    CHECK(ticks > 0);
    for (int i = 0; i < NTHREADS; i++) {
        CHECK(!atomic_load(&c[i]->used));
        CHECK_EQ(atomic_load(&c[i]->gate) & GA_GATE_STOP, 0);
        CHECK(store_is_empty_and_full(c[i], SPC));
    }
    for (unsigned i = 0; i < GA_NUM_CENTRALS; i++)
        mcentral_release_idle(r.h, &r.h->central[i], SIZE_MAX);
    CHECK_EQ(r.h->pages_in_use, 0);
    rig_close(&r);
}

int main(void) {
    test_shape();
    test_store(MCACHE_HEAP);
    test_store(MCACHE_THREAD);
    test_store(MCACHE_ORPHAN);
    test_coarse(MCACHE_HEAP);
    test_coarse(MCACHE_THREAD);
    test_the_warm_ones_stay();
    test_reopens(false);
    test_reopens(true);
    test_whole_cache(MCACHE_HEAP);
    test_whole_cache(MCACHE_THREAD);
    test_whole_cache(MCACHE_INTERP);
    test_closed();
    test_hold_refused();
    test_aged_once();
    test_owner_at_work();
    test_nobody_to_ask();
    test_idle_threads();
    return check_summary();
}

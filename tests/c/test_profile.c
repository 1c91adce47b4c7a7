/* profile: against a shadow that counts every block, to the byte where each is sampled and within
 * chance where not; in use, freed, and at the peak; changed rates; no room; and, threads:
 * allocating, freeing each other's blocks, reading and changing the rate at once.
 * larger pages: */
#include "profile.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#include "blocks.h"

/* ---- a program of few call sites ------------------------------------------------------------- */

enum { SITES = 8, DOMAINS = 3, NBLOCKS = 3000 };

static _Thread_local uint32_t site; /* where the program is */

/* Stacks of site + 1 frames. */
static size_t walk(void *ctx, struct locations *l, uint32_t *locs, size_t max, uint32_t *thread) {
    (void)ctx;
    (void)l;
    CHECK_EQ(max, GA_PROFILE_FRAMES_MAX + 1);
    for (uint32_t i = 0; i <= site; i++)
        locs[i] = 100 * site + i;
    *thread = site % 2;
    return site + 1;
}

struct bench {
    struct rig r;
    struct profile profile;
};

static void bench_open(struct bench *b, enum mcache_kind kind, uint64_t rate) {
    b->r = rig_open(LAYOUT_SPARSE, kind);
    CHECK(profile_init(&b->profile, &b->r.h->profile_budget));
    b->profile.walker = (struct profile_walker){walk, walk, NULL};
    b->r.h->profile = &b->profile;
    CHECK_EQ(mcaches_set_sample_rate(b->r.h, rate), 0);
}

static void bench_close(struct bench *b) {
    CHECK_HEAP(b->r.h);
    profile_destroy(&b->profile);
    b->r.h->profile = NULL;
    rig_close(&b->r);
}

static struct profile_copy read_all(struct bench *b) {
    struct profile_copy copy;
    CHECK(profile_read(&b->profile, &b->r.h->specials, true, &copy));
    return copy;
}

static size_t nlive(struct bench *b) {
    struct profile_copy copy = read_all(b);
    size_t n = copy.nblocks;
    profile_copy_free(&b->profile, &copy);
    return n;
}

/* ---- every block ----------------------------------------------------------------------------- */

/* What the profile should say of a site and a domain. */
struct cell {
    uint64_t allocs, frees, bytes_in, bytes_out, inuse_bytes, peak_bytes;
};

struct live {
    void *p;
    size_t usable;
    uint32_t site, domain;
};

struct world {
    struct bench b;
    struct rng rng;
    struct live live[NBLOCKS];
    struct cell cell[SITES][DOMAINS];
    uint64_t inuse, most;
};

static void note_peak(struct world *w) {
    w->most = w->inuse;
    for (unsigned i = 0; i < SITES; i++)
        for (unsigned domain = 0; domain < DOMAINS; domain++)
            w->cell[i][domain].peak_bytes = w->cell[i][domain].inuse_bytes;
}

static void count_malloc(struct world *w, struct live *l) {
    struct cell *c = &w->cell[l->site][l->domain];
    c->allocs++;
    c->bytes_in += l->usable;
    c->inuse_bytes += l->usable;
    w->inuse += l->usable;
    if (w->inuse <= w->most)
        return;
    note_peak(w);
}

static void count_free(struct world *w, const struct live *l) {
    struct cell *c = &w->cell[l->site][l->domain];
    c->frees++;
    c->bytes_out += l->usable;
    c->inuse_bytes -= l->usable;
    w->inuse -= l->usable;
}

static size_t usable_of(struct world *w, void *p) {
    enum misuse why;
    return ga_usable_size(w->b.r.h, w->b.r.c, p, &why);
}

static void choose(struct world *w, struct live *l) {
    site = l->site = rng_next(&w->rng) % SITES;
    w->b.r.c->domain = (uint8_t)(l->domain = rng_next(&w->rng) % DOMAINS);
}

static size_t choose_size(struct world *w) {
    return rng_next(&w->rng) % 40 == 0 ? 30000 + rng_next(&w->rng) % (2 * GA_MIB)
                                       : random_size(&w->rng, 2048);
}

static void step(struct world *w) {
    struct rig *r = &w->b.r;
    struct live *l = &w->live[rng_next(&w->rng) % NBLOCKS];
    enum misuse why;
    if (l->p == NULL) {
        choose(w, l);
        l->p = ga_malloc(r->h, r->c, choose_size(w), rng_next(&w->rng) % 2);
        l->usable = usable_of(w, l->p);
        count_malloc(w, l);
    } else if (rng_next(&w->rng) % 4 == 0) {
        struct live was = *l;
        choose(w, l);
        l->p = ga_realloc(r->h, r->c, was.p, choose_size(w), rng_next(&w->rng) % 2, &why);
        CHECK(l->p != NULL && why == MISUSE_NONE);
        l->usable = usable_of(w, l->p);
        if (l->p == was.p && l->usable == was.usable) { /* where it was: no event */
            *l = was;
            return;
        }
        bool large = was.usable > GA_MAX_SMALL_SIZE && l->usable > GA_MAX_SMALL_SIZE;
        if (large) /* grown or moved by pages: the old one is gone before the new one is there */
            count_free(w, &was);
        count_malloc(w, l);
        if (!large)
            count_free(w, &was);
    } else {
        CHECK_EQ(ga_free(r->h, r->c, l->p), MISUSE_NONE);
        l->p = NULL;
        count_free(w, l);
    }
}

static void compare(struct world *w) {
    struct cell seen[SITES][DOMAINS];
    struct profile_copy copy = read_all(&w->b);
    memset(seen, 0, sizeof seen);
    for (uint32_t i = 0; i < copy.nsamples; i++) {
        const struct profile_sample *s = &copy.samples[i];
        const struct profile_stack *stack = profile_stack_at(&w->b.profile, s->stack);
        uint32_t from = stack->n - 1;
        CHECK(from < SITES && s->domain < DOMAINS && s->thread == from % 2 && s->rate == 1);
        for (uint32_t frame = 0; frame < stack->n; frame++)
            CHECK_EQ(stack->locs[frame], 100 * from + frame);
        struct cell *c = &seen[from][s->domain];
        c->allocs += s->allocs;
        c->frees += s->frees;
        c->bytes_in += s->allocs * s->size;
        c->bytes_out += s->frees * s->size;
        c->inuse_bytes += (s->allocs - s->frees) * s->size;
        c->peak_bytes += s->peak * s->size;
    }
    CHECK(memcmp(seen, w->cell, sizeof seen) == 0);
    size_t n = 0;
    for (unsigned i = 0; i < NBLOCKS; i++)
        n += w->live[i].p != NULL;
    CHECK_EQ(copy.nblocks, n);
    for (size_t i = 0; i < copy.nblocks; i++) {
        const struct profile_sample *s = &copy.samples[copy.block_sample[i]];
        CHECK_EQ(s->size, usable_of(w, (void *)copy.blocks[i]));
    }
    struct memstats m;
    inspect_memstats(w->b.r.h, &m);
    CHECK_EQ(m.heap_alloc, w->inuse);
    CHECK_EQ(m.heap_objects, n);
    CHECK(copy.memory == m.buck_hash_sys && copy.dropped == 0 && copy.rate == 1);
    profile_copy_free(&w->b.profile, &copy);
}

static void test_every_block(uint64_t seed) {
    static struct world w;
    memset(&w, 0, sizeof w);
    rng_seed(&w.rng, seed);
    bench_open(&w.b, MCACHE_HEAP, 1);
    for (int i = 0; i < 60000; i++) {
        step(&w);
        if (i % 10000 == 9999) {
            compare(&w);
            CHECK_HEAP(w.b.r.h);
            check_memstats_slow(w.b.r.h);
        }
        if (i == 30000) {
            profile_reset_peak(&w.b.profile);
            note_peak(&w);
            compare(&w);
        }
    }
    for (unsigned i = 0; i < NBLOCKS; i++)
        if (w.live[i].p != NULL) {
            CHECK_EQ(ga_free(w.b.r.h, w.b.r.c, w.live[i].p), MISUSE_NONE);
            w.live[i].p = NULL;
            count_free(&w, &w.live[i]);
        }
    compare(&w);
    bench_close(&w.b);
}

/* ---- some blocks ----------------------------------------------------------------------------- */

/* n blocks of a size: each is sampled with the same chance.  Five standard errors. */
static void test_estimate(uint64_t rate, size_t size, bool noscan, uint64_t n, uint64_t seed) {
    struct bench b;
    bench_open(&b, MCACHE_HEAP, 0);
    rng_seed(&b.r.c->sampler.rng, seed);
    mcaches_set_sample_rate(b.r.h, rate);
    size_t usable = 0;
    for (uint64_t i = 0; i < n; i++) {
        enum misuse why;
        void *p = ga_malloc(b.r.h, b.r.c, size, noscan);
        usable = ga_usable_size(b.r.h, b.r.c, p, &why);
        CHECK_EQ(ga_free(b.r.h, b.r.c, p), MISUSE_NONE);
    }
    struct profile_copy copy = read_all(&b);
    uint64_t allocs = 0;
    for (uint32_t i = 0; i < copy.nsamples; i++) {
        CHECK(copy.samples[i].size == usable && copy.samples[i].rate == rate);
        CHECK_EQ(copy.samples[i].frees, copy.samples[i].allocs);
        allocs += copy.samples[i].allocs;
    }
    double p = -expm1(-(double)usable / (double)rate);
    double error = fabs((double)allocs - (double)n * p);
    CHECK(error <= 5 * sqrt((double)n * p * (1 - p)) + 1e-6 * (double)n);
    if (error > 5 * sqrt((double)n * p * (1 - p)))
        fprintf(stderr, "rate %" PRIu64 ", size %zu: %" PRIu64 " samples of %" PRIu64 "\n", rate,
                size, allocs, n);
    profile_copy_free(&b.profile, &copy);
    bench_close(&b);
}

/* A rate of 0 samples nothing; blocks that have been sampled are followed to their end. */
static void test_rates(uint64_t seed) {
    enum { N = 4000 };
    static const uint64_t rates[] = {1, 0, 700, 1, 30000, 0};
    static void *p[N];
    struct bench b;
    struct rng rng;
    uint64_t every = 0;
    rng_seed(&rng, seed);
    bench_open(&b, MCACHE_HEAP, 0);
    for (unsigned k = 0; k < sizeof rates / sizeof rates[0]; k++) {
        struct memstats before, after;
        size_t had = nlive(&b);
        CHECK_EQ(mcaches_set_sample_rate(b.r.h, rates[k]), k == 0 ? 0 : rates[k - 1]);
        inspect_memstats(b.r.h, &before);
        uint64_t made = 0;
        for (unsigned i = k % 2; i < N; i += 2) {
            if (p[i] != NULL)
                CHECK_EQ(ga_free(b.r.h, b.r.c, p[i]), MISUSE_NONE);
            p[i] = ga_malloc(b.r.h, b.r.c, 16 + rng_next(&rng) % 3000, false);
            made++;
        }
        inspect_memstats(b.r.h, &after);
        /* countdowns were drawn again, counts stay */
        CHECK_EQ(after.mallocs - before.mallocs, made);
        every += rates[k] == 1 ? made : 0;
        if (rates[k] == 0)
            CHECK(nlive(&b) <= had);
        if (rates[k] == 1)
            CHECK(nlive(&b) >= made);
        CHECK_HEAP(b.r.h);
    }
    for (unsigned i = 0; i < N; i++)
        CHECK_EQ(ga_free(b.r.h, b.r.c, p[i]), MISUSE_NONE);
    struct profile_copy copy = read_all(&b);
    uint64_t exact = 0;
    for (uint32_t i = 0; i < copy.nsamples; i++) {
        CHECK_EQ(copy.samples[i].allocs, copy.samples[i].frees);
        exact += copy.samples[i].rate == 1 ? copy.samples[i].allocs : 0;
    }
    CHECK(exact == every && copy.nblocks == 0 && copy.nsamples != 0);
    profile_copy_free(&b.profile, &copy);
    bench_close(&b);
}

/* The rate changes while a thread is on its way to the slow path, its block counted and not yet
 * made. */
static void test_rate_in_between(void) {
    struct bench b;
    struct memstats before, after;
    bench_open(&b, MCACHE_THREAD, 1000);
    spanclass_t spc = make_spanclass(size_to_class(64), true);
    void *first = ga_malloc(b.r.h, b.r.c, 64, true);
    inspect_memstats(b.r.h, &before);
    b.r.c->cold[spc].granted -= (uint64_t)b.r.c->left[spc];
    b.r.c->left[spc] = 0;
    CHECK_EQ(store_pop(b.r.c, spc, true), NULL);
    CHECK_EQ(mcaches_set_sample_rate(b.r.h, 2000), 1000);
    void *second = ga_malloc(b.r.h, b.r.c, 64, true);
    inspect_memstats(b.r.h, &after);
    CHECK_EQ(after.mallocs - before.mallocs, 1);
    CHECK_EQ(ga_free(b.r.h, b.r.c, first), MISUSE_NONE);
    CHECK_EQ(ga_free(b.r.h, b.r.c, second), MISUSE_NONE);
    bench_close(&b);
}

/* ---- no room --------------------------------------------------------------------------------- */

/* What has no room is dropped and counted; the blocks are blocks like any other. */
static void test_cap(void) {
    static void *p[80000];
    uint64_t cap = 10 * os_page_size(); /* it is given by pages of the system */
    size_t n = ga_min(cap / 8, sizeof p / sizeof p[0]);
    struct bench b;
    bench_open(&b, MCACHE_HEAP, 1);
    b.r.h->profile_budget.cap = cap;
    for (size_t i = 0; i < n; i++) {
        site = (uint32_t)(i % SITES);
        p[i] = ga_malloc(b.r.h, b.r.c, 64, false);
    }
    struct profile_copy copy = read_all(&b);
    uint64_t allocs = 0;
    for (uint32_t i = 0; i < copy.nsamples; i++)
        allocs += copy.samples[i].allocs;
    CHECK_EQ(allocs + copy.dropped, n);
    CHECK(copy.dropped != 0 && allocs != 0 && copy.memory <= cap);
    CHECK_EQ(copy.nblocks, allocs);
    profile_copy_free(&b.profile, &copy);
    CHECK_HEAP(b.r.h);
    for (size_t i = 0; i < n; i++)
        CHECK_EQ(ga_free(b.r.h, b.r.c, p[i]), MISUSE_NONE);
    CHECK_EQ(nlive(&b), 0);
    bench_close(&b);
}

/* A large block that can neither grow nor move is still the one that was sampled. */
static void test_failed_realloc(void) {
    struct bench b;
    enum misuse why;
    bench_open(&b, MCACHE_HEAP, 1);
    void *p = ga_malloc(b.r.h, b.r.c, 40000, false),
         *behind = ga_malloc(b.r.h, b.r.c, 40000, false);
    rig_fail(&b.r, 1, true);
    CHECK(ga_realloc(b.r.h, b.r.c, p, 400 * GA_MIB, false, &why) == NULL && why == MISUSE_NONE);
    rig_fail(&b.r, 0, false);
    struct profile_copy copy = read_all(&b);
    CHECK_EQ(copy.nsamples, 1);
    CHECK(copy.samples[0].allocs == 2 && copy.samples[0].frees == 0 && copy.nblocks == 2);
    profile_copy_free(&b.profile, &copy);
    CHECK_EQ(ga_free(b.r.h, b.r.c, p), MISUSE_NONE);
    CHECK_EQ(ga_free(b.r.h, b.r.c, behind), MISUSE_NONE);
    bench_close(&b);
}

/* ---- another allocator's blocks ------------------------------------------------------------- */

static void test_wrapped(void) {
    static struct special_filter filter;
    struct bench b;
    uint32_t bucket;
    bench_open(&b, MCACHE_HEAP, 0);
    struct specials *t = &b.r.h->specials;
    specials_begin_wrapped(t, &filter);
    for (uintptr_t addr = 8; addr <= 800; addr += 8)
        CHECK(profile_malloc(&b.profile, t, addr, SPECIAL_WRAPPED, 100, 2, 1));
    CHECK_EQ(nlive(&b), 100);
    CHECK_HEAP(b.r.h);
    CHECK(profile_free(&b.profile, t, 88, SPECIAL_WRAPPED, &bucket));
    CHECK(!profile_free(&b.profile, t, 88, SPECIAL_WRAPPED, &bucket));
    CHECK(!profile_free(&b.profile, t, 96, SPECIAL_PROFILE, &bucket));
    CHECK_EQ(nlive(&b), 99);
    CHECK(profile_malloc(&b.profile, t, 96, SPECIAL_WRAPPED, 50, 2, 1)); /* the free was not seen */
    CHECK_EQ(nlive(&b), 99);
    CHECK_EQ(b.profile.inuse, 98 * 100 + 50);
    CHECK_HEAP(b.r.h);
    profile_forget(&b.profile, t, SPECIAL_WRAPPED);
    CHECK_EQ(nlive(&b), 0);
    CHECK_EQ(b.profile.inuse, 0);
    CHECK(!profile_malloc(&b.profile, t, 8, SPECIAL_WRAPPED, 100, 2, 1)); /* it comes too late */
    CHECK_EQ(nlive(&b), 0);
    CHECK_EQ(b.profile.inuse, 0);
    bench_close(&b);
}

/* ---- threads --------------------------------------------------------------------------------- */

enum { THREADS = 3, ROUNDS = 15000, SHARED = 256 };

static struct bench shared;
static void *_Atomic slot[SHARED]; /* each thread frees what the others have put here */

static void *work(void *arg) {
    struct mheap *h = shared.r.h;
    struct mcache *c = mcache_new(h, MCACHE_THREAD, h->central);
    struct rng rng;
    rng_seed(&rng, (uintptr_t)arg);
    site = (uint32_t)(uintptr_t)arg % SITES;
    for (int i = 0; i < ROUNDS; i++) {
        size_t size = rng_next(&rng) % 50 == 0 ? 100000 : rng_next(&rng) % 300;
        void *p = atomic_exchange(&slot[rng_next(&rng) % SHARED], ga_malloc(h, c, size, true));
        if (p != NULL && rng_next(&rng) % 8 == 0) {
            enum misuse why;
            p = ga_realloc(h, c, p, rng_next(&rng) % 1000 + 16, true, &why);
            CHECK(p != NULL && why == MISUSE_NONE);
        }
        if (p != NULL)
            CHECK_EQ(ga_free(h, c, p), MISUSE_NONE);
    }
    mcache_free(c);
    return NULL;
}

static void test_threads(uint64_t seed) {
    static const uint64_t rates[] = {1, 100, 5000, 0};
    pthread_t thread[THREADS];
    bench_open(&shared, MCACHE_THREAD, 1);
    for (uintptr_t i = 0; i < THREADS; i++)
        pthread_create(&thread[i], NULL, work, (void *)(seed + i));
    for (int i = 0; i < 40; i++) {
        struct profile_copy copy = read_all(&shared);
        uint64_t inuse = 0;
        for (uint32_t k = 0; k < copy.nsamples; k++)
            inuse += copy.samples[k].allocs - copy.samples[k].frees;
        CHECK_EQ(inuse, copy.nblocks);
        profile_copy_free(&shared.profile, &copy);
        mcaches_set_sample_rate(shared.r.h, rates[i % 4]);
        if (i % 8 == 0) {
            CHECK_HEAP(shared.r.h);
            profile_reset_peak(&shared.profile);
        }
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    for (int i = 0; i < SHARED; i++)
        if (slot[i] != NULL)
            CHECK_EQ(ga_free(shared.r.h, shared.r.c, slot[i]), MISUSE_NONE);
    CHECK_EQ(nlive(&shared), 0);
    CHECK_EQ(shared.profile.inuse, 0);
    bench_close(&shared);
}

int main(void) {
    uint64_t seed = check_seed();
    test_every_block(seed);
    test_estimate(4096, 8, false, 200000, seed + 1);
    test_estimate(4096, 100, false, 200000, seed + 2);
    test_estimate(100, 100, false, 200000, seed + 3);
    test_estimate(GA_SAMPLE_RATE_DEFAULT, 32768, false, 100000, seed + 5);
    test_estimate(100000, 40000, true, 50000, seed + 6);
    test_rates(seed);
    test_rate_in_between();
    test_cap();
    test_failed_realloc();
    test_wrapped();
    test_threads(seed);
    return check_summary();
}

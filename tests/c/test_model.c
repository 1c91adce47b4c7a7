/* Random operations, all entry points together, against a shadow of what must be in memory, while
 * the scavenger works around it and now more, now fewer of the blocks are sampled. */
#include "clock.h"

#include <string.h>

enum { NBLOCKS = 3000, STEPS = 60000, NCACHES = 3 };

struct model {
    struct clocked clock;
    struct rig rig; /* the clock's, with the cache of the moment */
    struct profile profile;
    struct rng rng;
    struct mcache *cache[NCACHES]; /* the program runs now on one, now on another */
    bool noscan_only;
    struct block block[NBLOCKS];
    uint32_t tags;
    void *freed; /* the last block that was freed, while nothing else has been allocated */
};

static bool random_noscan(struct model *m) { return m->noscan_only || rng_next(&m->rng) % 2; }

static void op_alloc(struct model *m, struct block *b) {
    struct rig *r = &m->rig;
    size_t align = (size_t)1 << rng_next(&m->rng) % 14;
    b->size = random_size(&m->rng, rng_next(&m->rng) % 50 == 0 ? GA_MIB : 4096);
    switch (rng_next(&m->rng) % 8) {
    case 0:
        b->p = ga_calloc(r->h, r->c, b->size, 1, random_noscan(m));
        for (size_t i = 0; i < b->size; i = block_next(i, b->size))
            CHECK_EQ(b->p[i], 0);
        break;
    case 1:
        b->p = ga_memalign(r->h, r->c, align, b->size, random_noscan(m));
        CHECK_EQ((uintptr_t)b->p % align, 0);
        break;
    default:
        b->p = ga_malloc(r->h, r->c, b->size, random_noscan(m));
    }
    CHECK(b->p != NULL);
    block_fill(b, m->tags++);
    m->freed = NULL;
}

static void op_free(struct model *m, struct block *b) {
    CHECK(block_holds(b, b->size));
    CHECK_EQ(ga_free(m->rig.h, m->rig.c, b->p), MISUSE_NONE);
    m->freed = b->p;
    b->p = NULL;
}

static void op_realloc(struct model *m, struct block *b) {
    enum misuse why;
    size_t size = random_size(&m->rng, rng_next(&m->rng) % 50 == 0 ? GA_MIB : 4096);
    CHECK(block_holds(b, b->size));
    b->p = ga_realloc(m->rig.h, m->rig.c, b->p, size, random_noscan(m), &why);
    CHECK(b->p != NULL && why == MISUSE_NONE);
    CHECK(block_holds(b, ga_min(b->size, size)));
    b->size = size;
    block_fill(b, m->tags++);
    m->freed = NULL;
}

/* Misuse is found and harms nothing. */
static void op_misuse(struct model *m, const struct block *b) {
    struct rig *r = &m->rig;
    enum misuse why;
    size_t usable = ga_usable_size(r->h, r->c, b->p, &why);
    CHECK(why == MISUSE_NONE && usable >= b->size);
    /* inside a block no other begins, and a part of a block is no more than it */
    if (b->size > 1) {
        void *inner = b->p + 1 + rng_next(&m->rng) % (b->size - 1);
        CHECK(ga_free(r->h, r->c, inner) != MISUSE_NONE);
    }
    if (m->freed != NULL)
        CHECK_EQ(ga_free(r->h, r->c, m->freed), MISUSE_DOUBLE_FREE);
}

static void op_rare(struct model *m) {
    struct rig *r = &m->rig;
    static const uint64_t rates[] = {0, 1, 1000};
    switch (rng_next(&m->rng) % 10) {
    case 0:
        if (rng_next(&m->rng) % 2)
            mheap_free_os_memory(r->h);
        else
            heap_free_os_memory(r->h);
        break;
    case 1:
        mcache_release_all(r->c);
        break;
    case 2:
        mcache_close(r->c); /* what is freed meanwhile goes to the spans */
        for (int i = 0; i < 20; i++) {
            struct block *b = &m->block[rng_next(&m->rng) % NBLOCKS];
            if (b->p != NULL)
                op_free(m, b);
        }
        mcache_open(r->c);
        break;
    case 3:
        check_memstats(r->h);
        check_memstats_slow(r->h);
        break;
    case 4:
        mheap_set_memory_limit(r->h, rng_next(&m->rng) % 3 ? UINT64_MAX
                                                            : random_size(&m->rng, 4 * GA_MIB));
        break;
    case 5: /* for a while the system takes nothing back */
        rig_fail(r, 1 + rng_next(&m->rng) % 3, true);
        clock_pass(&m->clock, CLOCK_TICK);
        rig_fail(r, 0, false);
        break;
    case 6:
        mcache_age(r->c);
        break;
    case 7:
        clock_pass(&m->clock, rng_next(&m->rng) % (20 * CLOCK_TICK));
        break;
    case 8:
        mcaches_set_sample_rate(r->h, rates[rng_next(&m->rng) % 3]);
        break;
    default:
        CHECK_HEAP(r->h);
    }
}

/* Grows and shrinks by turns, so that spans fill up and go back. */
static void step(struct model *m, int at) {
    struct block *b = &m->block[rng_next(&m->rng) % NBLOCKS];
    unsigned dice = rng_next(&m->rng) % 100, phase = (unsigned)(at / (STEPS / 6)) % 2;
    m->rig.c = m->cache[rng_next(&m->rng) % NCACHES];
    if (rng_next(&m->rng) % 300 == 0)
        op_rare(m);
    if (rng_next(&m->rng) % 50 == 0)
        clock_pass(&m->clock, rng_next(&m->rng) % CLOCK_TICK);
    if (b->p == NULL) {
        if (dice < (phase == 0 ? 90 : 30))
            op_alloc(m, b);
    } else if (dice < 15) {
        op_realloc(m, b);
    } else if (dice < 20) {
        op_misuse(m, b);
    } else if (dice < (phase == 0 ? 40 : 90)) {
        op_free(m, b);
    }
}

static void run(enum arena_layout layout, enum mcache_kind kind, uint64_t seed) {
    static struct model m;
    memset(&m, 0, sizeof m);
    rng_seed(&m.rng, seed);
    clock_open(&m.clock, layout, kind);
    m.clock.unchecked = true;
    m.rig = m.clock.rig;
    CHECK(profile_init(&m.profile, &m.rig.h->profile_budget));
    m.rig.h->profile = &m.profile;
    m.noscan_only = kind == MCACHE_THREAD;
    for (int i = 0; i < NCACHES; i++) /* several only where blocks may be freed by others */
        m.cache[i] = i == 0 || kind != MCACHE_THREAD
                         ? m.rig.c
                         : mcache_new(m.rig.h, kind, m.rig.h->central);
    for (int at = 0; at < STEPS; at++)
        step(&m, at);
    CHECK_HEAP(m.rig.h);
    for (int i = 0; i < NBLOCKS; i++)
        if (m.block[i].p != NULL)
            op_free(&m, &m.block[i]);
    if (kind == MCACHE_HEAP) /* its owner's business */
        mcache_release_all(m.rig.c);
    clock_run_out(&m.clock); /* all the rest goes by itself */
    check_memstats_slow(m.rig.h);
    check_all_is_back(m.rig.h);
    CHECK_EQ(m.profile.inuse, 0);
    CHECK(m.profile.buckets.n != 0);
    profile_destroy(&m.profile);
    m.rig.h->profile = NULL;
    rig_close(&m.rig);
}

int main(void) {
    uint64_t seed = check_seed();
    run(LAYOUT_SPARSE, MCACHE_HEAP, seed);
    run(LAYOUT_LINEAR, MCACHE_HEAP, seed + 1);
    run(LAYOUT_SPARSE, MCACHE_THREAD, seed + 2);
    run(LAYOUT_LINEAR, MCACHE_ORPHAN, seed + 3);
    return check_summary();
}

/* Out of memory: whichever call of the system fails, the answer is NULL, nothing that lives is
 * touched, every invariant holds, and when there is memory again all works and adds up. */
#include <string.h>

#include "blocks.h"

enum { NBLOCKS = 150, MAX_K = 2000 };

struct run {
    struct rig rig;
    struct block block[NBLOCKS];
    void *stack[8];
    unsigned nstacks;
    unsigned refused;
};

/* Sizes that between them need every floor: all classes, tiny, large, arenas. */
static size_t size_of(int i) {
    if (i == 61)
        return 70 * GA_MIB; /* another arena, and more than one */
    if (i % 10 == 9)
        return 40000 + (size_t)i * 9000;
    if (i % 10 == 8)
        return 1 + (size_t)i % 15;
    return class_to_size[1 + i % (GA_NUM_SIZE_CLASSES - 1)];
}

static void alloc(struct run *t, int i) {
    struct rig *r = &t->rig;
    struct block *b = &t->block[i];
    enum misuse why;
    b->size = size_of(i);
    switch (i % 4) {
    case 0:
        b->p = ga_calloc(r->h, r->c, b->size, 1, i % 8 == 0);
        break;
    case 1:
        b->p = ga_memalign(r->h, r->c, 4096, b->size, true);
        break;
    default:
        b->p = ga_malloc(r->h, r->c, b->size, i % 8 == 7 || i % 10 == 8);
    }
    t->refused += b->p == NULL;
    if (b->p == NULL)
        return;
    block_fill(b, (uint32_t)i);
    if (i % 3 != 0 || b->size > GA_MIB)
        return;
    unsigned char *q = ga_realloc(r->h, r->c, b->p, 2 * b->size + 1, i % 2, &why);
    CHECK_EQ(why, MISUSE_NONE);
    t->refused += q == NULL;
    CHECK(q != NULL || block_holds(b, b->size)); /* then it is as it was */
    if (q == NULL)
        return;
    b->p = q;
    CHECK(block_holds(b, b->size));
    b->size = 2 * b->size + 1;
    block_fill(b, (uint32_t)i);
}

static void alloc_all(struct run *t) {
    struct rig *r = &t->rig;
    for (int i = 0; i < NBLOCKS; i++) {
        if (t->block[i].p == NULL)
            alloc(t, i);
        if (i % 40 == 20 && t->nstacks < 8) {
            void *p = stack_alloc(r->h, &r->c->stackcache, GA_STACK_MIN);
            t->refused += p == NULL;
            if (p != NULL)
                t->stack[t->nstacks++] = p;
        }
        if (i == 100)
            mheap_free_os_memory(r->h);
    }
}

/* Frees never fail, not even without memory. */
static void free_some(struct run *t, int every) {
    for (int i = 0; i < NBLOCKS; i += every) {
        struct block *b = &t->block[i];
        if (b->p == NULL)
            continue;
        CHECK(block_holds(b, b->size));
        CHECK_EQ(ga_free(t->rig.h, t->rig.c, b->p), MISUSE_NONE);
        b->p = NULL;
    }
}

static void end(struct run *t) {
    struct mheap *h = t->rig.h;
    free_some(t, 1);
    while (t->nstacks > 0)
        CHECK(stack_free(h, &t->rig.c->stackcache, t->stack[--t->nstacks], GA_STACK_MIN));
    mcache_release_all(t->rig.c);
    for (unsigned i = 0; i < GA_NUM_CENTRALS; i++)
        mcentral_release_idle(h, &h->central[i], SIZE_MAX);
    check_memstats(h);
    check_memstats_slow(h);
    CHECK_EQ(h->pages_in_use, 0);
    CHECK_EQ(h->pages_manual, 0);
    CHECK_EQ(h->bitsalloc[0].inuse + h->bitsalloc[1].inuse + h->bitsalloc[2].inuse, 0);
    CHECK_EQ(h->tinyalloc.inuse, 0);
    CHECK_EQ(h->spanalloc.inuse, h->free.nspans * sizeof(struct mspan));
    rig_close(&t->rig);
}

static uint64_t arena_bytes[2]; /* by layout: of one arena's tables, where no call failed */

/* Returns the calls of the system that the run made while one could fail; counts the NULLs. */
static uint64_t run(enum arena_layout layout, uint64_t k, bool all, unsigned *refused) {
    static struct run t;
    memset(&t, 0, sizeof t);
    t.rig = rig_open(layout, MCACHE_HEAP);
    uint64_t before = atomic_load(&t.rig.h->os.ncalls);
    rig_fail(&t.rig, k, all);
    alloc_all(&t);
    free_some(&t, 3);
    uint64_t ncalls = atomic_load(&t.rig.h->os.ncalls) - before;
    CHECK_HEAP(t.rig.h);
    *refused = t.refused;
    rig_fail(&t.rig, 0, false);
    t.refused = 0;
    alloc_all(&t); /* what was refused, and what was freed */
    CHECK_EQ(t.refused, 0);
    CHECK_HEAP(t.rig.h);
    const struct arena_map *m = &t.rig.h->map;
    if (k == 0)
        arena_bytes[layout] = m->meta_bytes / m->nall;
    CHECK_EQ(m->meta_bytes, m->nall * arena_bytes[layout]); /* once, however often it was tried */
    end(&t);
    return ncalls;
}

static void test_every_call(enum arena_layout layout, bool all) {
    unsigned refused, felt = 0;
    uint64_t ncalls = run(layout, 0, false, &refused);
    CHECK_EQ(refused, 0);
    CHECK(ncalls > 20 && ncalls < MAX_K);
    for (uint64_t k = 1; k <= ncalls; k++) {
        run(layout, k, all, &refused);
        felt += refused != 0;
    }
    /* Of single ones many have a way out: another hint, a rest that waits, a page that stays. */
    CHECK(felt >= (all ? ncalls - 2 : 10));
    fprintf(stderr, "%u of %" PRIu64 " calls were missed\n", felt, ncalls);
}

/* A heap that cannot be made leaves nothing behind; a cache neither. */
static void test_new(enum arena_layout layout) {
    for (uint64_t k = 1; k < MAX_K; k++) {
        struct rig r = rig_open(layout, MCACHE_HEAP);
        rig_fail(&r, k, true);
        size_t before = r.h->caches->ncaches;
        struct mcache *c = mcache_new(r.h, MCACHE_INTERP, r.h->central);
        bool enough = c != NULL && mcentral_new_set(r.h) != NULL;
        CHECK_EQ(r.h->caches->ncaches, before + (c != NULL));
        rig_fail(&r, 0, false);
        CHECK((c != NULL || (c = mcache_new(r.h, MCACHE_INTERP, r.h->central)) != NULL));
        CHECK(ga_malloc(r.h, c, 100, false) != NULL);
        rig_close(&r);
        if (enough) {
            CHECK(k > 1);
            return;
        }
    }
    CHECK(false);
}

/* Where even a snapshot cannot be had the heap goes on. */
static void test_snapshot(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    struct snapshot s;
    void *p = ga_malloc(r.h, r.c, 100, false);
    rig_fail(&r, 1, true);
    CHECK(!inspect_snapshot(r.h, &s));
    inspect_snapshot_free(&s);
    rig_fail(&r, 0, false);
    CHECK(inspect_snapshot(r.h, &s));
    CHECK_EQ(s.memstats.heap_objects, 1);
    inspect_snapshot_free(&s);
    CHECK_EQ(ga_free(r.h, r.c, p), MISUSE_NONE);
    rig_close(&r);
}

int main(void) {
    for (int layout = LAYOUT_SPARSE; layout <= LAYOUT_LINEAR; layout++) {
        test_every_call((enum arena_layout)layout, false);
        test_every_call((enum arena_layout)layout, true);
        test_new((enum arena_layout)layout);
    }
    test_snapshot();
    return check_summary();
}

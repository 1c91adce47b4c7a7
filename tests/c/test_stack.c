/* Stacks: pools by order, the caches in front of them, page runs. */
#include "stack.h"

#include <string.h>

#include "rig.h"
#include "rng.h"

static size_t order_bytes(unsigned order) { return GA_STACK_MIN << order; }

static void *alloc(struct rig *r, size_t nbytes) {
    char *p = stack_alloc(r->h, &r->c->stackcache, nbytes);
    CHECK(p != NULL);
    memset(p, 0x5a, nbytes);
    return p;
}

static bool release(struct rig *r, void *p, size_t nbytes) {
    return stack_free(r->h, &r->c->stackcache, p, nbytes);
}

static void check_nothing_left(struct rig *r) {
    stackcache_release(r->h, &r->c->stackcache);
    CHECK_EQ(r->h->pages_manual, 0);
    for (unsigned order = 0; order < GA_STACK_ORDERS; order++) {
        CHECK_EQ(r->h->stacks->pool[order].length, 0);
        CHECK_EQ(r->c->stackcache.order[order].nbytes, 0);
    }
    rig_close(r);
}

static void test_orders(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    for (size_t nbytes = 1; nbytes <= order_bytes(GA_STACK_ORDERS - 1); nbytes += 509) {
        size_t order = 0;
        while (order_bytes((unsigned)order) < nbytes)
            order++;
        char *p = alloc(&r, nbytes);
        const struct mspan *s = arena_span_of(&r.h->map, (uintptr_t)p);
        CHECK_EQ(s->state, MSPAN_MANUAL);
        CHECK_EQ(mspan_bytes(s), GA_STACK_SPAN_SIZE);
        CHECK_EQ(s->elemsize, order_bytes((unsigned)order));
        CHECK_EQ(((uintptr_t)p - s->start_addr) % s->elemsize, 0);
        CHECK(release(&r, p, nbytes));
    }
    check_nothing_left(&r);
}

/* A cache takes and gives back by halves; in between the pool is left alone. */
static void test_cache_halves(void) {
    for (unsigned order = 0; order < GA_STACK_ORDERS; order++) {
        struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
        const size_t *cached = &r.c->stackcache.order[order].nbytes;
        size_t size = order_bytes(order), n = 2 * GA_STACK_CACHE_SIZE / size;
        void *p[2 * GA_STACK_CACHE_SIZE / GA_STACK_MIN];
        p[0] = alloc(&r, size);
        CHECK_EQ(*cached, GA_STACK_CACHE_SIZE / 2);
        for (size_t i = 1; i < n; i++) {
            size_t before = *cached;
            p[i] = alloc(&r, size);
            CHECK_EQ(*cached, before != 0 ? before - size : GA_STACK_CACHE_SIZE / 2);
        }
        CHECK_HEAP(r.h);
        for (size_t i = 0; i < n; i++) {
            size_t before = *cached;
            CHECK(release(&r, p[i], size));
            CHECK_EQ(*cached, before + size <= GA_STACK_CACHE_SIZE ? before + size
                                                                   : GA_STACK_CACHE_SIZE / 2);
        }
        CHECK_EQ(alloc(&r, size), p[n - 1]); /* the last one, warm */
        CHECK(release(&r, p[n - 1], size));
        check_nothing_left(&r);
    }
}

static void test_page_runs(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    size_t sizes[] = {order_bytes(GA_STACK_ORDERS - 1) + 1, 65536, 256 * GA_KIB, GA_MIB + 1};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t npages = ga_align_up(sizes[i], GA_PAGE_SIZE) >> GA_PAGE_SHIFT;
        void *p = alloc(&r, sizes[i]);
        CHECK_EQ(r.h->pages_manual, npages);
        CHECK_EQ(arena_span_of(&r.h->map, (uintptr_t)p)->npages, npages);
        CHECK(release(&r, p, sizes[i]));
        CHECK_EQ(r.h->pages_manual, 0);
    }
    CHECK_EQ(stack_alloc(r.h, &r.c->stackcache, SIZE_MAX), NULL);
    check_nothing_left(&r);
}

static void test_foreign(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    static char elsewhere[32768];
    void *p = ga_malloc(r.h, r.c, 2048, false), *large = ga_malloc(r.h, r.c, 100000, false);
    void *run = alloc(&r, 65536);
    CHECK(release(&r, run, 65536));
    CHECK(!release(&r, run, 65536)); /* free pages by now */
    CHECK(!release(&r, elsewhere, sizeof elsewhere));
    CHECK(!release(&r, p, 2048));
    CHECK(!release(&r, large, 100000));
    CHECK_EQ(ga_free(r.h, r.c, p), MISUSE_NONE);
    CHECK_EQ(ga_free(r.h, r.c, large), MISUSE_NONE);
    /* and a stack is no block */
    p = alloc(&r, 4096);
    CHECK_EQ(ga_free(r.h, r.c, p), MISUSE_UNALLOCATED);
    CHECK(release(&r, p, 4096));
    check_nothing_left(&r);
}

/* Stacks wander from one cache to another, and their counts and contents hold. */
static void test_random(struct rng *rng) {
    enum { N = 200 };
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    struct stackcache other = {0};
    unsigned char *p[N] = {NULL};
    size_t size[N];
    for (int step = 0; step < 20000; step++) {
        unsigned i = rng_next(rng) % N;
        struct stackcache *c = rng_next(rng) % 2 ? &other : &r.c->stackcache;
        if (p[i] == NULL) {
            size[i] = 1 + rng_next(rng) % (1u << (11 + rng_next(rng) % 6));
            p[i] = stack_alloc(r.h, c, size[i]);
            p[i][0] = p[i][size[i] - 1] = (unsigned char)i;
        } else {
            CHECK(p[i][0] == i && p[i][size[i] - 1] == i);
            CHECK(stack_free(r.h, c, p[i], size[i]));
            p[i] = NULL;
        }
        if (step % 2000 == 0)
            CHECK_HEAP(r.h);
    }
    for (int i = 0; i < N; i++)
        if (p[i] != NULL)
            CHECK(release(&r, p[i], size[i]));
    stackcache_release(r.h, &other);
    check_nothing_left(&r);
}

static void test_out_of_memory(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    rig_fail(&r, 1, true);
    CHECK_EQ(stack_alloc(r.h, &r.c->stackcache, 2048), NULL);
    CHECK_EQ(stack_alloc(r.h, &r.c->stackcache, 1 << 20), NULL);
    rig_fail(&r, 0, false);
    CHECK_HEAP(r.h);
    CHECK(release(&r, alloc(&r, 2048), 2048));
    check_nothing_left(&r);
}

int main(void) {
    struct rng rng;
    rng_seed(&rng, check_seed());
    test_orders();
    test_cache_halves();
    test_page_runs();
    test_foreign();
    test_random(&rng);
    test_out_of_memory();
    return check_summary();
}

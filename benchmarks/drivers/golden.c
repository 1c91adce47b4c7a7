/* golden: one call for each way that malloc and free can go, to be counted under callgrind.
 *
 * Before each call the heap is brought into the state in which the call goes that way and no
 * further; callgrind then collects during the call alone and dumps with the name of the tier.  The
 * first tier calls nothing: what it counts belongs to the requests to callgrind.
 * Nothing may be random: the sampler is off, and free runs are too few for the priorities of the
 * treap to matter.  Refills are those of a new cache, whose batches are the smallest. */
#include <valgrind/callgrind.h>

#include "bench.h"
#include "malloc.h"

enum { SIZE = 64, OTHER = 1024, TINY = 8, LARGE = 40000, MANY = 4096 };

/* A heap of its own for each group of tiers, so that none sees what another left behind. */
struct rig {
    struct mheap *h;
    struct mcache *c;
};

static struct mcache *new_cache(struct mheap *h, enum mcache_kind kind) {
    struct mcache *c = mcache_new(h, kind, h->central);
    if (c == NULL)
        bench_fail("mcache_new");
    return c;
}

/* The heap has grown already: system calls are nobody's tier. */
static void rig_open(struct rig *r, enum mcache_kind kind) {
    if ((r->h = heap_new(LAYOUT_SPARSE, 0)) == NULL)
        bench_fail("heap_new");
    r->h->caches->sample_rate = 0;
    r->c = new_cache(r->h, kind);
    if (ga_malloc(r->h, r->c, OTHER, kind != MCACHE_INTERP) == NULL)
        bench_fail("ga_malloc");
}

static void must(enum misuse why) {
    if (why != MISUSE_NONE)
        bench_fail("ga_free");
}

#define COUNTED(tier, call)                                                                        \
    do {                                                                                           \
        CALLGRIND_TOGGLE_COLLECT;                                                                  \
        call;                                                                                      \
        CALLGRIND_TOGGLE_COLLECT;                                                                  \
        CALLGRIND_DUMP_STATS_AT(tier);                                                             \
    } while (0)

static void no_tier(void) { COUNTED("nothing", (void)0); }

static void tiny_tiers(void) {
    struct rig r;
    rig_open(&r, MCACHE_HEAP);
    void *p[3]; /* the first two share a block */
    p[0] = ga_malloc(r.h, r.c, TINY, true);
    COUNTED("tiny malloc: shares a block", p[1] = ga_malloc(r.h, r.c, TINY, true));
    COUNTED("tiny malloc: opens a block", p[2] = ga_malloc(r.h, r.c, TINY, true));
    COUNTED("tiny free: another lives in the block", must(ga_free(r.h, r.c, p[0])));
    COUNTED("tiny free: the last in the block", must(ga_free(r.h, r.c, p[1])));
}

static void store_tiers(void) {
    struct rig r;
    rig_open(&r, MCACHE_INTERP);
    void *p = ga_malloc(r.h, r.c, SIZE, false);
    must(ga_free(r.h, r.c, p));
    COUNTED("obj malloc: from the store", p = ga_malloc(r.h, r.c, SIZE, false));
    COUNTED("obj free: to the store", must(ga_free(r.h, r.c, p)));
    rig_open(&r, MCACHE_THREAD);
    p = ga_malloc(r.h, r.c, SIZE, true);
    must(ga_free(r.h, r.c, p));
    COUNTED("raw malloc: from the store", p = ga_malloc(r.h, r.c, SIZE, true));
    COUNTED("raw free: to the store", must(ga_free(r.h, r.c, p)));
}

/* The store of SIZE has no slot left, or no room. */
static bool store_is_empty(const struct rig *r) {
    return r->c->top[mcache_scan_class(r->c, SIZE)][-1].granule == 0;
}

static bool store_is_full(const struct rig *r) {
    unsigned spc = mcache_scan_class(r->c, SIZE);
    return r->c->top[spc] == r->c->limit[spc];
}

static void refill_tiers(void) {
    struct rig r;
    rig_open(&r, MCACHE_INTERP);
    static void *p[MANY];
    size_t n = 0;
    COUNTED("malloc: refill, a span from the heap", p[n++] = ga_malloc(r.h, r.c, SIZE, false));
    while (!store_is_empty(&r))
        p[n++] = ga_malloc(r.h, r.c, SIZE, false);
    COUNTED("malloc: refill, from the cache's span", p[n++] = ga_malloc(r.h, r.c, SIZE, false));
    for (size_t i = 0; i < n; i++)
        must(ga_free(r.h, r.c, p[i]));
    mcache_free(r.c); /* its span is now the central's, all slots free */
    r.c = new_cache(r.h, MCACHE_INTERP);
    COUNTED("malloc: refill, a span from the central", ga_malloc(r.h, r.c, SIZE, false));
}

/* Every other block only: no span gets empty. */
static void overflow_tier(void) {
    struct rig r;
    rig_open(&r, MCACHE_INTERP);
    static void *p[MANY];
    for (size_t i = 0; i < MANY; i++)
        p[i] = ga_malloc(r.h, r.c, SIZE, false);
    size_t i = 0;
    for (; i < MANY && !store_is_full(&r); i += 2)
        must(ga_free(r.h, r.c, p[i]));
    if (i >= MANY)
        bench_fail("filling a store");
    COUNTED("free: overflow, half a store to its spans", must(ga_free(r.h, r.c, p[i])));
}

static void heap_tiers(void) {
    struct rig r;
    rig_open(&r, MCACHE_INTERP);
    struct mspan *s;
    void *p;
    spanclass_t spc = make_spanclass(size_to_class(SIZE), false);
    COUNTED("page heap: a span of small slots", s = mheap_alloc(r.h, spc, false, false));
    COUNTED("page heap: its free, merged", mheap_free(r.h, s));
    COUNTED("large malloc", p = ga_malloc(r.h, r.c, LARGE, false));
    COUNTED("large free", must(ga_free(r.h, r.c, p)));
}

int main(void) {
    no_tier();
    tiny_tiers();
    store_tiers();
    refill_tiers();
    overflow_tier();
    heap_tiers();
    return 0;
}

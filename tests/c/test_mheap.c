/* The page heap: named cases (before, request, after), and random ones against an array of
 * pages.  larger pages: */
#include "large.h"

#include <string.h>

#include "check.h"
#include "rng.h"

static struct mheap heap;
static size_t unit; /* pages of the heap that go back together: the system's may be larger */

/* Recounts what the treap, the arenas and the counters must agree on. */
static void check_counts(struct mheap *h) {
    uint64_t npages = 0, in_use = 0, manual = 0, free = 0, released = 0;
    treap_check(&h->free);
    for (size_t i = 0; i < h->nallspans; i++) {
        const struct mspan *s = h->allspans[i];
        mspan_check(s);
        in_use += s->state == MSPAN_IN_USE ? s->npages : 0;
        manual += s->state == MSPAN_MANUAL ? s->npages : 0;
        if (s->state != MSPAN_FREE)
            continue;
        free += s->npages;
        size_t n = arena_count_released(&h->map, s->start_addr, s->npages);
        CHECK_EQ(s->scavenged, n == s->npages);
        released += n;
    }
    npages = in_use + manual + free;
    CHECK_EQ(h->mapped, npages << GA_PAGE_SHIFT);
    CHECK_EQ(h->pages_in_use, in_use);
    CHECK_EQ(h->pages_manual, manual);
    CHECK_EQ(h->free.npages, free);
    CHECK_EQ(h->released, released << GA_PAGE_SHIFT);
    for (size_t i = 0; i < h->map.nall; i++) /* pages in use have no released bit */
        for (size_t w = 0; w < GA_PAGES_PER_ARENA / 64; w++)
            released -= ga_popcount64(h->map.all[i]->released[w]);
    CHECK_EQ(released, 0);
}

static struct mspan *alloc(size_t npages) {
    struct mspan *s = mheap_alloc_manual(&heap, npages);
    CHECK(s != NULL && s->npages == npages && s->state == MSPAN_MANUAL);
    check_counts(&heap);
    return s;
}

static void release(struct mspan *s) {
    mheap_free(&heap, s);
    check_counts(&heap);
}

/* Runs side by side, each `scale` times as long as `lengths` say; those with an odd number are
 * free. */
struct row {
    struct mspan *span[16];
    uintptr_t start[16];
    unsigned n;
};

static void lay_scaled(struct row *r, const unsigned *lengths, unsigned n, size_t scale) {
    CHECK(mheap_init(&heap, LAYOUT_SPARSE, 0));
    r->n = n;
    for (unsigned i = 0; i < n; i++) {
        r->span[i] = alloc(lengths[i] * scale);
        r->start[i] = r->span[i]->start_addr;
    }
    for (unsigned i = 1; i < n; i++) /* fresh memory is handed out upwards without gaps */
        CHECK_EQ(r->start[i], r->start[i - 1] + lengths[i - 1] * scale * GA_PAGE_SIZE);
    for (unsigned i = 1; i < n; i += 2)
        release(r->span[i]);
}

static void lay(struct row *r, const unsigned *lengths, unsigned n) {
    lay_scaled(r, lengths, n, 1);
}

/* ---- named cases ---------------------------------------------------------------------------- */

static void test_best_fit(void) {
    struct row r;
    lay(&r, (unsigned[]){1, 9, 1, 4, 1, 6, 1, 4, 1}, 9);
    CHECK_EQ(alloc(4)->start_addr, r.start[3]); /* exact; of two the lower */
    CHECK_EQ(alloc(3)->start_addr, r.start[7]); /* the smallest that fits, its low part */
    CHECK_EQ(alloc(1)->start_addr, r.start[7] + 3 * GA_PAGE_SIZE); /* the rest of it */
    CHECK_EQ(alloc(7)->start_addr, r.start[1]);
    CHECK_EQ(alloc(5)->start_addr, r.start[5]);
    mheap_destroy(&heap);
}

static void test_split(void) {
    struct row r;
    lay(&r, (unsigned[]){1, 10, 1}, 3);
    size_t nspans = heap.free.nspans;
    struct mspan *low = alloc(4);
    CHECK_EQ(low->start_addr, r.start[1]);
    CHECK_EQ(heap.free.nspans, nspans);
    struct mspan *rest = mheap_span_of_locked(&heap, r.start[1] + 4 * GA_PAGE_SIZE);
    CHECK_EQ(rest->start_addr, mspan_end(low));
    CHECK_EQ(rest->npages, 6);
    CHECK_EQ(rest->state, MSPAN_FREE);
    alloc(6); /* nothing is left of it */
    CHECK_EQ(heap.free.nspans, nspans - 1);
    mheap_destroy(&heap);
}

/* Frees the middle of three with neither, one or both neighbours free. */
static void test_coalesce(void) {
    for (unsigned neighbours = 0; neighbours < 4; neighbours++) {
        struct row r;
        lay(&r, (unsigned[]){1, 3, 5, 4, 1}, 5);
        if (!(neighbours & 1))
            CHECK_EQ(alloc(3)->start_addr, r.start[1]);
        if (!(neighbours & 2))
            CHECK_EQ(alloc(4)->start_addr, r.start[3]);
        size_t nspans = heap.free.nspans;
        release(r.span[2]);
        const struct mspan *s = mheap_span_of_locked(&heap, r.start[2] + 2 * GA_PAGE_SIZE);
        CHECK_EQ(s->state, MSPAN_FREE);
        CHECK_EQ(s->start_addr, r.start[neighbours & 1 ? 1 : 2]);
        CHECK_EQ(mspan_end(s), r.start[neighbours & 2 ? 4 : 3]);
        CHECK_EQ(heap.free.nspans, nspans + 1 - ga_popcount64(neighbours));
        mheap_destroy(&heap);
    }
}

static void test_growth(void) {
    CHECK(mheap_init(&heap, LAYOUT_SPARSE, 0));
    CHECK_EQ(heap.mapped, 0);
    uintptr_t first = alloc(1)->start_addr;
    CHECK_EQ(heap.mapped, GA_HEAP_GROW_MIN);
    CHECK_EQ(heap.released, GA_HEAP_GROW_MIN - unit * GA_PAGE_SIZE); /* not used, so not there */
    size_t per_grow = GA_HEAP_GROW_MIN / GA_PAGE_SIZE;
    CHECK_EQ(alloc(per_grow - 1)->start_addr, first + GA_PAGE_SIZE);
    CHECK_EQ(heap.mapped, GA_HEAP_GROW_MIN);
    CHECK_EQ(heap.released, 0);
    alloc(per_grow + 1);
    CHECK_EQ(heap.mapped, 3 * GA_HEAP_GROW_MIN);
    alloc(GA_PAGES_PER_ARENA + 1); /* more than an arena, from a started one */
    mheap_destroy(&heap);
}

static void test_too_large(void) {
    CHECK(mheap_init(&heap, LAYOUT_SPARSE, 0));
    CHECK_EQ(mheap_alloc_manual(&heap, SIZE_MAX >> GA_PAGE_SHIFT), NULL);
    CHECK_EQ(mheap_alloc_manual(&heap, (size_t)UINT32_MAX + 1), NULL);
    check_counts(&heap);
    CHECK_EQ(heap.mapped, 0);
    mheap_destroy(&heap);
}

/* Of equal runs the one whose pages are still there, at whatever address. */
static void test_scavenged_tie_break(void) {
    struct row r;
    lay_scaled(&r, (unsigned[]){1, 5, 1, 5, 1}, 5, unit);
    struct mspan *low = alloc(5 * unit), *high = alloc(5 * unit);
    CHECK_EQ(low->start_addr, r.start[1]);
    CHECK_EQ(high->start_addr, r.start[3]);
    release(low);
    mheap_free_os_memory(&heap);
    release(high);
    CHECK_EQ(alloc(5 * unit)->start_addr, r.start[3]);
    CHECK_EQ(alloc(5 * unit)->start_addr, r.start[1]);
    mheap_destroy(&heap);
}

/* ---- given back to the system --------------------------------------------------------------- */

static bool all_zero(const unsigned char *p, size_t n) {
    while (n > 0 && p[n - 1] == 0)
        n--;
    return n == 0;
}

/* Go's TestPhysicalMemoryUtilization in spirit: what is given back is counted once and is zero
 * when it comes again, and says so. */
static void test_free_os_memory(void) {
    struct row r;
    lay_scaled(&r, (unsigned[]){1, 6, 1, 3, 1}, 5, unit);
    const size_t size = unit * GA_PAGE_SIZE;
    uint64_t fresh = heap.released;
    struct mspan *s = alloc(6 * unit);
    CHECK_EQ(s->needzero, 1);
    memset((void *)s->start_addr, 0x5a, mspan_bytes(s));
    release(s);
    CHECK_EQ(mheap_free_os_memory(&heap), 9 * size);
    check_counts(&heap);
    CHECK_EQ(heap.released, fresh + 9 * size);
    CHECK_EQ(mheap_free_os_memory(&heap), 0);
    s = alloc(6 * unit);
    CHECK_EQ(s->start_addr, r.start[1]);
    CHECK_EQ(s->needzero, 0);
    CHECK(all_zero((void *)s->start_addr, mspan_bytes(s)));
    CHECK_EQ(heap.released, fresh + 3 * size);

    /* half given back, half not: merged it is neither, and gives only its rest */
    memset((void *)s->start_addr, 0x5a, mspan_bytes(s));
    release(s);
    release(r.span[2]);
    struct mspan *merged = mheap_span_of_locked(&heap, r.start[2]);
    CHECK_EQ(merged->npages, 10 * unit);
    CHECK_EQ(merged->scavenged, 0);
    CHECK_EQ(merged->needzero, 1);
    CHECK_EQ(mheap_free_os_memory(&heap), 7 * size);
    CHECK_EQ(merged->scavenged, 1);
    CHECK_EQ(merged->needzero, 0);
    s = alloc(10 * unit);
    CHECK(s->start_addr == r.start[1] && all_zero((void *)s->start_addr, mspan_bytes(s)));
    mheap_destroy(&heap);
}

/* A run that the system does not take back stays as it is. */
static void test_free_os_memory_fails(void) {
    struct row r;
    lay_scaled(&r, (unsigned[]){1, 6, 1, 3, 1}, 5, unit);
    const size_t size = unit * GA_PAGE_SIZE;
    uint64_t released = heap.released;
    atomic_store(&heap.os.fail_at, atomic_load(&heap.os.ncalls) + 1);
    CHECK_EQ(mheap_free_os_memory(&heap), 6 * size); /* the smaller is asked for first */
    check_counts(&heap);
    CHECK_EQ(heap.released, released + 6 * size);
    CHECK_EQ(mheap_free_os_memory(&heap), 3 * size);
    CHECK_EQ(alloc(3 * unit)->needzero, 0);
    mheap_destroy(&heap);
}

/* ---- against an array of pages -------------------------------------------------------------- */

enum { PAGE_USED = 1, PAGE_RELEASED = 2 };

/* What the pages of the heap are, by their number from the first on; only that range is looked
 * at. */
struct model {
    uintptr_t base;
    uint8_t page[8192];
    size_t npages;
};

/* The run that best fit must choose; npages: none. */
static size_t model_find(const struct model *m, size_t want) {
    size_t best = m->npages, best_len = SIZE_MAX, best_scavenged = 2;
    for (size_t i = 0; i < m->npages;) {
        size_t len = 0, nreleased = 0;
        while (i + len < m->npages && !(m->page[i + len] & PAGE_USED))
            nreleased += (m->page[i + len++] & PAGE_RELEASED) != 0;
        size_t scavenged = nreleased == len;
        if (len >= want && (len < best_len || (len == best_len && scavenged < best_scavenged))) {
            best = i;
            best_len = len;
            best_scavenged = scavenged;
        }
        i += len + 1;
    }
    return best;
}

static void model_grow(struct model *m, size_t bytes) {
    size_t npages = bytes >> GA_PAGE_SHIFT;
    CHECK(npages <= sizeof m->page);
    for (; m->npages < npages; m->npages++)
        m->page[m->npages] = PAGE_RELEASED;
}

/* Which free pages are given back: a new peak decides that by rules of its own. */
static void model_look(struct model *m) {
    for (size_t i = 0; i < m->npages; i++)
        if (!(m->page[i] & PAGE_USED))
            m->page[i] = arena_count_released(&heap.map, m->base + (i << GA_PAGE_SHIFT), 1) != 0
                             ? PAGE_RELEASED
                             : 0;
}

/* Those of a run in use, and what is free on the same pages of the system. */
static void model_use(struct model *m, size_t at, size_t n) {
    for (size_t i = ga_align_down(at, unit); i < ga_align_up(at + n, unit); i++)
        m->page[i] &= PAGE_USED;
    memset(m->page + at, PAGE_USED, n);
}

/* All that is free goes back, by whole pages of the system. */
static void model_give_all(struct model *m) {
    for (size_t i = 0; i < m->npages; i += unit)
        if (memchr(m->page + i, PAGE_USED, unit) == NULL)
            memset(m->page + i, PAGE_RELEASED, unit);
}

static struct mspan *model_alloc(struct model *m, struct rng *rng, size_t want) {
    size_t at = model_find(m, want);
    uint64_t given = heap.scavenge.bytes;
    struct mspan *s = rng_next(rng) % 2 ? mheap_alloc_manual(&heap, want)
                                        : large_alloc(&heap, want << GA_PAGE_SHIFT, 1, false);
    CHECK(s != NULL && s->npages == want);
    if (m->base == 0)
        m->base = ga_align_down(s->start_addr, GA_ARENA_SIZE);
    if (at == m->npages) {
        model_grow(m, heap.mapped);
        at = model_find(m, want);
    }
    CHECK_EQ(s->start_addr, m->base + (at << GA_PAGE_SHIFT));
    model_use(m, at, want);
    if (heap.scavenge.bytes != given)
        model_look(m);
    return s;
}

static void give(struct mspan *s) {
    if (s->state == MSPAN_IN_USE)
        large_free(&heap, s);
    else
        mheap_free(&heap, s);
}

static void test_against_model(struct rng *rng) {
    enum { NLIVE = 120 };
    static struct model m;
    struct mspan *live[NLIVE] = {NULL};
    CHECK(mheap_init(&heap, LAYOUT_SPARSE, 0));
    for (int step = 0; step < 4000; step++) {
        struct mspan **s = &live[rng_next(rng) % NLIVE];
        if (*s == NULL) {
            *s = model_alloc(&m, rng, 1 + rng_next(rng) % (1u << rng_next(rng) % 7));
        } else {
            memset(m.page + (((*s)->start_addr - m.base) >> GA_PAGE_SHIFT), 0, (*s)->npages);
            give(*s);
            *s = NULL;
        }
        if (rng_next(rng) % 100 == 0) {
            mheap_free_os_memory(&heap);
            model_give_all(&m);
        }
        check_counts(&heap);
    }
    for (int i = 0; i < NLIVE; i++)
        if (live[i] != NULL)
            give(live[i]);
    check_counts(&heap);
    CHECK_EQ(heap.free.nspans, 1);
    mheap_destroy(&heap);
}

/* The rest of the current arena is made Ready before the next arena is: it must not get lost when
 * that fails, for whichever call of the system. */
static void test_growth_fails(void) {
    bool done = false;
    for (uint64_t k = 1; !done; k++) {
        CHECK(mheap_init(&heap, LAYOUT_SPARSE, 0));
        alloc(1);
        void *behind = os_reserve(&heap.os, (void *)heap.map.cur_end, GA_ARENA_SIZE); /* taken */
        atomic_store(&heap.os.fail_at, atomic_load(&heap.os.ncalls) + k);
        done = mheap_alloc_manual(&heap, GA_PAGES_PER_ARENA) != NULL &&
               atomic_load(&heap.os.ncalls) < atomic_load(&heap.os.fail_at);
        atomic_store(&heap.os.fail_at, 0);
        check_counts(&heap);
        size_t mapped = 0;
        for (size_t i = 0; i < heap.map.nall; i++)
            mapped += heap.map.all[i]->mapped;
        CHECK_EQ(mapped, heap.mapped);
        os_free(&heap.os, behind, GA_ARENA_SIZE);
        mheap_destroy(&heap);
    }
}

/* ---- spans of slots ------------------------------------------------------------------------- */

/* Go's TestPageAccounting in spirit, for every class; the span comes back whole. */
static void test_every_class(void) {
    CHECK(mheap_init(&heap, LAYOUT_SPARSE, 0));
    for (unsigned spc = 2; spc < GA_NUM_SPAN_CLASSES; spc++) {
        struct mspan *s = mheap_alloc(&heap, (spanclass_t)spc, false, spc % 2 == 0);
        unsigned sizeclass = spanclass_sizeclass((spanclass_t)spc);
        CHECK_EQ(heap.pages_in_use, class_to_allocnpages[sizeclass]);
        CHECK_EQ(s->elemsize, class_to_size[sizeclass]);
        CHECK_EQ(s->alloc_count, 0);
        CHECK_EQ(mheap_span_of_heap(&heap, mspan_end(s) - 1), s);
        CHECK_EQ(arena_of(&heap.map, s->start_addr)->pageclass[arena_page(s->start_addr)], spc);
        check_counts(&heap);
        uintptr_t start = s->start_addr;
        release(s);
        CHECK_EQ(heap.pages_in_use, 0);
        CHECK_EQ(mheap_span_of_heap(&heap, start), NULL);
    }
    CHECK_EQ(heap.spanalloc.inuse, sizeof(struct mspan)); /* the one free run */
    CHECK_EQ(heap.bitsalloc[0].inuse + heap.bitsalloc[1].inuse + heap.bitsalloc[2].inuse, 0);
    mheap_destroy(&heap);
}

int main(void) {
    struct rng rng;
    unit = ga_max(os_page_size(), GA_PAGE_SIZE) / GA_PAGE_SIZE;
    rng_seed(&rng, check_seed());
    test_best_fit();
    test_split();
    test_coalesce();
    test_growth();
    test_too_large();
    test_scavenged_tie_break();
    test_free_os_memory();
    test_free_os_memory_fails();
    test_growth_fails();
    test_against_model(&rng);
    test_every_class();
    return check_summary();
}

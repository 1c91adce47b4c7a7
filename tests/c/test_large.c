/* Large objects: alignment and statistics; resized in place; moved by page tables, also by a kernel
 * that refuses, half does it, or does not know how; random operations against a shadow.
 *
 * Every mremap is counted on its way, and fails as the test wants. */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

#include "blocks.h"
#include "large.h"
#include "mappings.h"

static enum { WORKS, REFUSES, LEAVES_A_HOLE } moving;
static unsigned nmoves;

/* (The C library's has `...`: the address is there with MREMAP_FIXED.) */
void *mremap(void *from, size_t old_bytes, size_t new_bytes, int flags, ...) {
    va_list args;
    va_start(args, flags);
    void *to = va_arg(args, void *);
    va_end(args);
    if (moving == LEAVES_A_HOLE)
        munmap(to, new_bytes);
    if (moving != WORKS) {
        errno = moving == REFUSES ? EINVAL : EFAULT;
        return MAP_FAILED;
    }
    nmoves++;
    CHECK_EQ(old_bytes, new_bytes);
    return kernel_move(from, new_bytes, flags, to);
}

static struct rig r;

static void begin(enum arena_layout layout) {
    r = rig_open(layout, MCACHE_HEAP);
    r.h->map.huge_unasked = false; /* else huge pages are renounced, which makes mappings, too */
}

static void *take(size_t npages) {
    void *p = ga_malloc(r.h, r.c, npages << GA_PAGE_SHIFT, true);
    CHECK(p != NULL);
    return p;
}

static void release(void *p) { CHECK_EQ(ga_free(r.h, r.c, p), MISUSE_NONE); }

static void *resize(void *p, size_t npages) {
    enum misuse why;
    void *q = ga_realloc(r.h, r.c, p, npages << GA_PAGE_SHIFT, true, &why);
    CHECK(q != NULL && why == MISUSE_NONE);
    CHECK_EQ(mheap_span_of_heap(r.h, (uintptr_t)q)->npages, npages);
    CHECK_HEAP(r.h);
    return q;
}

static const struct mspan *span_at(const void *p) {
    mutex_lock(&r.h->lock);
    const struct mspan *s = mheap_span_of_locked(r.h, (uintptr_t)p);
    mutex_unlock(&r.h->lock);
    return s;
}

static bool all_zero(const unsigned char *p, size_t n) {
    while (n > 0 && p[n - 1] == 0)
        n--;
    return n == 0;
}

/* Fresh memory is handed out upwards without gaps: blocks of 5, `behind` and 5 pages side by side,
 * and all that is left of the heap in use, too. */
static unsigned char *lay(size_t behind, unsigned char **next) {
    begin(LAYOUT_SPARSE);
    unsigned char *p = take(5);
    *next = take(behind);
    unsigned char *last = take(5);
    CHECK_EQ(*next, p + 5 * GA_PAGE_SIZE);
    CHECK_EQ(last, *next + behind * GA_PAGE_SIZE);
    take(GA_HEAP_GROW_MIN / GA_PAGE_SIZE - 10 - behind);
    CHECK_EQ(r.h->free.nspans, 0);
    return p;
}

/* ---- alloc ---------------------------------------------------------------------------------- */

static void test_alignment(void) {
    begin(LAYOUT_SPARSE);
    for (size_t align = 1; align <= 4 * GA_MIB; align *= 4)
        for (size_t nbytes = 1; nbytes <= 100000; nbytes = nbytes * 7 + 1) {
            struct mspan *s = large_alloc(r.h, nbytes, align, true);
            CHECK(s != NULL && s->start_addr % align == 0);
            CHECK_EQ(s->npages, ga_align_up(nbytes, GA_PAGE_SIZE) >> GA_PAGE_SHIFT);
            if (nbytes % 2)
                large_free(r.h, s);
            else
                heap_bits_set(arena_of(&r.h->map, s->start_addr), s->start_addr, true);
            CHECK_HEAP(r.h);
        }
    CHECK_EQ(r.h->large[1].malloc_bytes - r.h->large[1].free_bytes,
             r.h->pages_in_use << GA_PAGE_SHIFT);
    CHECK_EQ(r.h->large[0].mallocs, 0);
    rig_close(&r);
}

static void test_too_large(void) {
    begin(LAYOUT_SPARSE);
    CHECK_EQ(large_alloc(r.h, SIZE_MAX, 1, true), NULL);
    CHECK_EQ(large_alloc(r.h, PTRDIFF_MAX, 1, true), NULL);
    CHECK_EQ(large_alloc(r.h, 1, (size_t)1 << 63, true), NULL);
    uint64_t mapped = r.h->mapped;
    struct mspan *s = mheap_span_of_heap(r.h, (uintptr_t)take(GA_MOVE_MIN / GA_PAGE_SIZE));
    const size_t sizes[] = {SIZE_MAX, PTRDIFF_MAX, (size_t)1 << 47, (size_t)1 << 45};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        CHECK(!large_resize(r.h, s, sizes[i], true));
        CHECK_EQ(large_move(r.h, s, sizes[i], true), NULL);
        CHECK_HEAP(r.h);
    }
    CHECK(r.h->mapped <= mapped + GA_MOVE_MIN);
    rig_close(&r);
}

/* ---- in place ------------------------------------------------------------------------------- */

/* Takes of the run behind only what it needs, and of that counts what was given back. */
static void test_grow_in_place(void) {
    unsigned char *next, *p = lay(9, &next);
    memset(p, 0x5a, 5 * GA_PAGE_SIZE);
    memset(next, 0xa5, 9 * GA_PAGE_SIZE);
    uint64_t in_use = r.h->pages_in_use;
    release(next);
    CHECK_EQ(resize(p, 7), p);
    CHECK_EQ(span_at(p + 7 * GA_PAGE_SIZE)->npages, 7);
    CHECK_EQ(r.h->released, 0);
    mheap_free_os_memory(r.h);
    CHECK_EQ(r.h->released, 7 * GA_PAGE_SIZE);
    CHECK_EQ(resize(p, 8), p);
    CHECK_EQ(r.h->released, 6 * GA_PAGE_SIZE);
    CHECK_EQ(span_at(p + 8 * GA_PAGE_SIZE)->needzero, 0);
    CHECK_EQ(resize(p, 14), p); /* all of the rest */
    CHECK_EQ(r.h->free.nspans, 0);
    CHECK_EQ(r.h->released, 0);
    CHECK_EQ(r.h->pages_in_use, in_use);
    CHECK(p[0] == 0x5a && p[5 * GA_PAGE_SIZE - 1] == 0x5a);
    CHECK(p[5 * GA_PAGE_SIZE] == 0xa5 && all_zero(p + 7 * GA_PAGE_SIZE, 7 * GA_PAGE_SIZE));
    rig_close(&r);
}

/* The run behind is one page short, or there is none. */
static void test_no_room_behind(void) {
    for (int behind_is_free = 0; behind_is_free < 2; behind_is_free++) {
        unsigned char *next, *p = lay(9, &next);
        memset(p, 0x5a, 5 * GA_PAGE_SIZE);
        if (behind_is_free)
            release(next);
        unsigned char *q = resize(p, 15);
        CHECK(q != p && q[0] == 0x5a && q[5 * GA_PAGE_SIZE - 1] == 0x5a);
        rig_close(&r);
    }
}

/* What has to move goes where it can grow on, even if a smaller run would do; else where it
 * fits. */
static void test_moves_where_there_is_room(void) {
    begin(LAYOUT_SPARSE);
    unsigned char *fits = take(12), *fence = take(5), *roomy = take(12 + 12 * GA_GROW_ROOM);
    unsigned char *fence2 = take(5), *p = take(10), *q = take(10), *end = take(5);
    CHECK(fits < fence && fence < roomy && roomy < fence2 && q < end);
    unsigned char *rest = take(r.h->free.npages); /* there is nowhere else */
    release(fits);
    release(roomy);
    CHECK_EQ(resize(p, 12), roomy);
    CHECK_EQ(resize(roomy, 12 + 12 * GA_GROW_ROOM), roomy);
    release(p = fence2);
    CHECK_EQ(resize(q, 12), fits);
    release(rest);
    rig_close(&r);
}

/* At the end of the heap's pages it grows by what is missing, across arenas too. */
static void test_grow_with_the_heap(enum arena_layout layout) {
    begin(layout);
    unsigned char *p = take(GA_HEAP_GROW_MIN / GA_PAGE_SIZE - 2);
    unsigned moves = nmoves;
    uint64_t mapped = r.h->mapped;
    CHECK_EQ(resize(p, GA_HEAP_GROW_MIN / GA_PAGE_SIZE), p); /* behind it: two pages, fresh */
    CHECK_EQ(r.h->mapped, mapped);
    CHECK_EQ(resize(p, GA_HEAP_GROW_MIN / GA_PAGE_SIZE + 3), p);
    CHECK_EQ(r.h->mapped, mapped + GA_HEAP_GROW_MIN);
    p[0] = 0x5a;
    CHECK_EQ(resize(p, GA_PAGES_PER_ARENA + 3), p);
    CHECK_EQ(p[0], 0x5a);
    CHECK_EQ(nmoves, moves);
    rig_close(&r);
}

/* Where a free run would do, it moves there, and the heap stays as it is. */
static void test_prefers_free_run_to_growth(void) {
    begin(LAYOUT_SPARSE);
    size_t n = GA_HEAP_GROW_MIN / GA_PAGE_SIZE;
    unsigned char *low = take(2 * n), *fence = take(5), *p = take(n - 5);
    CHECK(low < fence && fence < p);
    CHECK_EQ(r.h->free.npages, 0);
    uint64_t mapped = r.h->mapped;
    release(low);
    CHECK_EQ(resize(p, 2 * n - 5), low);
    CHECK_EQ(r.h->mapped, mapped);
    rig_close(&r);
}

/* Pages that are not needed go back, however few, and merge with what is free behind. */
static void test_shrink(void) {
    unsigned char *next, *p = lay(9, &next);
    memset(next, 0x5a, 9 * GA_PAGE_SIZE);
    uint64_t in_use = r.h->pages_in_use;
    CHECK_EQ(resize(next, 8), next);
    CHECK_EQ(r.h->pages_in_use, in_use - 1);
    CHECK_EQ(span_at(next + 8 * GA_PAGE_SIZE)->npages, 1);
    CHECK_EQ(resize(next, 5), next);
    const struct mspan *tail = span_at(next + 5 * GA_PAGE_SIZE);
    CHECK(tail->npages == 4 && tail->state == MSPAN_FREE && tail->needzero && !tail->scavenged);
    CHECK_EQ(next[5 * GA_PAGE_SIZE - 1], 0x5a);
    CHECK_EQ(ga_free(r.h, r.c, next + 5 * GA_PAGE_SIZE), MISUSE_UNALLOCATED);
    release(p);
    release(next);
    CHECK_EQ(span_at(p)->npages, 14);
    rig_close(&r);
}

/* To shrink needs no memory. */
static void test_shrink_without_memory(void) {
    enum misuse why;
    unsigned char *next;
    lay(9, &next);
    struct memstats before, after;
    rig_fail(&r, 1, true);
    mutex_lock(&r.h->lock);
    while (fixalloc_alloc(&r.h->spanalloc) != NULL)
        ;
    mutex_unlock(&r.h->lock);
    inspect_memstats(r.h, &before);
    CHECK_EQ(ga_realloc(r.h, r.c, next, 5 * GA_PAGE_SIZE, true, &why), next);
    inspect_memstats(r.h, &after);
    CHECK_EQ(memcmp(&before, &after, sizeof after), 0);
    CHECK_EQ(mheap_span_of_heap(r.h, (uintptr_t)next)->npages, 9);
    rig_fail(&r, 0, false);
    rig_close(&r);
}

/* ---- statistics ----------------------------------------------------------------------------- */

/* Whatever realloc does with a block, a malloc of the new and a free of the old is counted. */
static void test_statistics(void) {
    unsigned char *next, *p = lay(9, &next);
    const size_t npages[] = {6, 9, 4 + 1, 30, 5, 200, 300, 150};
    enum misuse why;
    release(next);
    r.c->next_sample = INT64_MAX;
    for (size_t i = 0; i < sizeof npages / sizeof npages[0]; i++)
        for (int noscan = 0; noscan < 2; noscan++) {
            struct mspan *s = mheap_span_of_heap(r.h, (uintptr_t)p);
            size_t old = s->elemsize, new = npages[i] << GA_PAGE_SHIFT;
            unsigned was = spanclass_noscan(s->spanclass);
            struct large_stats expected[2] = {r.h->large[0], r.h->large[1]};
            int64_t left = r.c->next_sample;
            if (old != new) {
                expected[was].frees++;
                expected[was].free_bytes += old;
                expected[noscan].mallocs++;
                expected[noscan].malloc_bytes += new;
                left -= (int64_t)new;
            }
            p = ga_realloc(r.h, r.c, p, new - 100, noscan, &why);
            CHECK_EQ(memcmp(expected, r.h->large, sizeof expected), 0);
            CHECK_EQ(r.c->next_sample, left);
            check_memstats_slow(r.h);
            CHECK_HEAP(r.h);
        }
    rig_close(&r);
}

/* ---- moving --------------------------------------------------------------------------------- */

/* A block of npages with something behind it that stays, so that it can't grow. */
static struct block fenced(size_t npages) {
    static uint32_t tag;
    struct block b = {take(npages), npages << GA_PAGE_SHIFT, 0};
    while ((uintptr_t)take(5) != (uintptr_t)b.p + b.size)
        ;
    block_fill(&b, ++tag);
    return b;
}

/* The pages change places: nothing is copied, what was there reads zero and costs nothing. */
static void test_move(enum arena_layout layout) {
    begin(layout);
    size_t n = GA_MOVE_MIN / GA_PAGE_SIZE;
    struct block b = fenced(n);
    unsigned char *old = b.p;
    unsigned moves = nmoves;
    struct memstats m;
    b.p = resize(b.p, 2 * n);
    CHECK(b.p != old && block_holds(&b, b.size));
    CHECK_EQ(nmoves, moves + 1);
    const struct mspan *s = span_at(old);
    CHECK(s->state == MSPAN_FREE && s->scavenged && !s->needzero && s->npages >= n);
    inspect_memstats(r.h, &m);
    CHECK_EQ(m.heap_idle, m.heap_released);
    CHECK_EQ(r.h->peak_in_use, r.h->pages_in_use); /* its pages were never there twice */
    CHECK(all_zero(old, n << GA_PAGE_SHIFT));
    CHECK_EQ(ga_free(r.h, r.c, old), MISUSE_DOUBLE_FREE);
    CHECK_EQ(ga_free(r.h, r.c, old + GA_PAGE_SIZE), MISUSE_UNALLOCATED);
    release(b.p);
    CHECK_EQ(ga_free(r.h, r.c, b.p), MISUSE_DOUBLE_FREE);
    unsigned char *zero = ga_calloc(r.h, r.c, n, GA_PAGE_SIZE, true);
    CHECK(zero == old && all_zero(zero, n << GA_PAGE_SHIFT));
    rig_close(&r);
}

/* Below the limit a copy is cheaper. */
static void test_small_ones_are_copied(void) {
    begin(LAYOUT_SPARSE);
    struct block b = fenced(GA_MOVE_MIN / GA_PAGE_SIZE - 1);
    unsigned char *old = b.p;
    unsigned moves = nmoves;
    b.p = resize(b.p, GA_MOVE_MIN / GA_PAGE_SIZE);
    CHECK(b.p != old && nmoves == moves && block_holds(&b, b.size));
    rig_close(&r);
}

/* What was moved and has then grown lies in two mappings, which move one by one; when all is given
 * back the heap is one mapping again. */
static void test_pieces(void) {
    begin(LAYOUT_SPARSE);
    size_t n = GA_MOVE_MIN / GA_PAGE_SIZE;
    unsigned moves = nmoves;
    unsigned char *bottom = take(5);
    struct block b = fenced(n);
    for (unsigned round = 1; round <= 5; round++) {
        unsigned char *old = b.p;
        b.p = resize(b.p, (round * 2) * n); /* moves, in `round` pieces */
        CHECK(b.p != old && block_holds(&b, b.size));
        moves += round;
        CHECK_EQ(nmoves, moves);
        old = b.p;
        b.p = resize(b.p, (round * 2 + 1) * n);
        CHECK_EQ(b.p, old); /* grows where it is */
        b.size = (round * 2 + 1) * n << GA_PAGE_SHIFT;
        CHECK_EQ((uintptr_t)take(5), (uintptr_t)b.p + b.size);
        block_fill(&b, round);
        CHECK(mappings_told(r.h, round, UINT_MAX));
    }
    CHECK(all_zero(bottom, 5 * GA_PAGE_SIZE));
    release(b.p);
    CHECK(mappings_told(r.h, 5, UINT_MAX));
    mheap_free_os_memory(r.h);
    CHECK(mappings_told(r.h, 0, 2));
    CHECK(all_zero(b.p, b.size));
    rig_close(&r);
}

/* Too many mappings would harm the whole process: then it is copied. */
static void test_too_many_seams(void) {
    begin(LAYOUT_SPARSE);
    size_t n = GA_MOVE_MIN / GA_PAGE_SIZE;
    struct block b = fenced(n);
    unsigned moves = nmoves;
    size_t nseams = r.h->map.nseams;
    r.h->map.nseams = GA_SEAMS_MAX;
    enum misuse why;
    b.p = ga_realloc(r.h, r.c, b.p, 2 * b.size, true, &why);
    CHECK(block_holds(&b, b.size) && nmoves == moves);
    r.h->map.nseams = nseams;
    rig_close(&r);
}

/* A kernel that does not know how to, and one that takes away what is at the new place before it
 * refuses.  The first counted call of the system that fails is a third. */
static void test_move_fails(void) {
    for (int how = REFUSES; how <= LEAVES_A_HOLE + 1; how++) {
        begin(LAYOUT_SPARSE);
        size_t n = GA_MOVE_MIN / GA_PAGE_SIZE;
        struct block b = fenced(n);
        release(take(3 * n)); /* so that no other call is needed */
        unsigned char *old = b.p;
        if (how > LEAVES_A_HOLE)
            rig_fail(&r, 1, true);
        else
            moving = how;
        enum misuse why;
        b.p = ga_realloc(r.h, r.c, b.p, 2 * b.size, true, &why);
        rig_fail(&r, 0, false);
        moving = WORKS;
        CHECK(b.p != old && block_holds(&b, b.size));
        memset(b.p, 0x5a, 2 * b.size); /* no hole */
        CHECK(mappings_told(r.h, 0, 0));
        CHECK_EQ(span_at(old)->scavenged, 0);
        CHECK_EQ(span_at(old)->needzero, 1);
        CHECK_HEAP(r.h);
        rig_close(&r);
    }
}

/* ---- against a shadow ----------------------------------------------------------------------- */

enum { NBLOCKS = 24, STEPS = 2000 };

static void random_resize(struct rng *rng, struct block *b, struct large_stats sum[2]) {
    const struct mspan *s = mheap_span_of_heap(r.h, (uintptr_t)b->p);
    unsigned was = spanclass_noscan(s->spanclass), noscan = rng_next(rng) % 2;
    size_t old = s->elemsize;
    size_t size = GA_MAX_SMALL_SIZE + 1 + rng_next(rng) % ((size_t)1 << (12 + rng_next(rng) % 12));
    if (rng_next(rng) % 3 == 0) /* most programs grow a little, again and again */
        size = b->size + b->size / 8;
    if (size > 16 * GA_MIB)
        size = GA_MAX_SMALL_SIZE + 1;
    enum misuse why;
    moving = rng_next(rng) % 8 == 0 ? REFUSES + rng_next(rng) % 2 : WORKS;
    b->p = ga_realloc(r.h, r.c, b->p, size, noscan, &why);
    moving = WORKS;
    CHECK(b->p != NULL && block_holds(b, ga_min(b->size, size)));
    size_t new = ga_align_up(size, GA_PAGE_SIZE);
    if (new != old) {
        sum[was].frees++;
        sum[was].free_bytes += old;
        sum[noscan].mallocs++;
        sum[noscan].malloc_bytes += new;
    }
    b->size = size;
}

static void test_random(enum arena_layout layout, struct rng *rng) {
    struct block block[NBLOCKS] = {{NULL, 0, 0}};
    struct large_stats sum[2] = {{0, 0, 0, 0}, {0, 0, 0, 0}};
    begin(layout);
    r.h->map.huge_unasked = rng_next(rng) % 2;
    for (uint32_t step = 0; step < STEPS; step++) {
        struct block *b = &block[rng_next(rng) % NBLOCKS];
        unsigned noscan = rng_next(rng) % 2;
        if (b->p == NULL) {
            b->size = GA_MAX_SMALL_SIZE + 1 + rng_next(rng) % (2 * GA_MIB);
            b->p = ga_calloc(r.h, r.c, 1, b->size, noscan);
            for (size_t i = 0; i < b->size; i = block_next(i, b->size))
                CHECK_EQ(b->p[i], 0);
            sum[noscan].mallocs++;
            sum[noscan].malloc_bytes += ga_align_up(b->size, GA_PAGE_SIZE);
        } else if (rng_next(rng) % 4 != 0) {
            random_resize(rng, b, sum);
        } else {
            const struct mspan *s = mheap_span_of_heap(r.h, (uintptr_t)b->p);
            sum[spanclass_noscan(s->spanclass)].frees++;
            sum[spanclass_noscan(s->spanclass)].free_bytes += s->elemsize;
            CHECK(block_holds(b, b->size));
            release(b->p);
            b->p = NULL;
        }
        if (b->p != NULL)
            block_fill(b, step);
        CHECK_EQ(memcmp(sum, r.h->large, sizeof sum), 0);
        if (step % 50 == 0) {
            CHECK_HEAP(r.h);
            check_memstats_slow(r.h);
            CHECK(mappings_told(r.h, 0, UINT_MAX));
        }
        if (rng_next(rng) % 100 == 0)
            mheap_free_os_memory(r.h);
    }
    for (int i = 0; i < NBLOCKS; i++)
        CHECK(block[i].p == NULL || block_holds(&block[i], block[i].size));
    fprintf(stderr, "%u moves so far, %zu seams\n", nmoves, r.h->map.nseams);
    rig_close(&r);
}

int main(void) {
    struct rng rng;
    rng_seed(&rng, check_seed());
    CHECK(os_moves()); /* the call that finds out is none of those below */
    nmoves = 0;
    test_alignment();
    test_too_large();
    test_grow_in_place();
    test_no_room_behind();
    test_moves_where_there_is_room();
    test_prefers_free_run_to_growth();
    test_shrink();
    test_shrink_without_memory();
    test_statistics();
    test_small_ones_are_copied();
    test_pieces();
    test_too_many_seams();
    test_move_fails();
    for (int layout = LAYOUT_SPARSE; layout <= LAYOUT_LINEAR; layout++) {
        test_grow_with_the_heap((enum arena_layout)layout);
        test_move((enum arena_layout)layout);
        for (int i = 0; i < 3; i++)
            test_random((enum arena_layout)layout, &rng);
    }
    CHECK(nmoves > 0);
    return check_summary();
}

/* Large objects that are moved by page tables, also by a kernel that refuses, half does it, or does
 * not know how; random operations against a shadow.  larger pages: */
#include <limits.h>

#include "large_rig.h"
#include "mappings.h"

/* ---- one by one ----------------------------------------------------------------------------- */

/* Takes what stays behind a block, so that it can't grow. */
static void fence(const struct block *b) {
    while ((uintptr_t)take(5) != (uintptr_t)b->p + b->size)
        ;
}

static struct block fenced(size_t npages) {
    static uint32_t tag;
    struct block b = {take(npages), npages << GA_PAGE_SHIFT, 0};
    fence(&b);
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
    CHECK_EQ(rig_kept(r.h), 0);
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
        fence(&b);
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
    test_small_ones_are_copied();
    test_pieces();
    test_too_many_seams();
    test_move_fails();
    for (int layout = LAYOUT_SPARSE; layout <= LAYOUT_LINEAR; layout++) {
        test_move((enum arena_layout)layout);
        for (int i = 0; i < 3; i++)
            test_random((enum arena_layout)layout, &rng);
    }
    CHECK(nmoves > 0);
    return check_summary();
}

/* Tiny blocks: how parts share one, and when it comes back. */
#include "tiny.h"

#include <string.h>

#include "rig.h"
#include "rng.h"

static void *tiny(struct rig *r, size_t size, size_t align) {
    return tiny_alloc(r->h, &r->c->tiny, &r->h->central[GA_TINY_CENTRAL], r->c, size, align);
}

static struct mspan *span_of(struct rig *r, const void *p) {
    return arena_span_of(&r->h->map, (uintptr_t)p);
}

static bool release_by(struct rig *r, struct mcache *c, void *p) {
    return tiny_free(r->h, &c->tiny, span_of(r, p), (uintptr_t)p);
}

static uintptr_t block_of(const void *p) { return ga_align_down((uintptr_t)p, GA_TINY_SIZE); }

static bool block_live(struct rig *r, uintptr_t block) {
    return heap_bits_live(arena_of(&r->h->map, block), block);
}

static size_t slots_out(struct rig *r) {
    size_t n = 0;
    for (size_t i = 0; i < r->h->nallspans; i++)
        if (r->h->allspans[i]->state == MSPAN_IN_USE)
            n += r->h->allspans[i]->alloc_count;
    return n;
}

/* Go's TestTinyAlloc: blocks of 1 byte share. */
static void test_share(void) {
    enum { N = 160 };
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_THREAD);
    char *p[N];
    for (int i = 0; i < N; i++)
        p[i] = tiny(&r, 1, 1);
    for (int i = 0; i < N; i++)
        CHECK_EQ(block_of(p[i]), block_of(p[i - i % GA_TINY_SIZE]));
    CHECK_EQ(r.c->tiny.blocks, N / GA_TINY_SIZE);
    CHECK_EQ(r.c->tiny.allocs, N - N / GA_TINY_SIZE);
    rig_close(&r);
}

/* Every size after every other at every alignment: aligned, inside a block, and apart. */
static void test_packing(void) {
    for (size_t a = 1; a < GA_TINY_SIZE; a++)
        for (size_t b = 1; b < GA_TINY_SIZE; b++)
            for (size_t align = 1; align <= 8; align *= 2) {
                struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_THREAD);
                char *p = tiny(&r, a, align), *q = tiny(&r, b, align);
                bool shares = ga_align_up(a, align) + b <= GA_TINY_SIZE;
                CHECK_EQ((uintptr_t)q % align, 0);
                CHECK_EQ(block_of(p) == block_of(q), shares);
                CHECK(!shares || q == p + ga_align_up(a, align));
                CHECK((uintptr_t)q + b <= block_of(q) + GA_TINY_SIZE);
                heap_delete(r.h);
            }
}

/* Go's TestTinyAllocIssue37262: 8-byte parts stay aligned behind odd ones. */
static void test_odd_before_aligned(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_THREAD);
    for (int i = 0; i < 100; i++) {
        CHECK(tiny(&r, 1 + (size_t)i % 7, 1) != NULL);
        CHECK_EQ((uintptr_t)tiny(&r, 8, 8) % 8, 0);
        CHECK_EQ((uintptr_t)tiny(&r, 4, 4) % 4, 0);
    }
    rig_close(&r);
}

/* Of two blocks the one with more room is kept (Go's rule). */
static void test_keeps_the_roomier(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_THREAD);
    char *a = tiny(&r, 6, 1), *b = tiny(&r, 12, 1); /* b needs a new one, with less room left */
    CHECK(block_of(a) != block_of(b));
    CHECK_EQ(tiny(&r, 10, 1), a + 6);
    char *d = tiny(&r, 3, 1); /* a's is full; a new one */
    CHECK_EQ(tiny(&r, 13, 1), d + 3);
    rig_close(&r);
}

/* The parts of a block in every order: it comes back with the last of them, not before. */
static void test_every_order(void) {
    unsigned order[4];
    for (unsigned code = 0; code < 4 * 4 * 4 * 4; code++) {
        unsigned seen = 0;
        for (unsigned i = 0; i < 4; i++)
            seen |= 1u << (order[i] = code >> (2 * i) & 3);
        if (seen != 15)
            continue; /* not a permutation */
        struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_THREAD);
        char *p[4];
        for (int i = 0; i < 4; i++)
            p[i] = tiny(&r, 4, 4);
        uintptr_t block = block_of(p[0]);
        CHECK(tiny(&r, 1, 1) != NULL); /* another block is the current one now */
        for (int i = 0; i < 4; i++) {
            CHECK(block_live(&r, block));
            CHECK(tiny_is_live(span_of(&r, p[0]), (uintptr_t)p[order[i]]));
            CHECK(release_by(&r, r.c, p[order[i]]));
            CHECK(!tiny_is_live(span_of(&r, p[0]), (uintptr_t)p[order[i]]));
            CHECK(tiny_was_live(span_of(&r, p[0]), (uintptr_t)p[order[i]]));
        }
        CHECK(!block_live(&r, block));
        rig_close(&r);
    }
}

/* While a cache still cuts parts from it, a block with no live part stays. */
static void test_current_block_is_held(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_THREAD);
    char *p = tiny(&r, 4, 1);
    CHECK(release_by(&r, r.c, p));
    CHECK(block_live(&r, block_of(p)));
    CHECK_EQ(tiny(&r, 4, 1), p + 4);
    CHECK(release_by(&r, r.c, p + 4));
    tiny_release(r.h, &r.c->tiny);
    CHECK(!block_live(&r, block_of(p)));
    CHECK_EQ(slots_out(&r), 0);
    rig_close(&r);
}

static void test_misuse(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_THREAD);
    char *p = tiny(&r, 5, 1), *q = tiny(&r, 3, 1);
    struct mspan *s = span_of(&r, p);
    CHECK_EQ(q, p + 5);
    CHECK(!release_by(&r, r.c, p + 1)); /* inside a part */
    CHECK(!release_by(&r, r.c, p + 8)); /* no part yet */
    CHECK(!tiny_was_live(s, (uintptr_t)p + 1) && !tiny_was_live(s, (uintptr_t)p + 8));
    CHECK(release_by(&r, r.c, q));
    CHECK(!release_by(&r, r.c, q));
    CHECK(release_by(&r, r.c, p));
    CHECK(!release_by(&r, r.c, p));
    CHECK(!release_by(&r, r.c, (char *)mspan_end(s) - GA_TINY_SIZE)); /* a block never opened */
    CHECK(!tiny_was_live(s, mspan_end(s) - GA_TINY_SIZE));
    rig_close(&r);
}

/* A block that was freed and opened again has forgotten its former parts. */
static void test_reopened(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_THREAD);
    char *p = tiny(&r, 3, 1), *q = tiny(&r, 3, 1);
    CHECK(release_by(&r, r.c, p) && release_by(&r, r.c, q));
    tiny_release(r.h, &r.c->tiny);
    CHECK(tiny_was_live(span_of(&r, q), (uintptr_t)q));
    for (int i = 0; i < 2000; i++) { /* until it comes again */
        char *again = tiny(&r, 15, 1);
        if (block_of(again) == block_of(p))
            break;
    }
    CHECK(tiny_is_live(span_of(&r, p), (uintptr_t)p));
    CHECK(!tiny_was_live(span_of(&r, q), (uintptr_t)q));
    rig_close(&r);
}

/* Parts freed by other caches than the one that cut them: the blocks end up with those. */
static void test_other_caches(struct rng *rng) {
    enum { N = 3000, CACHES = 3 };
    static char *p[N];
    static size_t size[N];
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_THREAD);
    struct mcache *c[CACHES] = {r.c};
    for (int i = 1; i < CACHES; i++)
        c[i] = mcache_new(r.h, MCACHE_THREAD, r.h->central);
    for (int step = 0; step < 60000; step++) {
        unsigned i = rng_next(rng) % N;
        r.c = c[rng_next(rng) % CACHES];
        if (p[i] == NULL) {
            size[i] = 1 + rng_next(rng) % 15;
            p[i] = tiny(&r, size[i], 1);
            memset(p[i], (int)i, size[i]);
            continue;
        }
        for (size_t k = 0; k < size[i]; k++)
            CHECK_EQ((uint8_t)p[i][k], (uint8_t)i);
        CHECK(release_by(&r, r.c, p[i]));
        p[i] = NULL;
    }
    CHECK_HEAP(r.h);
    for (int i = 0; i < N; i++)
        if (p[i] != NULL)
            CHECK(release_by(&r, c[i % CACHES], p[i]));
    for (int i = 0; i < CACHES; i++)
        tiny_release(r.h, &c[i]->tiny);
    CHECK_EQ(slots_out(&r), 0);
    rig_close(&r);
}

/* A part that is filled as far as it is said to reach spoils no other, made before or behind it. */
static void test_part_sizes(struct rng *rng) {
    enum { N = 600 };
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_THREAD);
    struct mcache *other = mcache_new(r.h, MCACHE_THREAD, r.h->central);
    unsigned char *p[N];
    size_t size[N], unknown = 0;
    for (int i = 0; i < N; i++) {
        size[i] = 1 + rng_next(rng) % (GA_TINY_SIZE - 1);
        p[i] = tiny(&r, size[i], 1);
        size_t part = tiny_part_size(&r.c->tiny, span_of(&r, p[i]), (uintptr_t)p[i]);
        CHECK(part >= size[i] && (uintptr_t)p[i] + part <= block_of(p[i]) + GA_TINY_SIZE);
        memset(p[i], i, part);
        size_t seen = tiny_part_size(&other->tiny, span_of(&r, p[i]), (uintptr_t)p[i]);
        CHECK(seen == 0 || seen == part);
        unknown += seen == 0;
    }
    CHECK(unknown != 0);
    for (int i = 0; i < N; i++)
        for (size_t k = 0; k < size[i]; k++)
            CHECK_EQ(p[i][k], (unsigned char)i);
    tiny_release(r.h, &r.c->tiny); /* nobody cuts any more */
    CHECK(tiny_part_size(&other->tiny, span_of(&r, p[N - 1]), (uintptr_t)p[N - 1]) >= size[N - 1]);
    rig_close(&r);
}

static void test_out_of_memory(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_THREAD);
    rig_fail(&r, 1, true);
    CHECK_EQ(tiny(&r, 4, 4), NULL);
    CHECK_EQ(r.c->tiny.block, 0);
    CHECK_EQ(r.c->tiny.blocks, 0);
    rig_fail(&r, 0, false);
    CHECK(tiny(&r, 4, 4) != NULL);
    rig_close(&r);
}

int main(void) {
    struct rng rng;
    rng_seed(&rng, check_seed());
    test_share();
    test_packing();
    test_odd_before_aligned();
    test_keeps_the_roomier();
    test_every_order();
    test_current_block_is_held();
    test_misuse();
    test_reopened();
    test_other_caches(&rng);
    test_part_sizes(&rng);
    test_out_of_memory();
    return check_summary();
}

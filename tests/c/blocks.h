/* Blocks that remember what is written in them: any overlap or lost byte shows when one is
 * freed. */
#ifndef GA_TEST_BLOCKS_H
#define GA_TEST_BLOCKS_H

#include "rig.h"
#include "rng.h"

struct block {
    unsigned char *p;
    size_t size;
    uint32_t tag;
};

static inline unsigned char block_byte(const struct block *b, size_t i) {
    return (unsigned char)((b->tag + (uint32_t)i) * 2654435761u >> 24);
}

/* Long blocks are written at both ends and here and there. */
static inline size_t block_next(size_t i, size_t size) {
    return i < 64 || i + 64 >= size ? i + 1 : i + ga_min(ga_max(size / 512, 61), size - 64 - i);
}

static inline void block_fill(struct block *b, uint32_t tag) {
    b->tag = tag;
    for (size_t i = 0; i < b->size; i = block_next(i, b->size))
        b->p[i] = block_byte(b, i);
}

/* Only the first n bytes, of what was a block of b->size. */
static inline bool block_holds(const struct block *b, size_t n) {
    for (size_t i = 0; i < n; i = block_next(i, b->size))
        if (b->p[i] != block_byte(b, i))
            return false;
    return true;
}

/* Mostly small; all powers of two up to max (a power of two) are equally likely. */
static inline size_t random_size(struct rng *rng, size_t max) {
    unsigned bits = rng_next(rng) % (ga_log2(max) + 1);
    return rng_next(rng) % ((size_t)2 << bits);
}

/* The equations of memstats, and its sums by walking. */
static inline void check_memstats(struct mheap *h) {
    struct memstats m;
    inspect_memstats(h, &m);
    CHECK_EQ(m.sys, m.heap_sys + m.stack_sys + m.mspan_sys + m.mcache_sys + m.buck_hash_sys +
                        m.gc_sys + m.other_sys);
    CHECK_EQ(m.heap_sys, m.heap_idle + m.heap_inuse);
    CHECK_EQ(m.heap_objects, m.mallocs - m.frees);
    CHECK_EQ(m.alloc, m.heap_alloc);
    CHECK(m.heap_alloc <= m.heap_inuse && m.heap_released <= m.heap_idle);
    CHECK(m.inuse_released <= m.heap_inuse);
    CHECK(m.stack_inuse <= m.stack_sys && m.mspan_inuse <= m.mspan_sys &&
          m.mcache_inuse <= m.mcache_sys);
}

static inline void check_memstats_slow(struct mheap *h) {
    struct memstats fast, slow;
    inspect_memstats(h, &fast);
    inspect_memstats_slow(h, &slow);
    CHECK_EQ(fast.heap_alloc, slow.heap_alloc);
    CHECK_EQ(fast.heap_objects, slow.heap_objects);
    CHECK_EQ(fast.mallocs, slow.mallocs);
    CHECK_EQ(fast.frees, slow.frees);
    CHECK_EQ(fast.heap_sys, slow.heap_sys);
    CHECK_EQ(fast.heap_idle, slow.heap_idle);
    CHECK_EQ(fast.heap_inuse, slow.heap_inuse);
    CHECK_EQ(fast.heap_released, slow.heap_released);
    CHECK_EQ(fast.inuse_released, slow.inuse_released);
    CHECK_EQ(fast.stack_inuse, slow.stack_inuse);
    for (unsigned i = 0; i < GA_NUM_SIZE_CLASSES; i++)
        CHECK_EQ(fast.by_size[i].frees, slow.by_size[i].frees);
}

#endif

/* The shadow of a heap: which blocks are live, and what is written in them.
 *
 * A block is written at both ends, and in words at multiples of 512 bytes in between: an overlap, a
 * lost byte or a page that was given back under it shows when it is looked at.  Nothing here is
 * allocated from the heap under test. */
#ifndef GA_TEST_FUZZ_SHADOW_H
#define GA_TEST_FUZZ_SHADOW_H

#include <string.h>

#include "config.h"
#include "rng.h"

enum { LIVE_MAX = 12288, INDEX_LEN = 1 << 15, FREED_LEN = 64, EDGE = 64, STRIDE = 512 };

struct block {
    unsigned char *p;
    size_t size, usable; /* asked for, got */
    uint64_t tag;
    unsigned phase; /* offset of the first word behind the edge */
    uint8_t set;    /* of the cache that it came from */
    uint8_t domain;
    bool noscan, tiny, large, guarded;
    uint32_t rate; /* of the profile when it was made, or RATE_ANY */
};

#define RATE_ANY UINT32_MAX /* not known, or guarded blocks took some of the samples */

struct shadow {
    struct block live[LIVE_MAX];
    uint32_t nlive;
    uint32_t index[INDEX_LEN]; /* by address: 1 + where in live; 0: nothing */
    uint64_t bytes;            /* usable, of all */
    uint64_t tags;
    uint64_t nsmall; /* small blocks and parts that were ever made */
    void *freed[FREED_LEN];
    uint32_t nfreed;
    void *just_freed; /* freed, and nothing was allocated since */
};

/* ---- contents ------------------------------------------------------------------------------- */

static inline uint64_t block_word(const struct block *b, size_t i) {
    return (b->tag + i) * 0x9e3779b97f4a7c15u;
}

static inline void fill_range(const struct block *b, size_t from, size_t to) {
    for (size_t i = from; i < to; i += 8) {
        uint64_t word = block_word(b, i);
        memcpy(b->p + i, &word, ga_min(to - i, 8));
    }
}

static inline bool range_holds(const struct block *b, const unsigned char *p, size_t from,
                               size_t to) {
    for (size_t i = from; i < to; i += 8) {
        uint64_t want = block_word(b, i), have = want;
        memcpy(&have, p + i, ga_min(to - i, 8));
        if (have != want)
            return false;
    }
    return true;
}

/* From word to word in between: long blocks are not written everywhere. */
static inline size_t block_stride(const struct block *b) {
    return ga_align_up(ga_max(b->size / 128, 1), STRIDE);
}

static inline void block_fill(struct block *b, uint64_t tag) {
    b->tag = tag;
    b->phase = (unsigned)(-((uintptr_t)b->p + EDGE) % STRIDE) + EDGE;
    if (b->size <= 2 * EDGE) {
        fill_range(b, 0, b->size);
        return;
    }
    fill_range(b, 0, EDGE);
    for (size_t i = b->phase; i + 8 <= b->size - EDGE; i += block_stride(b))
        fill_range(b, i, i + 8);
    fill_range(b, b->size - EDGE, b->size);
}

/* Does p, where the first n bytes of b are now, hold them? */
static inline bool block_holds(const struct block *b, const unsigned char *p, size_t n) {
    if (b->size <= 2 * EDGE)
        return range_holds(b, p, 0, ga_min(n, b->size));
    if (!range_holds(b, p, 0, ga_min(n, EDGE)))
        return false;
    for (size_t i = b->phase; i + 8 <= ga_min(n, b->size - EDGE); i += block_stride(b))
        if (!range_holds(b, p, i, i + 8))
            return false;
    return n <= b->size - EDGE || range_holds(b, p, b->size - EDGE, ga_min(n, b->size));
}

/* Are n bytes zero?  Of many, those that a block could have been written in, or all. */
static inline bool all_zero(const unsigned char *p, size_t n, bool all) {
    static const unsigned char zeros[4096];
    size_t step = all || n <= sizeof zeros ? sizeof zeros : STRIDE;
    size_t look = step == STRIDE ? 8 : sizeof zeros;
    if (n > EDGE && (memcmp(p, zeros, EDGE) != 0 || memcmp(p + n - EDGE, zeros, EDGE) != 0))
        return false;
    for (size_t i = step == STRIDE ? -(uintptr_t)p % STRIDE : 0; i < n; i += step)
        if (memcmp(p + i, zeros, ga_min(n - i, look)) != 0)
            return false;
    return true;
}

/* ---- index ---------------------------------------------------------------------------------- */

static inline uint32_t index_home(const void *p) {
    return (uint32_t)((uintptr_t)p * 0x9e3779b97f4a7c15u >> 40) % INDEX_LEN;
}

/* Where p stands in the index, or would. */
static inline uint32_t index_find(const struct shadow *s, const void *p) {
    uint32_t at = index_home(p);
    while (s->index[at] != 0 && s->live[s->index[at] - 1].p != p)
        at = (at + 1) % INDEX_LEN;
    return at;
}

static inline struct block *shadow_find(struct shadow *s, const void *p) {
    uint32_t at = index_find(s, p);
    return s->index[at] != 0 ? &s->live[s->index[at] - 1] : NULL;
}

/* What follows a hole closes up, if it may stand there. */
static inline void index_remove(struct shadow *s, const void *p) {
    uint32_t hole = index_find(s, p);
    for (uint32_t at = (hole + 1) % INDEX_LEN; s->index[at] != 0; at = (at + 1) % INDEX_LEN) {
        uint32_t home = index_home(s->live[s->index[at] - 1].p);
        if ((at - home) % INDEX_LEN >= (at - hole) % INDEX_LEN) {
            s->index[hole] = s->index[at];
            hole = at;
        }
    }
    s->index[hole] = 0;
}

static inline struct block *shadow_add(struct shadow *s, const struct block *b) {
    uint32_t at = index_find(s, b->p);
    s->live[s->nlive] = *b;
    s->index[at] = ++s->nlive;
    s->bytes += b->usable;
    return &s->live[s->nlive - 1];
}

/* The last block takes the place of b. */
static inline void shadow_remove(struct shadow *s, struct block *b) {
    struct block *last = &s->live[s->nlive - 1];
    s->bytes -= b->usable;
    index_remove(s, b->p);
    if (b != last) {
        s->index[index_find(s, last->p)] = (uint32_t)(b - s->live) + 1;
        *b = *last;
    }
    s->nlive--;
}

/* The heap's; not those of the pool of guarded blocks. */
static inline void shadow_note_freed(struct shadow *s, void *p) {
    s->freed[s->nfreed++ % FREED_LEN] = p;
    s->just_freed = p;
}

#endif

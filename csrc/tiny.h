/* tiny: noscan requests below 16 bytes share 16-byte blocks.
 *
 * Go combines them and lets the collector find out when a block is dead.  Here parts are freed one
 * by one, so a tiny span keeps a word per block: which offsets are the start of a live part, which
 * ever were, and whether some cache still cuts parts from the block (GA_TINY_HELD).  The block goes
 * back when none is live and nobody holds it.  That also names each misuse of a part exactly.
 *
 * Parts of one block may be freed by any thread: the words are atomic.  A struct tiny belongs to
 * its cache.  Failure: NULL, nothing changed. */
#ifndef GA_TINY_H
#define GA_TINY_H

#include "mcentral.h"

#define GA_TINY_LIVE ((uint32_t)0xffff)         /* bit i: a live part starts at offset i */
#define GA_TINY_HELD ((uint32_t)1 << 16)        /* (offset 0 has always been a start) */
#define GA_TINY_EVER(i) ((uint32_t)1 << (16 + (i))) /* i > 0: a part has started at i */
#define GA_TINY_SLOTS 64                        /* free blocks kept in front of the central */

struct tiny {
    uintptr_t block; /* the one that parts are cut from; 0: none */
    uint32_t offset; /* bytes of it in use */
    uint32_t nslots;
    bool closed; /* hands out nothing and keeps nothing, as its cache */
    struct mspan *cached;
    uint64_t blocks; /* blocks opened */
    uint64_t allocs; /* parts beyond the first of each block (Go's tinyallocs) */
    void *slots[GA_TINY_SLOTS];
};

/* size < 16; align a power of two <= 8.  mc: the central of tiny spans, c: whose tiny it is. */
void *tiny_alloc(struct mheap *h, struct tiny *t, struct mcentral *mc, struct mcache *c,
                 size_t size, size_t align);
/* Is addr, in tiny span s, the start of a live part? */
bool tiny_is_live(const struct mspan *s, uintptr_t addr);
/* Has addr ever been the start of a part of its block? */
bool tiny_was_live(const struct mspan *s, uintptr_t addr);
/* Bytes of the live part at addr that nobody else uses, now or later; t: of the cache that asks.
 * 0: its block is being cut by another cache, which alone knows where the part ends. */
size_t tiny_part_size(const struct tiny *t, const struct mspan *s, uintptr_t addr);
/* Frees the part at addr in tiny span s; false: no live part starts there. */
bool tiny_free(struct mheap *h, struct tiny *t, struct mspan *s, uintptr_t addr);
/* Lets go of the current block and gives the free ones back. */
void tiny_release(struct mheap *h, struct tiny *t);

#endif

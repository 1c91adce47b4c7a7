/* special: what is known of single blocks, found by address (Go's special records).
 *
 * Few blocks have any: those that the profile has sampled.  They are found again when they are
 * freed, without cost for the others: the bit of a block with a special is clear in the heap bitmap
 * while it lives, so the fast paths of free and realloc take it for no live block, and the slow
 * ones look here before they call it a mistake.  A block is live if its bit is set or it has a
 * special; who asks the bitmap asks here too.  In wrap mode the blocks are those of another
 * allocator, and have no bit.
 *
 * One hash table: open addressing, linear probing; what is deleted leaves no gap.  It grows and
 * shrinks by its content.  A block has at most one special of a kind.
 * Lock: its own, a leaf.  Failure: false, nothing changed. */
#ifndef GA_SPECIAL_H
#define GA_SPECIAL_H

#include <stdatomic.h>

#include "budget.h"

#define SPECIAL_FILTER_BITS 14

enum special_kind {
    SPECIAL_PROFILE, /* a sampled block of the heap; record: its bucket */
    SPECIAL_WRAPPED, /* a sampled block of the allocator below; record: its bucket */
};

/* How many SPECIAL_WRAPPED there are, by a hash of their address: 0 says without a lock that a
 * block has none. */
struct special_filter {
    _Atomic uint16_t n[1 << SPECIAL_FILTER_BITS];
};

struct special {
    uintptr_t addr; /* 0: a free slot of the table */
    uint32_t kind;
    uint32_t record;
};

struct specials {
    struct mutex lock;
    struct budget *budget;
    struct special *slots;
    size_t nslots; /* a power of two; 0 before the first special */
    _Atomic size_t n;
    struct special_filter *filter; /* NULL: no SPECIAL_WRAPPED can be added */
};

void specials_init(struct specials *t, struct budget *budget);
void specials_destroy(struct specials *t);

GA_INLINE _Atomic uint16_t *special_filter_at(struct special_filter *f, uintptr_t addr) {
    uint64_t hash = (uint64_t)(addr >> 4) * UINT64_C(0x9e3779b97f4a7c15);
    return &f->n[hash >> (64 - SPECIAL_FILTER_BITS)];
}
/* SPECIAL_WRAPPED can be added from now on, and are counted in f, which stays the same for ever. */
void specials_begin_wrapped(struct specials *t, struct special_filter *f);

/* The caller owns the block; a special of that kind which is there already is replaced.  False: no
 * memory, or the time of that kind is over. */
bool specials_add(struct specials *t, uintptr_t addr, enum special_kind kind, uint32_t record);
/* Takes it out.  False: the block has none of that kind; of several callers one gets it. */
bool specials_take(struct specials *t, uintptr_t addr, enum special_kind kind, uint32_t *record);
/* Has it a special of any kind? */
bool specials_has(struct specials *t, uintptr_t addr);
/* Takes out all of that kind; calls visit for each, with the lock held.  The time of
 * SPECIAL_WRAPPED is then over: a thread may be about to add one. */
void specials_take_all(struct specials *t, enum special_kind kind,
                       void (*visit)(const struct special *s, void *ctx), void *ctx);
/* Calls visit for each, with the lock held. */
void specials_each(struct specials *t, void (*visit)(const struct special *s, void *ctx),
                   void *ctx);

#endif

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

#include "budget.h"

enum special_kind {
    SPECIAL_PROFILE, /* a sampled block of the heap; record: its bucket */
    SPECIAL_WRAPPED, /* a sampled block of the allocator below; record: its bucket */
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
};

void specials_init(struct specials *t, struct budget *budget);
void specials_destroy(struct specials *t);

/* The caller owns the block; a special of that kind which is there already is replaced.  False: no
 * memory. */
bool specials_add(struct specials *t, uintptr_t addr, enum special_kind kind, uint32_t record);
/* Takes it out.  False: the block has none of that kind; of several callers one gets it. */
bool specials_take(struct specials *t, uintptr_t addr, enum special_kind kind, uint32_t *record);
/* Has it a special of any kind? */
bool specials_has(struct specials *t, uintptr_t addr);
/* Takes out all of that kind; calls visit for each, with the lock held. */
void specials_take_all(struct specials *t, enum special_kind kind,
                       void (*visit)(const struct special *s, void *ctx), void *ctx);
/* Calls visit for each, with the lock held. */
void specials_each(struct specials *t, void (*visit)(const struct special *s, void *ctx),
                   void *ctx);

#endif

/* mspan: a run of pages, free or cut into slots of one size, and the lists that spans stand in.
 *
 * Two bitmaps tell about a slot.  The heap bitmap of its arena (arena.h) has a bit for its first
 * granule, set while the program owns the block, or else it has a special: that is what is live.
 * alloc_bits here, one bit per slot, is set while the slot is out of the span: live, or waiting in
 * the store of some mcache.  So live is a subset of alloc_bits, and alloc_count =
 * popcount(alloc_bits).
 *
 * Pages of the system that hold no slot which is out may have been given back while the span is in
 * use: os_released says which.  They read zero, and come back with the next slot that is taken
 * there.
 *
 * States: dead (the struct is on the free list of its fixalloc), free (in the heap's treap), in use
 * (cut into slots, or one large object), manual (a stack span).  Only mheap.c changes the state.
 *
 * Locks: a free span belongs to mheap.lock.  Of a span in use, alloc_bits, alloc_count, freeindex,
 * alloc_cache, os_released, touched and the list links belong to the mcentral.lock of its span
 * class; start_addr, npages, elemsize, nelems, spanclass do not change while it is in use and may
 * be read by anyone who holds a block of it; but who reallocates a large object changes them, with
 * mheap.lock (large.c). */
#ifndef GA_MSPAN_H
#define GA_MSPAN_H

#include <string.h>

#include "sizeclass.h"

enum mspan_state { MSPAN_DEAD, MSPAN_IN_USE, MSPAN_MANUAL, MSPAN_FREE };

struct mspan_list;
struct mcentral;
struct mcache;

struct mspan {
    struct mspan *next, *prev; /* in `list`, else NULL */
    struct mspan_list *list;
    uintptr_t start_addr;
    uint32_t npages;
    uint8_t state;         /* enum mspan_state */
    uint8_t needzero;      /* memory may be non-zero */
    uint8_t scavenged;     /* free span: its pages have been given back to the system */
    bool watched;          /* large object that is counted in mheap.nwatched */
    spanclass_t spanclass; /* in use: size class and noscan */
    union {
        struct {                  /* in use or manual */
            uint64_t alloc_cache; /* of ~alloc_bits from freeindex on; bit 0 = slot freeindex */
            uint64_t *alloc_bits;
            void *manual_free_list; /* manual: free stacks, linked through their first word */
            uint32_t *tiny_parts;   /* tiny spans: per slot the starts of live parts (tiny.h) */
            struct mcentral *central; /* in use, small: where it came from and goes back to */
            struct mcache *cached;    /* the mcache that refills from this span, or NULL */
        };
        struct { /* free */
            struct mspan *treap_left, *treap_right, *treap_parent;
            uint32_t treap_priority;
        };
    };
    size_t elemsize; /* bytes per slot; a large object: all of the span */
    uint32_t divmagic;
    uint16_t freeindex; /* slots below it are not looked at until the next lap */
    uint16_t nelems;
    uint16_t alloc_count; /* slots out of the span */
    uint16_t nfresh;      /* slots from here on were never handed out */
    uint32_t os_released : 24; /* in use: which pages of the system are given back */
    uint32_t touched : 8;      /* tick in which a slot last went out or came back */
    uint64_t inline_bits; /* alloc_bits of a span of at most 64 slots */
};

struct mspan_list {
    struct mspan *first, *last;
    size_t length;
};

void mspan_list_init(struct mspan_list *l);
void mspan_list_insert(struct mspan_list *l, struct mspan *s);      /* at the front */
void mspan_list_insert_back(struct mspan_list *l, struct mspan *s); /* throws if s is in a list */
void mspan_list_remove(struct mspan_list *l, struct mspan *s);      /* throws if s is not in l */

GA_INLINE size_t mspan_bytes(const struct mspan *s) { return (size_t)s->npages << GA_PAGE_SHIFT; }
GA_INLINE uintptr_t mspan_end(const struct mspan *s) { return s->start_addr + mspan_bytes(s); }
/* End of the last slot: what lies behind it is tail waste. */
GA_INLINE uintptr_t mspan_limit(const struct mspan *s) {
    return s->start_addr + (size_t)s->nelems * s->elemsize;
}
/* Slot that offset (bytes from start_addr, < span bytes) lies in; n * magic >> 32 is exact. */
GA_INLINE unsigned mspan_objindex(const struct mspan *s, size_t offset) {
    return (unsigned)((uint64_t)offset * s->divmagic >> 32);
}
GA_INLINE bool mspan_is_taken(const struct mspan *s, unsigned i) {
    return s->alloc_bits[i >> 6] >> (i & 63) & 1;
}

/* Words of alloc_bits for nelems slots. */
GA_INLINE size_t mspan_bits_words(unsigned nelems) { return (nelems + 63) / 64; }

/* Makes s a span of nelems slots, all free.  alloc_bits must be set and zero. */
void mspan_init_slots(struct mspan *s, spanclass_t spc);
/* Loads alloc_cache with the 64 slots around freeindex (Go's refillAllocCache + shift). */
void mspan_refill_alloc_cache(struct mspan *s);

/* A free slot in a store: its address, rotated so that the granule's number comes lowest, and the
 * word of the heap bitmap that its bit is in. */
struct free_slot {
    uintptr_t granule; /* address / 16, the lowest four bits of the address on top; 0: no slot */
    uint64_t *bits;
};
GA_INLINE uintptr_t granule_of(uintptr_t addr) {
    return addr >> GA_GRANULE_SHIFT | addr << (64 - GA_GRANULE_SHIFT);
}
GA_INLINE uintptr_t granule_addr(uintptr_t granule) {
    return granule << GA_GRANULE_SHIFT | granule >> (64 - GA_GRANULE_SHIFT);
}

/* Slots of a span: for each bit i of mask the one at base + i * elemsize. */
struct slot_window {
    uintptr_t base;
    uint64_t mask;
};
/* Takes up to want slots, the next that are free, as many as one word of alloc_bits tells of; goes
 * round once more from the start.  Returns how many, 0: want is 0 or none is free. */
unsigned mspan_take_window(struct mspan *s, size_t want, struct slot_window *w);
/* Takes the slot of a large object's new span, as mspan_take_window would. */
GA_INLINE void mspan_take_only(struct mspan *s) {
    *s->alloc_bits = 1;
    s->alloc_count = s->nfresh = s->freeindex = 1;
    s->alloc_cache = 0;
}
/* Slots on their way back: addresses, or (stored) free slots of a store. */
GA_INLINE uintptr_t slot_addr(const void *at, bool stored) {
    uintptr_t word;
    memcpy(&word, at, sizeof word);
    return stored ? granule_addr(word) : word;
}
GA_INLINE size_t slot_stride(bool stored) {
    return stored ? sizeof(struct free_slot) : sizeof(void *);
}
/* Puts slots back, those at the front of n that lie in s, the first for sure; they must be out.
 * Returns how many. */
size_t mspan_put(struct mspan *s, const void *slots, size_t n, bool stored);
/* The pages of the system, os_page bytes each, that lie in s and hold no part of a slot that is
 * out: bit i is the i-th from the start. */
uint32_t mspan_vacant_os_pages(const struct mspan *s, size_t os_page);
/* The pages of the system that slot i lies in. */
uint32_t mspan_os_pages_of_slot(const struct mspan *s, unsigned i, size_t os_page);
/* Walks the span's own invariants; throws. */
void mspan_check(const struct mspan *s);

#endif

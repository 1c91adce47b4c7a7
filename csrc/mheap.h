/* mheap: the page heap.  Free page runs in one treap, exact best fit; spans in use; growth.
 *
 * A span is handed out by fewest pages first, unscavenged before scavenged, lowest address on a tie;
 * a split leaves it the low part; a freed one is merged with free neighbours on both sides.  Fresh
 * address space counts as free and released until it is used.
 *
 * The heap is also the root of everything above it: the centrals, caches and stack pools of this heap
 * hang here as pointers to types of higher floors; this file never follows them.
 *
 * Invariants (inspect_check proves them):
 *   mapped = pages of spans in use, manual and free, in bytes
 *   pages_in_use = sum of npages over spans in use
 *   released = GA_PAGE_SIZE * released bits, all of them in free spans
 *   no two free spans are neighbours
 * Lock: `lock`, taken under any mcentral.lock, never the other way round.  Functions named _locked
 * want it held.  Failure: NULL, nothing changed. */
#ifndef GA_MHEAP_H
#define GA_MHEAP_H

#include "arena.h"
#include "treap.h"

struct mcentral;
struct mcaches;
struct stackpools;

/* Objects above GA_MAX_SMALL_SIZE, by noscan. */
struct large_stats {
    uint64_t mallocs, frees;           /* objects */
    uint64_t malloc_bytes, free_bytes; /* whole pages */
};

struct mheap {
    struct os os;
    struct persistentalloc persistent;
    struct mutex lock;

    /* ---- guarded by lock ---- */
    struct treap free;
    struct arena_map map;
    struct fixalloc spanalloc;
    struct fixalloc bitsalloc[3]; /* alloc_bits of more than 64 slots, by size */
    struct fixalloc tinyalloc;    /* tiny_parts */
    struct mspan **allspans;      /* every span struct ever made, dead ones included */
    size_t nallspans, allspans_cap;
    uint64_t pages_in_use;  /* pages of spans in use */
    uint64_t peak_in_use;   /* the most there ever were */
    uint64_t pages_manual;  /* pages of manual spans */
    uint64_t mapped;        /* bytes that are Ready */
    uint64_t released;      /* bytes of them that have been given back, or never used */
    struct large_stats large[2];

    /* ---- memory classes: bytes from the system for our own structures; atomic ---- */
    _Atomic uint64_t mspan_sys, mcache_sys, gc_sys;

    /* ---- the floors above; set once ---- */
    struct mcentral *central;      /* one per span class, and one for tiny spans: the first set */
    struct mcentral *central_sets; /* all sets, newest first */
    struct mcaches *caches;
    struct stackpools *stacks;
};

/* False: out of memory, and h holds nothing. */
bool mheap_init(struct mheap *h, enum arena_layout layout, size_t linear_bytes);
/* Gives every page of the heap back to the system. */
void mheap_destroy(struct mheap *h);

/* A span in use for slots of spc (alloc_bits set and zero, tiny_parts too if tiny). */
struct mspan *mheap_alloc(struct mheap *h, spanclass_t spc, bool tiny);
struct mspan *mheap_alloc_manual(struct mheap *h, size_t npages);
/* s: in use, all slots free, or manual. */
void mheap_free(struct mheap *h, struct mspan *s);

/* ---- for large.c, which makes spans in use of runs of its own sizes ---- */
/* A run of npages whose start is aligned to align_pages, out of the treap, state not yet set. */
struct mspan *mheap_take_run_locked(struct mheap *h, size_t npages, size_t align_pages);
/* Makes s, whose slots are set up, a span in use; class is written to pageclass. */
void mheap_publish_locked(struct mheap *h, struct mspan *s, uint8_t class);
/* mheap_free; the slot of a large object may be taken.  needzero: its pages may be non-zero. */
void mheap_free_locked(struct mheap *h, struct mspan *s, bool needzero);
/* Adds free pages behind a large object's span, or gives those behind its first npages back.  Its
 * slot is the caller's to adjust.  False: not possible, nothing changed. */
bool mheap_extend_locked(struct mheap *h, struct mspan *s, size_t npages);
bool mheap_cut_locked(struct mheap *h, struct mspan *s, size_t npages);

/* Gives all free runs back to the system.  Returns the bytes that were not given back before. */
size_t mheap_free_os_memory(struct mheap *h);

/* The span in any state that addr lies in; needs the lock, since free runs come and go. */
struct mspan *mheap_span_of_locked(struct mheap *h, uintptr_t addr);
/* The span in use that addr lies in, or NULL.  No lock: for callers who hold a block of it; on a
 * wild address the answer is NULL or a span that then fails the caller's own test. */
struct mspan *mheap_span_of_heap(struct mheap *h, uintptr_t addr);

#endif

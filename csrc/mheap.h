/* mheap: the page heap.  Free page runs in one treap, exact best fit; spans in use; growth.
 *
 * A span is handed out by fewest pages first, unscavenged before scavenged, lowest address on a
 * tie; a split leaves it the low part; a freed one is merged with free neighbours on both sides.
 * Fresh address space counts as free and released until it is used.
 *
 * The heap is also the root of everything above it: the centrals, caches and stack pools of this
 * heap hang here as pointers to types of higher floors; this file never follows them.
 *
 * Invariants (inspect_check proves them):
 *   mapped = pages of spans in use, manual and free, in bytes
 *   pages_in_use = sum of npages over spans in use
 *   released = GA_PAGE_SIZE * released bits, all of them in free spans; where pages of the system
 *     are larger, of whole ones
 *   inuse_released = bytes of the os_released pages of spans in use
 *   no two free spans are neighbours
 * Lock: `lock`, taken under any mcentral.lock, never the other way round.  Functions named _locked
 * want it held.  Failure: NULL, nothing changed. */
#ifndef GA_MHEAP_H
#define GA_MHEAP_H

#include "arena.h"
#include "special.h"
#include "treap.h"

struct mcentral;
struct mcaches;
struct profile;
struct stackpools;
struct scavenger;
struct guards;

/* Objects with pages of their own (large.h), by noscan. */
struct large_stats {
    uint64_t mallocs, frees;           /* objects */
    uint64_t malloc_bytes, free_bytes; /* whole pages */
};

/* What mheap_scavenge.c knows.  Guarded by mheap.lock. */
struct scavenge {
    uint64_t peaks[GA_SCAVENGE_TICKS + 1]; /* the most pages in use in each of the last ticks */
    unsigned tick;                         /* index of the one that goes on */
    uint64_t taken;                        /* pages that have come into use in it */
    uint64_t held;                         /* pages that a program at work may need again */
    uint64_t top;                          /* bytes that may be backed before free runs go back */
    struct treap_key upto;                 /* runs behind it have been looked at in this tick */
    bool over;                             /* all have */
    uint64_t bytes;                        /* given back so far without being asked for */
};

struct mheap {
    struct os os;
    struct persistentalloc persistent;
    struct mutex lock;
    size_t os_page; /* os_page_size() */

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
    /* pages in use on their way into others by page tables: counted twice */
    uint64_t pages_moving;
    _Atomic uint64_t mapped; /* bytes that are Ready; read without the lock */
    uint64_t released;      /* bytes of them that have been given back, or never used */
    struct large_stats large[2];
    struct scavenge scavenge;

    /* ---- atomic ---- */
    _Atomic uint64_t memory_limit; /* bytes; UINT64_MAX: none; changed with the lock */
    _Atomic uint64_t inuse_released; /* bytes given back inside of spans in use */
    _Atomic uint64_t nwatched; /* live large objects that large_watch was told of */
    _Atomic bool tight;  /* near the memory limit: nothing spare is kept */
    _Atomic bool active; /* something was freed since the scavenger last looked */
    /* new spans of slots are zero: no slot holds what it held in another span; set once */
    bool wipe_spans;
    void (*wake)(struct mheap *h); /* told when active becomes true; set once, or NULL */

    /* ---- by locks of their own ---- */
    struct budget profile_budget; /* of specials and profile */
    struct specials specials;

    /* ---- memory classes: bytes from the system for our own structures; atomic ---- */
    _Atomic uint64_t mspan_sys, mcache_sys, gc_sys;

    /* ---- the floors above; set once ---- */
    struct mcentral *central;      /* one per span class, and one for tiny spans: the first set */
    struct mcentral *central_sets; /* all sets, newest first */
    struct mcaches *caches;
    struct stackpools *stacks;
    struct scavenger *scavenger;
    struct guards *_Atomic guards; /* NULL until blocks were first asked to be guarded */
    struct profile *profile; /* or NULL: nothing is sampled */
};

/* False: out of memory, and h holds nothing. */
bool mheap_init(struct mheap *h, enum arena_layout layout, size_t linear_bytes);
/* Gives every page of the heap back to the system. */
void mheap_destroy(struct mheap *h);

/* A span in use for slots of spc (alloc_bits set and zero, tiny_parts too if tiny).  fills: its
 * slots will be used, all of them and soon. */
struct mspan *mheap_alloc(struct mheap *h, spanclass_t spc, bool tiny, bool fills);
struct mspan *mheap_alloc_manual(struct mheap *h, size_t npages);
/* s: in use, all slots free, or manual. */
void mheap_free(struct mheap *h, struct mspan *s);

/* ---- for large.c, which makes spans in use of runs of its own sizes ---- */
struct run_need {
    size_t npages, align_pages; /* where it starts is a multiple of align_pages */
    size_t room;                /* pages that had better be free behind it: it may grow */
    bool fills;                 /* all of it will be written, and soon */
};
/* A run, out of the treap, state not yet set. */
struct mspan *mheap_take_run_locked(struct mheap *h, struct run_need need);
/* Makes s, whose slots are set up, a span in use; class is written to pageclass. */
void mheap_publish_locked(struct mheap *h, struct mspan *s, uint8_t class);
/* mheap_free; the slot of a large object may be taken.  needzero: its pages may be non-zero. */
void mheap_free_locked(struct mheap *h, struct mspan *s, bool needzero);
/* Adds free pages behind a large object's span, or gives those behind its first npages back.  Its
 * slot is the caller's to adjust.  False: not possible, nothing changed. */
bool mheap_extend_locked(struct mheap *h, struct mspan *s, size_t npages);
bool mheap_cut_locked(struct mheap *h, struct mspan *s, size_t npages);

/* ---- for mheap_scavenge.c ---- */
/* s, which is in no list and no treap, becomes a free run as it is. */
void mheap_insert_free_locked(struct mheap *h, struct mspan *s);

/* ---- mheap_scavenge.c ----------------------------------------------------------------------- */

/* npages from start are about to be written, which are still free, and released as far as they
 * were, and those behind them up to end may be next: backs all that in one go, or does nothing. */
void mheap_populate_locked(struct mheap *h, uintptr_t start, size_t npages, uintptr_t end);

/* Pages of s, a free run out of the treap, come into use, and with them what else of s lies on the
 * same pages of the system.  Returns how many of the npages had been given back. */
size_t mheap_back_locked(struct mheap *h, const struct mspan *s, uintptr_t start, size_t npages);

/* The pages of free span s that are not given back yet go back, the highest max_pages of them.
 * Returns the bytes: 0 also where the system refuses. */
size_t mheap_release_locked(struct mheap *h, struct mspan *s, size_t max_pages);

/* To be called before the pages of a span in use are given back or moved; false: they must not
 * be. */
bool mheap_renounce_huge(struct mheap *h, uintptr_t addr, size_t nbytes);

/* Gives all free runs back to the system.  Returns the bytes that were not given back before. */
size_t mheap_free_os_memory(struct mheap *h);
/* Bytes that are given back now, free runs and inside of spans. */
uint64_t mheap_given_back(struct mheap *h);
/* Begins the next tick of the scavenger. */
void mheap_scavenge_tick(struct mheap *h);
/* npages were in use in this tick and not needed: its peak counts without them. */
void mheap_scavenge_lower_peak(struct mheap *h, uint64_t npages);
/* Bytes that are kept beyond the goal. */
size_t mheap_scavenge_surplus(struct mheap *h);
/* Gives up to nbytes back, of one run, the biggest and highest first.  0: none is left in this
 * tick. */
size_t mheap_scavenge(struct mheap *h, size_t nbytes);
/* Bytes of memory that the heap takes from the system right now. */
uint64_t mheap_ready_bytes_locked(const struct mheap *h);
/* nbytes, UINT64_MAX for none; returns the former limit. */
uint64_t mheap_set_memory_limit(struct mheap *h, uint64_t nbytes);
/* The heap has come to take more memory: keeps the limit, if giving back can. */
void mheap_keep_limit_locked(struct mheap *h);
/* As above: if that is more than before, free runs that are kept go back for it. */
void mheap_keep_top_locked(struct mheap *h);

GA_INLINE bool mheap_is_tight(const struct mheap *h) {
    return GA_UNLIKELY(atomic_load_explicit(&h->tight, memory_order_relaxed));
}
GA_INLINE void mheap_count_inuse_released(struct mheap *h, int64_t nbytes) {
    atomic_fetch_add_explicit(&h->inuse_released, (uint64_t)nbytes, memory_order_relaxed);
}
/* Called wherever something has been freed that a cache, a central or the heap now keeps. */
GA_INLINE void mheap_mark_active(struct mheap *h) {
    if (GA_LIKELY(atomic_load_explicit(&h->active, memory_order_relaxed)))
        return;
    atomic_store_explicit(&h->active, true, memory_order_relaxed);
    if (h->wake != NULL)
        h->wake(h);
}

/* The span in any state that addr lies in; needs the lock, since free runs come and go. */
struct mspan *mheap_span_of_locked(struct mheap *h, uintptr_t addr);
/* The span in use that addr lies in, or NULL.  No lock: for callers who hold a block of it; on a
 * wild address the answer is NULL or a span that then fails the caller's own test. */
struct mspan *mheap_span_of_heap(struct mheap *h, uintptr_t addr);

#endif

/* mcentral: the spans of one span class, shared by the caches of one set.
 *
 * It holds no free slots itself, the mspans do.  Nonempty: spans with a free slot that no mcache
 * refills from, in lists by how full they are, [0] those that have no slot out (idle).  Empty:
 * spans without a free slot and those that an mcache has (s->cached).  A cache takes slots by the
 * batch (mcentral_take) and gives them back by the batch (mcentral_put), so one lock is paid for
 * many blocks.
 *
 * Packing: the fullest span is handed out first, so that the emptiest become idle.
 *
 * Sets.  A heap has one set of centrals, and one more for each further interpreter that has an
 * object allocator of its own: a span never leaves its set, so the heap bitmap of a mem or obj
 * block is only ever touched under one GIL and needs no atomics.
 *
 * Hysteresis: a span all of whose slots have come back is kept while such spans make up no more
 * than GA_CENTRAL_KEEP_BYTES (but at least one of them), unless it is the only one of a coarse
 * class; the next goes back to the heap.  Those that were idle for a whole tick of the scavenger go
 * too, and when memory is tight none is kept.
 *
 * What is vacant inside spans that nobody touched for a delay goes back to the system page by page
 * (mcentral_scavenge.c).
 *
 * Index GA_TINY_CENTRAL of a set is the central of tiny spans: class 5 like the ordinary 16-byte
 * noscan ones, but cut further (tiny.h).
 * Lock: `lock`, before mheap.lock; no two mcentral locks at once, except to stop everything. */
#ifndef GA_MCENTRAL_H
#define GA_MCENTRAL_H

#include "mheap.h"

#define GA_TINY_CENTRAL GA_NUM_SPAN_CLASSES
#define GA_NUM_CENTRALS (GA_NUM_SPAN_CLASSES + 1)

struct mcentral {
    struct mutex lock;
    spanclass_t spanclass;
    bool tiny;
    uint8_t tick;               /* the scavenger's, as it last came by */
    uint32_t keep;              /* idle spans kept */
    uint32_t least_idle;        /* the fewest idle spans since then */
    uint32_t fill_magic;        /* alloc_count * fill_magic >> 16 is 0 to GA_CENTRAL_FILLS - 2 */
    struct mspan_list nonempty[GA_CENTRAL_FILLS]; /* a free slot, not cached; by fill */
    struct mspan_list empty;                      /* no free slot, or cached */
    /* the next span of nonempty to look into for vacant pages, or NULL */
    struct mspan *sweep;
    uint64_t taken;             /* slots out of its spans */
    struct mcentral *next_set;  /* of the first central of a set: the set made before it */
} GA_ALIGNED(GA_CACHE_LINE);

/* A new set of GA_NUM_CENTRALS, linked at h->central_sets; NULL: out of memory. */
struct mcentral *mcentral_new_set(struct mheap *h);
void mcentral_destroy_sets(struct mheap *h);

/* Takes up to want slots into out for cache c, refilling from *cached, the span that c has of this
 * class (NULL: none yet), and moving on to others; the heap grows only for the first slot.  Returns
 * how many: 0 is out of memory. */
size_t mcentral_take(struct mheap *h, struct mcentral *mc, struct mcache *c, struct mspan **cached,
                     size_t want, void **out);
/* The same into a store: the last slot, which a store hands out first, is the one that came
 * first. */
size_t mcentral_fill_store(struct mheap *h, struct mcentral *mc, struct mcache *c,
                           struct mspan **cached, size_t want, struct free_slot *base);
/* Gives n slots back to their spans, of whatever centrals.  They must not be live. */
void mcentral_put(struct mheap *h, void *const *slots, size_t n);
void mcentral_put_stored(struct mheap *h, const struct free_slot *slots, size_t n);
/* The cache that has *cached no longer refills from it. */
void mcentral_uncache_span(struct mheap *h, struct mspan **cached);
/* Spans in all its lists; its lock, or all caches stopped. */
size_t mcentral_nspans(const struct mcentral *mc);
/* Gives n idle spans back to the heap, or all there are; returns their pages. */
size_t mcentral_release_idle(struct mheap *h, struct mcentral *mc, size_t n);

/* ---- mcentral_scavenge.c -------------------------------------------------------------------- */

/* A tick of the scavenger: gives back the spans that were idle since the last one; returns their
 * pages. */
size_t mcentral_age(struct mheap *h, struct mcentral *mc, uint8_t tick);
/* Begins a walk over the nonempty spans; each step looks at a few, and gives the vacant pages of
 * those that were not touched for min_age ticks back to the system, and adds them to *given
 * (bytes).  False: the walk is over. */
void mcentral_sweep_begin(struct mcentral *mc);
bool mcentral_sweep_step(struct mheap *h, struct mcentral *mc, uint8_t min_age, uint64_t *given);
/* The span behind s in the lists of nonempty, from list to list; NULL: none. */
struct mspan *mcentral_after(const struct mcentral *mc, const struct mspan *s);
/* Slot i of s, whose os_released is not 0, goes out: its pages are in use again. */
void mcentral_unrelease_slot(struct mheap *h, struct mspan *s, unsigned i);
/* How full a span is: the index of its list. */
GA_INLINE unsigned mcentral_fill(const struct mcentral *mc, const struct mspan *s) {
    return s->alloc_count == 0 ? 0 : 1 + (s->alloc_count * mc->fill_magic >> 16);
}

#endif

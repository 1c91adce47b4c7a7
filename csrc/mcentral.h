/* mcentral: the spans of one span class, shared by the caches of one set.
 *
 * It holds no free slots itself, the mspans do.  Two lists: nonempty, spans with a free slot that no
 * mcache refills from; empty, spans without a free slot and those that an mcache has (s->cached).
 * A cache takes slots by the batch (mcentral_take) and gives them back by the batch (mcentral_put),
 * so one lock is paid for many blocks.
 *
 * Sets.  A heap has one set of centrals, and one more for each further interpreter that has an
 * object allocator of its own: a span never leaves its set, so the heap bitmap of a mem or obj block
 * is only ever touched under one GIL and needs no atomics.
 *
 * Hysteresis: a span all of whose slots have come back is kept while such spans make up no more than
 * GA_CENTRAL_KEEP_BYTES (but at least one of them); the next goes back to the heap.
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
    uint32_t keep;              /* idle spans kept */
    uint32_t nidle;             /* spans of nonempty that have no slot out */
    struct mspan_list nonempty; /* a free slot, not cached */
    struct mspan_list empty;    /* no free slot, or cached */
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
/* Gives n slots back to their spans, of whatever centrals.  They must not be live. */
void mcentral_put(struct mheap *h, void **slots, size_t n);
/* The cache that has *cached no longer refills from it. */
void mcentral_uncache_span(struct mheap *h, struct mspan **cached);
/* Gives the idle spans back to the heap. */
void mcentral_release_idle(struct mheap *h, struct mcentral *mc);

#endif

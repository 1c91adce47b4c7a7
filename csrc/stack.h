/* stack: memory for CPython's own chunks, the frame stacks of its threads, as Go serves goroutines.
 *
 * Four orders, 2 KiB to 16 KiB, each cut from manual spans of 32 KiB with a free list through the
 * free stacks; larger requests are page runs of their own.  In front of the pool each cache keeps
 * up to GA_STACK_CACHE_SIZE bytes per order, taken and given back by halves.
 * Invariant: a pool span is in its order's list exactly while it has a free stack; alloc_count is
 * the number that are out.  A span with none out goes back to the heap.
 * Lock: stackpools.lock, before mheap.lock; a stackcache belongs to its owner. */
#ifndef GA_STACK_H
#define GA_STACK_H

#include "mheap.h"

struct stackcache {
    struct {
        void *list; /* free stacks, linked through their first word */
        size_t nbytes;
    } order[GA_STACK_ORDERS];
};

struct stackpools {
    struct mutex lock;
    struct mspan_list pool[GA_STACK_ORDERS]; /* spans with a free stack */
};

/* Fills in h->stacks.  False: out of memory. */
bool stack_init(struct mheap *h);
void stack_destroy(struct mheap *h);

/* NULL: out of memory. */
void *stack_alloc(struct mheap *h, struct stackcache *c, size_t nbytes);
/* False: p is not a stack of this heap. */
bool stack_free(struct mheap *h, struct stackcache *c, void *p, size_t nbytes);
void stackcache_release(struct mheap *h, struct stackcache *c);

#endif

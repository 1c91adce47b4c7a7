/* The treap of free page runs: exact best fit (Go 1.12.5's order, plus the scavenged flag).
 *
 * A binary search tree by key (npages, scavenged, start_addr) and a min-heap by a random priority,
 * its nodes the free spans themselves.  treap_find(n) is the smallest key with npages >= n: fewest
 * pages first, unscavenged before scavenged, lowest address on a tie.
 * Routines: treap_insert, treap_remove, treap_find, treap_first/next, treap_last/prev, treap_check.
 * Lock: mheap.lock must be held. */
#ifndef GA_TREAP_H
#define GA_TREAP_H

#include "mspan.h"
#include "rng.h"

struct treap {
    struct mspan *root;
    struct rng rng;  /* priorities */
    size_t nspans;   /* spans in it */
    uint64_t npages; /* their pages */
};

void treap_init(struct treap *t, uint64_t seed);
void treap_insert(struct treap *t, struct mspan *s); /* throws if a span with its key is in */
void treap_remove(struct treap *t, struct mspan *s); /* throws if s is not in */
struct mspan *treap_find(const struct treap *t, size_t npages); /* NULL: none is large enough */

/* The key of a span. */
struct treap_key {
    size_t npages;
    bool scavenged;
    uintptr_t addr;
};
GA_INLINE struct treap_key treap_key_of(const struct mspan *s) {
    return (struct treap_key){s->npages, s->scavenged, s->start_addr};
}
GA_INLINE struct treap_key treap_key_max(void) {
    return (struct treap_key){SIZE_MAX, true, UINTPTR_MAX};
}

/* In key order; NULL at the end. */
struct mspan *treap_first(const struct treap *t);
/* the last not behind upto */
struct mspan *treap_last(const struct treap *t, struct treap_key upto);
struct mspan *treap_next(const struct mspan *s);
struct mspan *treap_prev(const struct mspan *s);

/* Key order, heap order, parent links, counts; throws. */
void treap_check(const struct treap *t);

#endif

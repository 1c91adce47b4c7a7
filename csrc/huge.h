/* huge: where the kernel backs the heap with huge pages, and where no longer.
 *
 * Asked for (GOALLOC_HUGE_PAGES), in whole huge pages:
 *   dense  where a heap that is large already grows by small objects: that is filled from end to
 *          end, and what of the last huge page is not used yet is little beside the rest.  Not for
 *          large objects, which a program may leave mostly untouched.
 *   all    wherever the heap grows.
 * Never for pages that come into use again, which lie scattered.
 *
 * Before any page is given back its huge page is renounced, or khugepaged would fill the gap: so
 * also where the system makes huge pages unasked.
 * Invariant: huge pages can come only where the arena's bit of it is set.
 * Lock: mheap.lock, except where said. */
#ifndef GA_HUGE_H
#define GA_HUGE_H

#include "arena.h"

_Static_assert(GA_ARENA_SIZE >> GA_HUGE_SHIFT == 32, "a word has a bit for each of an arena");

/* To what multiple the end of the heap is to grow.  dense: for small objects. */
size_t huge_grow_unit(const struct arena_map *m, bool dense, uint64_t bytes_in_use);
/* A piece has become Ready, with what huge_grow_unit answered. */
void huge_grown(struct arena_map *m, struct arena_piece piece, size_t unit);

/* May there be huge pages somewhere in the range?  No lock. */
bool huge_is_possible(const struct arena_map *m, uintptr_t addr, size_t nbytes);
/* To be called before the range, or a part of it, is given back; false: it must not be. */
bool huge_renounce(struct arena_map *m, uintptr_t addr, size_t nbytes);
/* os_renew has made the range as it came from the system. */
void huge_renewed(struct arena_map *m, uintptr_t addr, size_t nbytes);

#endif

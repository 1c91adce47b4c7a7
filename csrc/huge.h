/* huge: where the kernel is asked to back the heap with huge pages.
 *
 * Only growth for small objects in a heap that is large already is advised, in whole huge pages: it
 * is filled from end to end, and what of the last one is not used yet is little beside the rest.  Not
 * advised are large objects, which a program may leave mostly untouched, and pages that come into use
 * again, which lie scattered.
 *
 * Before any page is given back the advice for its huge page is taken back, or khugepaged would fill
 * the gap.  It is not given again.
 * Lock: mheap.lock, except where said. */
#ifndef GA_HUGE_H
#define GA_HUGE_H

#include "arena.h"

_Static_assert(GA_ARENA_SIZE >> GA_HUGE_SHIFT == 32, "a word has a bit for each of an arena");

/* To what multiple the end of the heap is to grow.  dense: for small objects. */
size_t huge_grow_unit(const struct arena_map *m, bool dense, uint64_t bytes_in_use);
/* A piece has become Ready, with what huge_grow_unit answered. */
void huge_grown(struct arena_map *m, struct arena_piece piece, size_t unit);

/* May huge pages have been asked for somewhere in the range?  No lock. */
bool huge_is_advised(const struct arena_map *m, uintptr_t addr, size_t nbytes);
/* To be called before the range, or a part of it, is given back; false: it must not be. */
bool huge_take_back(struct arena_map *m, uintptr_t addr, size_t nbytes);

#endif

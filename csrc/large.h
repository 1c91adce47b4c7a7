/* large: objects above GA_MAX_SMALL_SIZE, each a span with one slot, as long as its pages; and what
 * is left of those, down to GA_CUT_MIN, since readers ask for much and keep what came.
 *
 * Resizing keeps a block where it is if it shrinks or the pages behind it are free.  Else it moves:
 * from GA_MOVE_MIN bytes on by page tables, so that nothing is copied and nothing is touched.
 *
 * Statistics: whatever changes the pages of a block counts as a malloc of the new and a free of the
 * old, as if it had been copied.
 *
 * Invariant: where a move has begun a mapping of the kernel's, the arena's seam bit is set; a move
 * goes from seam to seam.
 * Lock: mheap.lock, taken here; not held while contents move.  A block in use is its owner's:
 * nobody else resizes or frees it meanwhile. */
#ifndef GA_LARGE_H
#define GA_LARGE_H

#include "mheap.h"

/* The span of a new block, aligned to align (a power of two): its slot is taken, its bit in the
 * heap bitmap not yet set. */
struct mspan *large_alloc(struct mheap *h, size_t nbytes, size_t align, bool noscan);
/* Its bit has been cleared. */
void large_free(struct mheap *h, struct mspan *s);
/* Counts s, a live block, in nwatched until it is freed or resized, by whomever. */
void large_watch(struct mheap *h, struct mspan *s);
/* Gives s, a live block, the pages that nbytes (from GA_CUT_MIN on) need, where it is.  False:
 * there is no room behind it, nothing has changed. */
bool large_resize(struct mheap *h, struct mspan *s, size_t nbytes, bool noscan);
/* Moves s, a live block, into one of nbytes >= its own, which is live then instead.  NULL: out of
 * memory, nothing has changed. */
struct mspan *large_move(struct mheap *h, struct mspan *s, size_t nbytes, bool noscan);

#endif

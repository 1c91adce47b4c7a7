/* wrap: goalloc on top of other allocators: every call is passed on to what was in CPython's table
 * before, and counted by size class.  For where goalloc must not replace: under debug hooks, over
 * tracemalloc or another tool, in a free-threaded Python.
 *
 * A block is that of the allocator below, as it gave it: no header, no change of address.  So
 * whoever takes us out of the table, by whatever he saved before we came, does no harm; he is
 * noticed (pyhook_reached).  And whoever saved us and puts us back later finds us passing on still.
 *
 * Not known is the size of a block that is freed: the allocator below doesn't tell, and a table of
 * all blocks of our own would cost a hash of each address at each call.  Frees are counted in all
 * only, and of the blocks that the profile has sampled (wrap_sample.h).  What an allocator asks for
 * while it serves a call (pymalloc its large blocks, from raw) is its business and not counted; nor
 * is what it frees.
 *
 * Functions in the table are called without the GIL (raw; all of them where there is none), while
 * other threads change the table: they ignore their context, as those of pyhook.c do, and find the
 * allocator below by one pointer to a structure that never changes.
 * Lock: none; wrap_put_in and wrap_take_out are for one caller at a time. */
#ifndef GA_WRAP_H
#define GA_WRAP_H

#include <Python.h>

#include "tally.h"

#define WRAP_DOMAINS 3

/* On top of what is in the table now, where calls do not come by already, and counts; NULL, or one
 * sentence why not. */
const char *wrap_put_in(void);
/* Counts no more, and leaves the table where we are on top; elsewhere passes on for ever. */
void wrap_take_out(void);
/* Do calls of all domains come by here, and are they counted?  A caller of Python's memory
 * functions: needs a thread state. */
bool wrap_is_in(void);
/* What was asked for while it was in, so far. */
void wrap_sums(struct tally_sums *out);

/* PyMem_RawMalloc and the like by domain: through whatever is in the table. */
void *wrap_domain_malloc(PyMemAllocatorDomain domain, size_t size);
void wrap_domain_free(PyMemAllocatorDomain domain, void *p);

#endif

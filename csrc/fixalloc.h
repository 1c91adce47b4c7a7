/* fixalloc: a free list of objects of one size, carved from 16 KiB persistent chunks.
 *
 * Used for every structure of ours that comes and goes: spans, caches, bitmaps, hints.  A free
 * object's first word is the list link.  Objects come zeroed if `zero` is set (the default);
 * otherwise with whatever their last user left, less the first word.
 * Invariant: inuse = size * (objects handed out - objects taken back).
 * Lock: the caller's (each instance says which).  Failure: NULL, nothing changed. */
#ifndef GA_FIXALLOC_H
#define GA_FIXALLOC_H

#include "persistent.h"

struct fixalloc {
    size_t size; /* bytes per object, multiple of 8 */
    size_t align;
    struct persistentalloc *persistent;
    _Atomic uint64_t *stat; /* memory class that chunks are counted in */
    void *list;             /* free objects, linked through their first word */
    uintptr_t chunk, chunk_end;
    uint64_t inuse; /* bytes handed out */
    bool zero;
};

void fixalloc_init(struct fixalloc *f, size_t size, size_t align,
                   struct persistentalloc *persistent, _Atomic uint64_t *stat);
void *fixalloc_alloc(struct fixalloc *f);
void fixalloc_free(struct fixalloc *f, void *p);

#endif

/* fixalloc: objects of one size from a free list or the newest chunk.
 *
 * A chunk is a whole number of objects (one, if the object is larger than a chunk), so nothing is
 * left over at its end; size is a multiple of align, so every object is as aligned as its chunk.
 * Invariant: what lies in [chunk, chunk_end) was never handed out and is zero.
 * Lock: the caller's. */
#include "fixalloc.h"

#include <string.h>

#include "config.h"
#include "fatal.h"

void fixalloc_init(struct fixalloc *f, size_t size, size_t align,
                   struct persistentalloc *persistent, _Atomic uint64_t *stat) {
    align = ga_max(align, sizeof(void *)); /* the list link */
    GA_CHECK(size > 0 && ga_is_pow2(align));
    *f = (struct fixalloc){
        .size = ga_align_up(size, align),
        .align = align,
        .persistent = persistent,
        .stat = stat,
        .zero = true,
    };
}

static bool fixalloc_grow(struct fixalloc *f) {
    size_t nobjects = ga_max(GA_FIXALLOC_CHUNK / f->size, 1);
    size_t nbytes = nobjects * f->size;
    uintptr_t chunk = (uintptr_t)persistentalloc(f->persistent, nbytes, f->align, f->stat);
    if (chunk == 0)
        return false;
    f->chunk = chunk;
    f->chunk_end = chunk + nbytes;
    return true;
}

void *fixalloc_alloc(struct fixalloc *f) {
    void *v = f->list;
    if (v != NULL) {
        f->list = *(void **)v;
        if (f->zero)
            memset(v, 0, f->size);
    } else {
        if (f->chunk == f->chunk_end && !fixalloc_grow(f))
            return NULL;
        v = (void *)f->chunk;
        f->chunk += f->size;
    }
    f->inuse += f->size;
    return v;
}

void fixalloc_free(struct fixalloc *f, void *p) {
    GA_CHECK(p != NULL && f->inuse >= f->size);
    f->inuse -= f->size;
    *(void **)p = f->list;
    f->list = p;
}

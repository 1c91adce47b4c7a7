/* persistentalloc: memory for our own structures that is never given back while its heap lives.
 *
 * Bumps through 256 KiB chunks; requests of 64 KiB and more get pages of their own.  Memory is
 * zero.  Each byte is counted where it ends: *stat grows by what the caller got, and `other` keeps
 * what is chunk but not yet handed out, so that the sum is what came from the operating system.
 * Lock: its own, a leaf.  Failure: NULL, nothing changed. */
#ifndef GA_PERSISTENT_H
#define GA_PERSISTENT_H

#include "lock.h"
#include "os.h"

struct persistent_chunk;

struct persistentalloc {
    struct os *os;
    struct mutex lock;
    struct persistent_chunk *chunks; /* newest first; also the direct ones; for destroy */
    uintptr_t next, end;             /* free part of the newest 256 KiB chunk */
    _Atomic uint64_t other;          /* bytes: chunk tails and headers nobody got */
};

void persistentalloc_init(struct persistentalloc *p, struct os *os);
/* align: a power of two <= the page of the operating system; 0 means 8.  stat may be NULL: then the
 * bytes stay in `other`. */
void *persistentalloc(struct persistentalloc *p, size_t nbytes, size_t align,
                      _Atomic uint64_t *stat);
/* Gives everything back; only when the whole heap goes. */
void persistentalloc_destroy(struct persistentalloc *p);

#endif

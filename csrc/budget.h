/* budget: memory of our own that must stay below a bound: what the heap profile is made of.
 *
 * `used` is what has been taken and not given back, in bytes; it never exceeds `cap`.
 * Lock: none; `used` is atomic.  Failure: NULL, nothing changed; the caller counts what it
 * drops. */
#ifndef GA_BUDGET_H
#define GA_BUDGET_H

#include "persistent.h"

struct budget {
    struct persistentalloc *persistent;
    _Atomic uint64_t used;
    uint64_t cap;
};

void budget_init(struct budget *b, struct persistentalloc *persistent, uint64_t cap);
/* Whole pages of the system, zero. */
void *budget_pages(struct budget *b, size_t nbytes);
void budget_return_pages(struct budget *b, void *p, size_t nbytes);
/* As persistentalloc: never given back. */
void *budget_keep(struct budget *b, size_t nbytes, size_t align);

#endif

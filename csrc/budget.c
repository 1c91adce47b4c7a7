/* See budget.h. */
#include "budget.h"

void budget_init(struct budget *b, struct persistentalloc *persistent, uint64_t cap) {
    b->persistent = persistent;
    atomic_init(&b->used, 0);
    b->cap = cap;
}

/* Counts nbytes as used, if that is within bounds. */
static bool take(struct budget *b, size_t nbytes) {
    uint64_t used = atomic_load_explicit(&b->used, memory_order_relaxed);
    do {
        if (nbytes > b->cap || used > b->cap - nbytes)
            return false;
    } while (!atomic_compare_exchange_weak(&b->used, &used, used + nbytes));
    return true;
}

static void *counted(struct budget *b, void *p, size_t nbytes) {
    if (p == NULL)
        atomic_fetch_sub(&b->used, nbytes);
    return p;
}

void *budget_pages(struct budget *b, size_t nbytes) {
    return take(b, nbytes) ? counted(b, os_alloc(b->persistent->os, nbytes), nbytes) : NULL;
}

void budget_return_pages(struct budget *b, void *p, size_t nbytes) {
    os_free(b->persistent->os, p, nbytes);
    atomic_fetch_sub(&b->used, nbytes);
}

/* persistentalloc moves the bytes from `other` to a counter: not to `used`, which has them. */
void *budget_keep(struct budget *b, size_t nbytes, size_t align) {
    _Atomic uint64_t counter = 0;
    return take(b, nbytes)
               ? counted(b, persistentalloc(b->persistent, nbytes, align, &counter), nbytes)
               : NULL;
}

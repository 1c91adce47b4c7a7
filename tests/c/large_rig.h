/* A heap whose large objects are tested: blocks by their number of pages, and every mremap counted
 * on its way, where it fails as the test wants. */
#ifndef GA_TEST_LARGE_RIG_H
#define GA_TEST_LARGE_RIG_H

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

#include "blocks.h"
#include "kernel.h"
#include "large.h"

static enum { WORKS, REFUSES, LEAVES_A_HOLE } moving;
static unsigned nmoves;

/* (The C library's has `...`: the address is there with MREMAP_FIXED.) */
void *mremap(void *from, size_t old_bytes, size_t new_bytes, int flags, ...) {
    va_list args;
    va_start(args, flags);
    void *to = va_arg(args, void *);
    va_end(args);
    if (moving == LEAVES_A_HOLE)
        munmap(to, new_bytes);
    if (moving != WORKS) {
        errno = moving == REFUSES ? EINVAL : EFAULT;
        return MAP_FAILED;
    }
    nmoves++;
    CHECK_EQ(old_bytes, new_bytes);
    return kernel_move(from, new_bytes, flags, to);
}

static struct rig r;

static inline void begin(enum arena_layout layout) {
    r = rig_open(layout, MCACHE_HEAP);
    r.h->map.huge_unasked = false; /* else huge pages are renounced, which makes mappings, too */
}

static inline void *take(size_t npages) {
    void *p = ga_malloc(r.h, r.c, npages << GA_PAGE_SHIFT, true);
    CHECK(p != NULL);
    return p;
}

static inline void release(void *p) { CHECK_EQ(ga_free(r.h, r.c, p), MISUSE_NONE); }

static inline void *resize(void *p, size_t npages) {
    enum misuse why;
    void *q = ga_realloc(r.h, r.c, p, npages << GA_PAGE_SHIFT, true, &why);
    CHECK(q != NULL && why == MISUSE_NONE);
    CHECK_EQ(mheap_span_of_heap(r.h, (uintptr_t)q)->npages, npages);
    CHECK_HEAP(r.h);
    return q;
}

static inline const struct mspan *span_at(const void *p) {
    mutex_lock(&r.h->lock);
    const struct mspan *s = mheap_span_of_locked(r.h, (uintptr_t)p);
    mutex_unlock(&r.h->lock);
    return s;
}

static inline bool all_zero(const unsigned char *p, size_t n) {
    while (n > 0 && p[n - 1] == 0)
        n--;
    return n == 0;
}

#endif

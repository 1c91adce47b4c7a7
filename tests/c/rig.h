/* A heap with one cache, for the tests of the floors above mheap, and the check of all of it. */
#ifndef GA_TEST_RIG_H
#define GA_TEST_RIG_H

#include "check.h"
#include "inspect.h"
#include "malloc.h"

struct rig {
    struct mheap *h;
    struct mcache *c;
};

#define CHECK_HEAP(h)                                                                              \
    do {                                                                                           \
        char check_why[256] = "";                                                                  \
        CHECK_EQ(inspect_check(h, check_why, sizeof check_why), 0);                                \
        if (check_why[0])                                                                          \
            check_fail(__FILE__, __LINE__, check_why);                                             \
    } while (0)

static inline struct rig rig_open(enum arena_layout layout, enum mcache_kind kind) {
    struct rig r = {heap_new(layout, 4 * GA_ARENA_SIZE), NULL};
    if (r.h != NULL)
        r.c = mcache_new(r.h, kind, r.h->central);
    if (r.c == NULL) {
        fprintf(stderr, "no memory for a heap\n");
        exit(1);
    }
    return r;
}

static inline void rig_close(struct rig *r) {
    CHECK_HEAP(r->h);
    heap_delete(r->h);
}

/* What goes back to the system goes in pages of the larger kind, the heap's or the system's. */
static inline size_t rig_unit(void) { return ga_max(os_page_size(), GA_PAGE_SIZE); }

/* Bytes of free runs that are not given back, and could be. */
static inline uint64_t rig_kept(const struct mheap *h) {
    size_t unit = rig_unit();
    uint64_t pages = 0;
    for (struct mspan *s = treap_first(&h->free); s != NULL; s = treap_next(s)) {
        uintptr_t low = ga_align_up(s->start_addr, unit), high = ga_align_down(mspan_end(s), unit);
        size_t n = high > low ? (high - low) >> GA_PAGE_SHIFT : 0;
        pages += n - arena_count_released(&h->map, low, n);
    }
    return pages << GA_PAGE_SHIFT;
}

/* The k-th call of the system from now on fails, and all later ones if all; 0 ends that. */
static inline void rig_fail(struct rig *r, uint64_t k, bool all) {
    atomic_store(&r->h->os.fail_all, all);
    atomic_store(&r->h->os.fail_at, k == 0 ? 0 : atomic_load(&r->h->os.ncalls) + k);
}

#endif

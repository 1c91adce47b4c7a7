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

/* The k-th call of the system from now on fails, and all later ones if all; 0 ends that. */
static inline void rig_fail(struct rig *r, uint64_t k, bool all) {
    atomic_store(&r->h->os.fail_all, all);
    atomic_store(&r->h->os.fail_at, k == 0 ? 0 : atomic_load(&r->h->os.ncalls) + k);
}

#endif

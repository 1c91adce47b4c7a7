/* The allocator under measurement: goalloc's C functions, or with -DBENCH_LIBC malloc and free of
 * the C library, in whose place LD_PRELOAD may put another.
 *
 * A target is the heap, a lane what one thread needs to use it. */
#ifndef BENCH_TARGET_H
#define BENCH_TARGET_H

#include "bench.h"

enum lane_kind { LANE_RAW, LANE_OBJ };

#ifdef BENCH_LIBC

struct target {
    char unused;
};
struct lane {
    char unused;
};

static inline void target_open(struct target *t) { (void)t; }
static inline void lane_open(struct lane *l, struct target *t, enum lane_kind kind) {
    (void)l, (void)t, (void)kind;
}
static inline void lane_close(struct lane *l) { (void)l; }
static inline void *lane_malloc(struct lane *l, size_t size) {
    (void)l;
    return malloc(size);
}
static inline void lane_free(struct lane *l, void *p) {
    (void)l;
    free(p);
}

#else

#include "malloc.h"

struct target {
    struct mheap *heap;
};
struct lane {
    struct mheap *heap;
    struct mcache *cache;
    bool noscan;
};

static inline void target_open(struct target *t) {
    if ((t->heap = heap_new(LAYOUT_SPARSE, 0)) == NULL)
        bench_fail("heap_new");
}

/* As the hooks have it: threads serve raw with noscan blocks, interpreters obj with scan ones. */
static inline void lane_open(struct lane *l, struct target *t, enum lane_kind kind) {
    l->heap = t->heap;
    l->noscan = kind == LANE_RAW;
    l->cache = mcache_new(t->heap, kind == LANE_RAW ? MCACHE_THREAD : MCACHE_INTERP,
                          t->heap->central);
    if (l->cache == NULL)
        bench_fail("mcache_new");
}
static inline void lane_close(struct lane *l) { mcache_free(l->cache); }
static inline void *lane_malloc(struct lane *l, size_t size) {
    return ga_malloc(l->heap, l->cache, size, l->noscan);
}
static inline void lane_free(struct lane *l, void *p) {
    if (ga_free(l->heap, l->cache, p) != MISUSE_NONE)
        bench_fail("ga_free");
}

#endif

/* A block that is there and has been written to, as a program would. */
static inline void *lane_block(struct lane *l, size_t size) {
    void *p = lane_malloc(l, size);
    if (p == NULL)
        bench_fail("malloc");
    *(volatile char *)p = 1;
    return p;
}

#endif

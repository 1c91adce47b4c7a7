/* profile: who allocated what: Go's heap profile, by samples.
 *
 * A cache whose countdown runs out tells the profile of the block (mcache_sample.c), wrap mode of
 * one of the allocator below.  The profile asks a walker for the stack of the caller and counts the
 * block in a bucket: one for each stack, size, domain, thread and rate.  A special at the block's
 * address leads back to the bucket when the block is freed.  Buckets hold counts of samples; what
 * they stand for is found by who reads them (the chance of a block of n bytes to be sampled is 1 -
 * exp(-n / rate)).
 *
 * The high-water mark is that of the bytes in use that the samples stand for.  When it rises
 * nothing is copied: the mark gets a new number, and a bucket that is about to change first notes
 * what it held at the mark, if it has not done so since the number changed.
 *
 * Invariants: inuse = sum over buckets of (allocs - frees) * weight; each bucket's allocs - frees
 * is the number of specials with its number.  All memory is of the budget; a sample that it has no
 * room for is dropped and counted.
 * Lock: `lock`, under which specials.lock and persistentalloc.lock are taken.  Rows of the tables
 * stay where they are and may be read without it, but for the counts of buckets. */
#ifndef GA_PROFILE_H
#define GA_PROFILE_H

#include "config.h"
#include "locations.h"
#include "special.h"
#include "table.h"

/* Writes the locations of the calling thread's stack, leaf first, at most max of them: where there
 * are more the last is LOCATION_TRUNCATED.  Called with the profile's lock held; it must not
 * allocate from any heap.  Returns how many, never 0. */
struct profile_walker {
    size_t (*walk)(void *ctx, struct locations *l, uint32_t *locs, size_t max, uint32_t *thread);
    /* The same for who is known to be attached to an interpreter, as a caller of mem and obj is. */
    size_t (*walk_attached)(void *ctx, struct locations *l, uint32_t *locs, size_t max,
                            uint32_t *thread);
    void *ctx;
};

struct profile_stack {
    uint32_t hash;
    uint32_t n;
    const uint32_t *locs; /* leaf first */
};

struct bucket {
    uint32_t hash;
    uint32_t stack, thread, domain;
    uint64_t size, rate;
    uint64_t weight; /* bytes in the program that a sample stands for */
    uint64_t allocs, frees;
    uint64_t peak; /* in use when mark number `marked` was set */
    uint64_t marked;
};

struct profile {
    struct mutex lock;
    struct budget *budget;
    struct profile_walker walker; /* both may be NULL: there are no Python frames */
    struct locations locations;
    struct table stacks, buckets;
    uint64_t inuse;   /* bytes that the live samples stand for */
    uint64_t mark;    /* the most that was, since the last reset */
    uint64_t marks;   /* number of the mark */
    uint64_t mark_ns; /* when; wall clock */
    uint64_t dropped; /* samples without room, or that came as wrap mode ended */
    uint32_t locs[GA_PROFILE_FRAMES_MAX + 1];
    /* mean bytes between samples, 0: none, 1: each block; changed with the world stopped */
    _Atomic uint64_t rate;
};

/* False: no memory. */
bool profile_init(struct profile *p, struct budget *budget);
void profile_destroy(struct profile *p);

/* The calling thread has just got the block at addr, which nobody else knows yet; one that was
 * there before counts as freed.  False: dropped. */
bool profile_malloc(struct profile *p, struct specials *t, uintptr_t addr, enum special_kind kind,
                    size_t size, unsigned domain, uint64_t rate);
/* The block at addr is about to be freed.  False: it has no special of that kind. */
bool profile_free(struct profile *p, struct specials *t, uintptr_t addr, enum special_kind kind,
                  uint32_t *bucket);
/* It was not freed after all.  False: no room; then it is counted as freed. */
bool profile_keep(struct profile *p, struct specials *t, uintptr_t addr, enum special_kind kind,
                  uint32_t bucket);
/* The allocator below is left to itself: its blocks that are in use count as freed. */
void profile_forget(struct profile *p, struct specials *t, enum special_kind kind);
/* The high-water mark is what is in use now. */
void profile_reset_peak(struct profile *p);

GA_INLINE uint64_t profile_rate_now(const struct profile *p) {
    return atomic_load_explicit(&p->rate, memory_order_relaxed);
}

/* ---- reading -------------------------------------------------------------------------------- */

struct profile_sample {
    uint64_t size, rate, allocs, frees, peak;
    uint32_t stack, thread, domain;
};

/* One moment. */
struct profile_copy {
    uint64_t rate, time_ns, mark_ns, memory;
    uint64_t dropped;           /* samples */
    uint64_t dropped_locations; /* of samples that are there: LOCATION_DROPPED in their stacks */
    uint32_t truncated;         /* stacks */
    uint32_t nsamples;
    uint32_t nstacks, nlocations, nfunctions, nthreads; /* how many there are; they need no copy */
    struct profile_sample *samples;
    size_t nblocks;         /* live sampled blocks; 0 if they were not asked for */
    uintptr_t *blocks;      /* their addresses */
    uint32_t *block_sample; /* and the samples that they belong to */
    void *memory_of_arrays;
    size_t nbytes;
};

/* False: out of memory. */
bool profile_read(struct profile *p, struct specials *t, bool blocks, struct profile_copy *out);
void profile_copy_free(struct profile *p, struct profile_copy *c);
/* Of a number below nstacks; needs no lock. */
const struct profile_stack *profile_stack_at(const struct profile *p, uint32_t number);

#endif

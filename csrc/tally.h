/* tally: how many blocks of which size class were asked for, and how many bytes; for wrap mode.
 *
 * A tally is written by one thread at a time, with plain stores that readers see as they come: no
 * lock, no locked instruction.  When its thread ends the next new thread takes it over and counts
 * on, so nothing counted is lost and there are as many tallies as there ever were threads at once.
 * Who can't have one, for want of memory or because he is ending, counts with atomics on the shared
 * one.
 *
 * Lock: none; the list only grows.  A child of fork keeps the sums and calls tallies_after_fork. */
#ifndef GA_TALLY_H
#define GA_TALLY_H

#include "os.h"
#include "sampler.h"
#include "sizeclass.h"

struct tally {
    _Atomic uint64_t mallocs[GA_NUM_SPAN_CLASSES];
    _Atomic uint64_t bytes[GA_NUM_SPAN_CLASSES]; /* asked for, not rounded up to the class */
    _Atomic uint64_t frees;
    struct sampler sampler; /* of the thread; all zero before its first use */
    int64_t next_sample;    /* bytes to the next sample */
    _Atomic bool taken; /* by a living thread */
    struct tally *next;
};

struct tallies {
    struct os os;
    struct tally *_Atomic first;
    struct tally shared;
};

/* The sums over all threads; exact when nobody counts meanwhile. */
struct tally_sums {
    uint64_t mallocs[GA_NUM_SPAN_CLASSES];
    uint64_t bytes[GA_NUM_SPAN_CLASSES];
    uint64_t frees;
};

/* A tally for the calling thread alone; NULL: no memory. */
struct tally *tally_take(struct tallies *ts);
/* Its thread ends. */
void tally_leave(struct tally *t);
/* In a child of fork: of all the threads only the caller is left, whose tally is mine (or NULL). */
void tallies_after_fork(struct tallies *ts, struct tally *mine);
void tallies_sum(struct tallies *ts, struct tally_sums *out);

GA_INLINE void tally_bump(_Atomic uint64_t *n, uint64_t by) {
    uint64_t now = atomic_load_explicit(n, memory_order_relaxed);
    atomic_store_explicit(n, now + by, memory_order_relaxed);
}

GA_INLINE spanclass_t tally_class(size_t nbytes, bool noscan) {
    return make_spanclass(nbytes <= GA_MAX_SMALL_SIZE ? size_to_class(nbytes) : 0, noscan);
}

/* By the thread that has taken t. */
GA_INLINE void tally_malloc(struct tally *t, size_t nbytes, bool noscan) {
    spanclass_t spc = tally_class(nbytes, noscan);
    tally_bump(&t->mallocs[spc], 1);
    tally_bump(&t->bytes[spc], nbytes);
}

GA_INLINE void tally_free(struct tally *t) { tally_bump(&t->frees, 1); }

/* By anybody. */
void tallies_shared_malloc(struct tallies *ts, size_t nbytes, bool noscan);
void tallies_shared_free(struct tallies *ts);

#endif

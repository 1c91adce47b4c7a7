/* wrap_sample: the profile in wrap mode: blocks of the allocator below, by the sizes that were
 * asked for.
 *
 * A thread counts its bytes down in its tally.  A sampled block has a special, as in a heap of
 * ours, but there is no bit to clear: every free asks a small filter first, which counts the live
 * sampled blocks by a hash of their address, so nearly all others are known not to be one after a
 * load.
 *
 * To be asked before a block is given back: its address may be another's a moment later.  A realloc
 * is the free of one block and the malloc of another, wherever that is.
 *
 * Lock: profile.lock and what is below it; the filter and the tallies need none. */
#ifndef GA_WRAP_SAMPLE_H
#define GA_WRAP_SAMPLE_H

#include <stdatomic.h>

#include "mheap.h"
#include "tally.h"

#define WRAP_FILTER_BITS 14

extern GA_HIDDEN _Atomic uint16_t wrap_filter[1 << WRAP_FILTER_BITS];
extern GA_HIDDEN const _Atomic uint64_t *_Atomic wrap_rate; /* the profile's */

/* Sampled blocks go to the profile of this heap, if there is one, from now on; once and for all. */
void wrap_sample_into(struct mheap *h);
/* Frees are no longer seen: what is in use counts as freed. */
void wrap_sample_end(void);

void wrap_sample_slow(struct tally *t, unsigned domain, void *p, size_t nbytes);
bool wrap_forget_slow(void *p, uint32_t *bucket);

GA_INLINE size_t wrap_filter_at(const void *p) {
    return (uint64_t)((uintptr_t)p >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> (64 - WRAP_FILTER_BITS);
}

/* The thread of t has got p. */
GA_INLINE void wrap_sample(struct tally *t, unsigned domain, void *p, size_t nbytes) {
    const _Atomic uint64_t *rate = atomic_load_explicit(&wrap_rate, memory_order_relaxed);
    t->next_sample -= (int64_t)ga_max(nbytes, 1);
    if (GA_UNLIKELY(t->next_sample < 0 ||
                    t->sampler.rate != atomic_load_explicit(rate, memory_order_relaxed)))
        wrap_sample_slow(t, domain, p, nbytes);
}

/* p is about to be given back.  True: it was a sampled block, and wrap_keep takes that back. */
GA_INLINE bool wrap_forget(void *p, uint32_t *bucket) {
    if (GA_LIKELY(atomic_load_explicit(&wrap_filter[wrap_filter_at(p)], memory_order_relaxed) == 0))
        return false;
    return wrap_forget_slow(p, bucket);
}

/* p was not given back after all. */
void wrap_keep(void *p, uint32_t bucket);
/* wrap_sample for a thread without a tally. */
void wrap_sample_shared(unsigned domain, void *p, size_t nbytes);

#endif

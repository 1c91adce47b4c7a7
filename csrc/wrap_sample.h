/* wrap_sample: the profile in wrap mode: blocks of the allocator below, by the sizes that were
 * asked for.
 *
 * A thread counts its bytes down in its tally.  A sampled block has a special, as in a heap of
 * ours, but there is no bit to clear: every free asks a small filter first, which counts the live
 * sampled blocks by a hash of their address, so nearly all others are known not to be one after a
 * load (special.h).
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

extern GA_HIDDEN struct special_filter wrap_filter;
extern GA_HIDDEN const _Atomic uint64_t *_Atomic wrap_rate; /* the profile's */

/* Sampled blocks go to the profile of this heap, if there is one, from now on; always the same
 * heap. */
void wrap_sample_into(struct mheap *h);
/* Frees are no longer seen: what is in use counts as freed, and what is being sampled is
 * dropped. */
void wrap_sample_end(void);

void wrap_sample_slow(struct tally *t, unsigned domain, void *p, size_t nbytes);
bool wrap_forget_slow(void *p, uint32_t *bucket);

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
    const _Atomic uint16_t *n = special_filter_at(&wrap_filter, (uintptr_t)p);
    if (GA_LIKELY(atomic_load_explicit(n, memory_order_relaxed) == 0))
        return false;
    return wrap_forget_slow(p, bucket);
}

/* p was not given back after all. */
void wrap_keep(void *p, uint32_t bucket);
/* wrap_sample for a thread without a tally. */
void wrap_sample_shared(unsigned domain, void *p, size_t nbytes);

#endif

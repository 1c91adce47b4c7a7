/* sampler: how many bytes until the next sampled allocation.
 *
 * Allocation is seen as a Poisson process over bytes: distances are exponential with the rate as
 * their mean (Go's nextSample).  A cache counts next_sample down by the slot size of each block and
 * leaves its fast path when it goes below zero; whatever is rarer than a malloc hangs there too.
 * Lock: none; a sampler belongs to its cache. */
#ifndef GA_SAMPLER_H
#define GA_SAMPLER_H

#include "config.h"
#include "rng.h"

struct sampler {
    struct rng rng;
    uint64_t rate; /* mean bytes between samples; 0: never, 1: every block */
    uint64_t hits; /* countdowns that ran out */
};

void sampler_init(struct sampler *s, uint64_t rate, uint64_t seed);
/* As if it had never been used: who uses it next makes it anew, with a seed of its own. */
void sampler_forget(struct sampler *s);
/* Bytes that pass by before the sampled one: a block of more than that is sampled. */
int64_t sampler_next(struct sampler *s);

#endif

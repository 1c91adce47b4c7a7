/* xorshift64*: the small random numbers of treap priorities and sampling distances.  Not for
 * secrets.  The owner of the struct locks. */
#ifndef GA_RNG_H
#define GA_RNG_H

#include "base.h"

struct rng {
    uint64_t state; /* never 0 */
};

GA_INLINE void rng_seed(struct rng *r, uint64_t seed) {
    r->state = seed * 0x9e3779b97f4a7c15u + 0x2545f4914f6cdd1du;
    if (r->state == 0)
        r->state = 1;
}

GA_INLINE uint32_t rng_next(struct rng *r) {
    uint64_t x = r->state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    r->state = x;
    return (uint32_t)(x * 0x2545f4914f6cdd1du >> 32);
}

#endif

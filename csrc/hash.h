/* A hash of bytes for tables of our own; not for secrets.  No state. */
#ifndef GA_HASH_H
#define GA_HASH_H

#include <string.h>

#include "base.h"

GA_INLINE uint64_t ga_hash_word(uint64_t h, uint64_t word) {
    h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 29;
}

GA_INLINE uint64_t ga_load(const char *p, size_t nbytes) {
    uint64_t word = 0;
    memcpy(&word, p, nbytes);
    return word;
}

/* By words; the last two may overlap. */
GA_INLINE uint64_t ga_hash_bytes(const void *p, size_t nbytes) {
    const char *at = p, *end = at + nbytes;
    uint64_t h = ga_hash_word(0, nbytes);
    if (nbytes >= 8) {
        for (; end - at > 8; at += 8)
            h = ga_hash_word(h, ga_load(at, 8));
        return ga_hash_word(h, ga_load(end - 8, 8));
    }
    if (nbytes >= 4)
        return ga_hash_word(h, ga_load(at, 4) | ga_load(end - 4, 4) << 32);
    if (nbytes == 0)
        return h;
    uint64_t middle = ga_load(at + nbytes / 2, 1);
    return ga_hash_word(h, ga_load(at, 1) | middle << 8 | ga_load(end - 1, 1) << 16);
}

#endif

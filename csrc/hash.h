/* A hash of bytes for tables of our own; not for secrets.  No state. */
#ifndef GA_HASH_H
#define GA_HASH_H

#include <string.h>

#include "base.h"

GA_INLINE uint64_t ga_hash_word(uint64_t h, uint64_t word) {
    h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 29;
}

GA_INLINE uint64_t ga_hash_bytes(const void *p, size_t nbytes) {
    const char *at = p;
    uint64_t h = ga_hash_word(0, nbytes), word;
    for (; nbytes >= sizeof word; nbytes -= sizeof word, at += sizeof word) {
        memcpy(&word, at, sizeof word);
        h = ga_hash_word(h, word);
    }
    word = 0;
    memcpy(&word, at, nbytes);
    return ga_hash_word(h, word);
}

#endif

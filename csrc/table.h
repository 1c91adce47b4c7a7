/* table: rows of one size that are found by their content, and by number.
 *
 * A row never moves and never goes: its number and its address are good for ever, also for readers
 * without a lock that have got the number from somebody with it.  Rows lie in chunks that double,
 * so little is taken that is not used; an index of their numbers by hash is renewed as they become
 * more.  Every row begins with its hash, a uint32_t that the caller fills in.
 * Lock: the caller's.  Failure: NULL, nothing changed. */
#ifndef GA_TABLE_H
#define GA_TABLE_H

#include "budget.h"

#define GA_TABLE_CHUNK 64  /* rows of the first chunk */
#define GA_TABLE_CHUNKS 26 /* more rows than a budget could pay */

struct table {
    struct budget *budget;
    size_t row; /* bytes */
    uint32_t n;
    char *chunk[GA_TABLE_CHUNKS];
    uint32_t *index; /* number + 1 by hash, open addressing; at most half of it is used */
    size_t nindex;   /* a power of two, or 0 */
};

void table_init(struct table *t, struct budget *budget, size_t row);
/* Returns what can be returned; the rows go with the heap. */
void table_destroy(struct table *t);

GA_INLINE void *table_row(const struct table *t, uint32_t i) {
    uint32_t at = i + GA_TABLE_CHUNK;
    unsigned chunk = ga_log2(at / GA_TABLE_CHUNK);
    return t->chunk[chunk] + (size_t)(at - ((uint32_t)GA_TABLE_CHUNK << chunk)) * t->row;
}

/* The first row with this hash for which same(row, key) holds, or NULL. */
void *table_find(const struct table *t, uint32_t hash,
                 bool (*same)(const void *row, const void *key), const void *key, uint32_t *number);
/* Will the next table_add succeed?  For who needs memory for what goes into the row first. */
bool table_has_room(struct table *t);
/* A new row, zero but for its hash. */
void *table_add(struct table *t, uint32_t hash, uint32_t *number);

/* Mixes n words into a hash (Jenkins' one-at-a-time, by words). */
GA_INLINE uint32_t table_hash(uint32_t hash, const uint32_t *words, size_t n) {
    for (size_t i = 0; i < n; i++) {
        hash += words[i];
        hash += hash << 10;
        hash ^= hash >> 6;
    }
    hash += hash << 3;
    hash ^= hash >> 11;
    return hash + (hash << 15);
}

#endif

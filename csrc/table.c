/* See table.h. */
#include "table.h"

#define INDEX_MIN 1024 /* one page of most systems */

void table_init(struct table *t, struct budget *budget, size_t row) {
    *t = (struct table){.budget = budget, .row = ga_align_up(row, 8)};
}

static size_t index_bytes(size_t nindex) {
    return ga_align_up(nindex * sizeof(uint32_t), os_page_size());
}

void table_destroy(struct table *t) {
    if (t->index != NULL)
        budget_return_pages(t->budget, t->index, index_bytes(t->nindex));
    t->index = NULL;
    t->nindex = 0;
}

static uint32_t hash_of(const struct table *t, uint32_t number) {
    return *(const uint32_t *)table_row(t, number);
}

static void enter(struct table *t, uint32_t number) {
    size_t i = hash_of(t, number) & (t->nindex - 1);
    while (t->index[i] != 0)
        i = (i + 1) & (t->nindex - 1);
    t->index[i] = number + 1;
}

static bool index_has_room(struct table *t) {
    if (2 * ((size_t)t->n + 1) <= t->nindex)
        return true;
    size_t nindex = t->nindex != 0 ? 2 * t->nindex : INDEX_MIN;
    uint32_t *index = budget_pages(t->budget, index_bytes(nindex));
    if (index == NULL)
        return false;
    if (t->index != NULL)
        budget_return_pages(t->budget, t->index, index_bytes(t->nindex));
    t->index = index;
    t->nindex = nindex;
    for (uint32_t i = 0; i < t->n; i++)
        enter(t, i);
    return true;
}

static bool chunk_has_room(struct table *t) {
    unsigned chunk = ga_log2(t->n / GA_TABLE_CHUNK + 1);
    if (chunk >= GA_TABLE_CHUNKS)
        return false;
    if (t->chunk[chunk] == NULL)
        t->chunk[chunk] = budget_keep(t->budget, ((size_t)GA_TABLE_CHUNK << chunk) * t->row, 8);
    return t->chunk[chunk] != NULL;
}

void *table_find(const struct table *t, uint32_t hash,
                 bool (*same)(const void *row, const void *key), const void *key,
                 uint32_t *number) {
    if (t->nindex == 0)
        return NULL;
    size_t mask = t->nindex - 1;
    for (size_t i = hash & mask; t->index[i] != 0; i = (i + 1) & mask) {
        void *row = table_row(t, t->index[i] - 1);
        if (*(const uint32_t *)row == hash && same(row, key)) {
            *number = t->index[i] - 1;
            return row;
        }
    }
    return NULL;
}

bool table_has_room(struct table *t) { return chunk_has_room(t) && index_has_room(t); }

void *table_add(struct table *t, uint32_t hash, uint32_t *number) {
    if (!table_has_room(t))
        return NULL;
    *number = t->n++;
    void *row = table_row(t, *number);
    *(uint32_t *)row = hash;
    enter(t, *number);
    return row;
}

/* See profile.h for what is counted; profile_read.c has the reading. */
#include "profile.h"

#include <string.h>

#include "explog.h"

bool profile_init(struct profile *p, struct budget *budget) {
    memset(p, 0, sizeof *p);
    mutex_init(&p->lock, GA_RANK_PROFILE, "profile.lock");
    p->budget = budget;
    table_init(&p->stacks, budget, sizeof(struct profile_stack));
    table_init(&p->buckets, budget, sizeof(struct bucket));
    return locations_init(&p->locations, budget);
}

void profile_destroy(struct profile *p) {
    table_destroy(&p->stacks);
    table_destroy(&p->buckets);
    locations_destroy(&p->locations);
    mutex_destroy(&p->lock);
}

/* ---- stacks and buckets; with the lock ------------------------------------------------------ */

static bool same_stack(const void *row, const void *key) {
    const struct profile_stack *a = row, *b = key;
    return a->n == b->n && memcmp(a->locs, b->locs, a->n * sizeof a->locs[0]) == 0;
}

static bool intern_stack(struct profile *p, const uint32_t *locs, size_t n, uint32_t *number) {
    struct profile_stack key = {table_hash(0, locs, n), (uint32_t)n, locs};
    if (table_find(&p->stacks, key.hash, same_stack, &key, number) != NULL)
        return true;
    uint32_t *copy = NULL;
    if (table_has_room(&p->stacks))
        copy = budget_keep(p->budget, n * sizeof copy[0], sizeof copy[0]);
    struct profile_stack *s = copy == NULL ? NULL : table_add(&p->stacks, key.hash, number);
    if (s == NULL)
        return false;
    memcpy(copy, locs, n * sizeof copy[0]);
    s->n = key.n;
    s->locs = copy;
    return true;
}

static bool walk(struct profile *p, bool attached, uint32_t *stack, uint32_t *thread) {
    const struct profile_walker *w = &p->walker;
    size_t n = 1, max = sizeof p->locs / sizeof p->locs[0];
    p->locs[0] = LOCATION_NO_FRAME;
    *thread = LOCATION_DROPPED;
    if (w->walk != NULL)
        n = (attached ? w->walk_attached : w->walk)(w->ctx, &p->locations, p->locs, max, thread);
    return intern_stack(p, p->locs, n, stack);
}

/* Go's scale: the mean number of blocks of this size for one that is sampled. */
static uint64_t weight_of(uint64_t size, uint64_t rate) {
    if (rate <= 1)
        return size;
    return (uint64_t)((double)size / one_minus_exp((double)size / (double)rate));
}

static bool same_bucket(const void *row, const void *key) {
    const struct bucket *a = row, *b = key;
    return a->stack == b->stack && a->thread == b->thread && a->domain == b->domain &&
           a->size == b->size && a->rate == b->rate;
}

static struct bucket *intern_bucket(struct profile *p, const struct bucket *key, uint32_t *number) {
    const uint32_t words[] = {key->thread, key->domain, (uint32_t)key->size,
                              (uint32_t)(key->size >> 32), (uint32_t)key->rate};
    uint32_t hash = table_hash(key->stack, words, sizeof words / sizeof words[0]);
    struct bucket *b = table_find(&p->buckets, hash, same_bucket, key, number);
    if (b != NULL || (b = table_add(&p->buckets, hash, number)) == NULL)
        return b;
    *b = *key;
    b->hash = hash;
    b->weight = weight_of(b->size, b->rate);
    return b;
}

/* ---- counting; with the lock ---------------------------------------------------------------- */

/* Before any change of b. */
static void note_peak(const struct profile *p, struct bucket *b) {
    if (b->marked == p->marks)
        return;
    b->peak = b->allocs - b->frees;
    b->marked = p->marks;
}

static void set_mark(struct profile *p) {
    p->mark = p->inuse;
    p->marks++;
    p->mark_ns = os_walltime();
}

static void add_inuse(struct profile *p, uint64_t weight) {
    p->inuse += weight;
    if (p->inuse > p->mark)
        set_mark(p);
}

static void free_locked(struct profile *p, uint32_t number) {
    struct bucket *b = table_row(&p->buckets, number);
    note_peak(p, b);
    b->frees++;
    p->inuse -= b->weight;
}

/* ---- entry points --------------------------------------------------------------------------- */

static bool malloc_locked(struct profile *p, struct specials *t, uintptr_t addr,
                          enum special_kind kind, struct bucket *key) {
    uint32_t number, gone;
    struct bucket *b = NULL;
    if (specials_take(t, addr, kind, &gone)) /* a wrapped block whose free was not seen */
        free_locked(p, gone);
    if (walk(p, key->domain != 0, &key->stack, &key->thread))
        b = intern_bucket(p, key, &number);
    if (b == NULL || !specials_add(t, addr, kind, number))
        return false;
    note_peak(p, b);
    b->allocs++;
    add_inuse(p, b->weight);
    return true;
}

bool profile_malloc(struct profile *p, struct specials *t, uintptr_t addr, enum special_kind kind,
                    size_t size, unsigned domain, uint64_t rate) {
    struct bucket key = {.domain = domain, .size = size, .rate = rate};
    mutex_lock(&p->lock);
    bool done = malloc_locked(p, t, addr, kind, &key);
    if (!done)
        p->dropped++;
    mutex_unlock(&p->lock);
    return done;
}

bool profile_free(struct profile *p, struct specials *t, uintptr_t addr, enum special_kind kind,
                  uint32_t *bucket) {
    mutex_lock(&p->lock);
    bool found = specials_take(t, addr, kind, bucket);
    if (found)
        free_locked(p, *bucket);
    mutex_unlock(&p->lock);
    return found;
}

bool profile_keep(struct profile *p, struct specials *t, uintptr_t addr, enum special_kind kind,
                  uint32_t bucket) {
    struct bucket *b = table_row(&p->buckets, bucket);
    mutex_lock(&p->lock);
    bool done = specials_add(t, addr, kind, bucket);
    if (done) {
        note_peak(p, b);
        b->frees--;
        add_inuse(p, b->weight);
    }
    mutex_unlock(&p->lock);
    return done;
}

static void forget_one(const struct special *s, void *profile) { free_locked(profile, s->record); }

void profile_forget(struct profile *p, struct specials *t, enum special_kind kind) {
    mutex_lock(&p->lock);
    specials_take_all(t, kind, forget_one, p);
    mutex_unlock(&p->lock);
}

void profile_reset_peak(struct profile *p) {
    mutex_lock(&p->lock);
    set_mark(p);
    mutex_unlock(&p->lock);
}

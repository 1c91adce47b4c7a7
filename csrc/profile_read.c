/* What a profile says at one moment, copied so that it can be read at leisure: whoever makes Python
 * objects of it allocates, and is sampled meanwhile.
 *
 * Lock: profile.lock while it is copied; the memory of the copy is the system's. */
#include <string.h>

#include "profile.h"

static struct os *os_of(const struct profile *p) { return p->budget->persistent->os; }

const struct profile_stack *profile_stack_at(const struct profile *p, uint32_t number) {
    return table_row(&p->stacks, number);
}

static void copy_samples(const struct profile *p, struct profile_copy *out) {
    for (uint32_t i = 0; i < out->nsamples; i++) {
        const struct bucket *b = table_row(&p->buckets, i);
        out->samples[i] = (struct profile_sample){
            .size = b->size,
            .rate = b->rate,
            .allocs = b->allocs,
            .frees = b->frees,
            .peak = b->marked == p->marks ? b->peak : b->allocs - b->frees,
            .stack = b->stack,
            .thread = b->thread,
            .domain = b->domain,
        };
    }
}

static void copy_block(const struct special *s, void *copy) {
    struct profile_copy *out = copy;
    out->blocks[out->nblocks] = s->addr;
    out->block_sample[out->nblocks++] = s->record;
}

static void count_truncated(const struct profile *p, struct profile_copy *out) {
    for (uint32_t i = 0; i < out->nstacks; i++) {
        const struct profile_stack *s = profile_stack_at(p, i);
        out->truncated += s->locs[s->n - 1] == LOCATION_TRUNCATED;
    }
}

static bool copy_locked(struct profile *p, struct specials *t, bool blocks,
                        struct profile_copy *out) {
    size_t nblocks = blocks ? atomic_load(&t->n) : 0;
    out->nsamples = p->buckets.n;
    out->nstacks = p->stacks.n;
    out->nlocations = p->locations.locations.n;
    out->nfunctions = p->locations.functions.n;
    out->nthreads = p->locations.threads.n;
    out->dropped_locations = p->locations.dropped;
    size_t samples = out->nsamples * sizeof out->samples[0];
    size_t each = sizeof out->blocks[0] + sizeof out->block_sample[0];
    out->nbytes = ga_align_up(samples + nblocks * each + 1, os_page_size());
    if ((out->memory_of_arrays = os_alloc(os_of(p), out->nbytes)) == NULL)
        return false;
    out->samples = out->memory_of_arrays;
    out->blocks = (uintptr_t *)((char *)out->samples + samples);
    out->block_sample = (uint32_t *)(out->blocks + nblocks);
    copy_samples(p, out);
    count_truncated(p, out);
    if (nblocks != 0)
        specials_each(t, copy_block, out);
    out->rate = atomic_load(&p->rate);
    out->dropped = p->dropped;
    out->mark_ns = p->mark_ns;
    out->memory = atomic_load(&p->budget->used);
    out->time_ns = os_walltime();
    return true;
}

bool profile_read(struct profile *p, struct specials *t, bool blocks, struct profile_copy *out) {
    memset(out, 0, sizeof *out);
    mutex_lock(&p->lock);
    bool ok = copy_locked(p, t, blocks, out);
    mutex_unlock(&p->lock);
    return ok;
}

void profile_copy_free(struct profile *p, struct profile_copy *c) {
    if (c->memory_of_arrays != NULL)
        os_free(os_of(p), c->memory_of_arrays, c->nbytes);
    memset(c, 0, sizeof *c);
}

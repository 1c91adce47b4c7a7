/* The profile under the fuzzer: stacks by its decisions, and what a copy must say of the shadow. */
#ifndef GA_TEST_FUZZ_PROFILE_H
#define GA_TEST_FUZZ_PROFILE_H

#include "fuzz_ops.h"

/* ---- stacks --------------------------------------------------------------------------------- */

enum { FUNCTIONS = 97, LINES = 211, THREADS = 5, FRAMES = 6 };

static inline uint32_t some_location(struct locations *l, unsigned at) {
    char name[16];
    int n = snprintf(name, sizeof name, "f%u", at % FUNCTIONS);
    uint32_t f =
        locations_add_function(l, name, (size_t)n, "fuzz.py", 7, (int32_t)(at % FUNCTIONS));
    return locations_add(l, f, (int32_t)(at % LINES));
}

/* Now and then as deep as stacks may be. */
static inline size_t walk_decisions(void *ctx, struct locations *l, uint32_t *locs, size_t max,
                                    uint32_t *thread) {
    unsigned dice = input_u16(&fuzz_current->in);
    size_t n = dice % 64 == 0 ? max : 1 + dice % FRAMES;
    (void)ctx;
    for (size_t i = 0; i < n; i++)
        locs[i] = some_location(l, dice + 7 * (unsigned)i);
    if (n == max)
        locs[n - 1] = LOCATION_TRUNCATED;
    *thread = locations_add_thread(l, 1 + dice % THREADS, "thread", 6);
    return n;
}

/* ---- what a copy says ----------------------------------------------------------------------- */

/* Samples can't be lost: all blocks were made while there was memory for them. */
static inline bool is_lossless(const struct field *f, const struct profile_copy *copy) {
    return copy->dropped == 0 && !atomic_load(&f->faulty);
}

/* Each sampled block lives, or waits in a ring of a debugging run, and its sample is what the
 * shadow knows of it.  Returns how many of them were made at the rate of 1, at which none is left
 * out. */
static inline uint32_t check_sampled(struct driver *d, const struct profile_copy *copy) {
    const struct debugger *g = d->f->debug;
    size_t waiting = g != NULL ? g->rings[RING_RAW].n + g->rings[RING_MAIN].n : 0;
    uint32_t certain = 0;
    for (size_t i = 0; i < copy->nblocks; i++) {
        const struct block *b = shadow_find(&d->shadow, (void *)copy->blocks[i]);
        const struct profile_sample *s = &copy->samples[copy->block_sample[i]];
        EXPECT(b != NULL || waiting-- != 0);
        if (b == NULL)
            continue;
        EXPECT(!b->guarded && !b->tiny);
        EXPECT(s->size == b->usable && s->domain == b->domain);
        EXPECT(b->rate == RATE_ANY || (b->rate == s->rate && s->rate != 0));
        certain += b->rate == 1;
    }
    return certain;
}

static inline void check_copy(struct driver *d, const struct profile_copy *copy, bool at_peak) {
    uint64_t inuse = 0;
    for (uint32_t i = 0; i < copy->nsamples; i++) {
        const struct profile_sample *s = &copy->samples[i];
        EXPECT(s->frees <= s->allocs && s->peak <= s->allocs);
        EXPECT(!at_peak || s->peak == s->allocs - s->frees);
        EXPECT(s->stack < copy->nstacks && s->thread < copy->nthreads);
        inuse += s->allocs - s->frees;
    }
    EXPECT(inuse == copy->nblocks);
    if (d->f->threaded)
        return; /* blocks change drivers */
    uint32_t certain = check_sampled(d, copy), made = 0;
    for (uint32_t i = 0; i < d->shadow.nlive; i++)
        made += d->shadow.live[i].rate == 1;
    EXPECT(certain == made || !is_lossless(d->f, copy));
}

static inline void check_profile(struct driver *d, bool at_peak) {
    struct mheap *h = d->f->h;
    struct profile_copy copy;
    if (at_peak)
        profile_reset_peak(h->profile);
    if (!profile_read(h->profile, &h->specials, true, &copy)) {
        EXPECT(d->f->threaded || atomic_load(&d->f->faults));
        return;
    }
    check_copy(d, &copy, at_peak && !d->f->threaded);
    profile_copy_free(h->profile, &copy);
}

#endif

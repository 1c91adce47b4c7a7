/* See wrap_sample.h. */
#include "wrap_sample.h"

#include "profile.h"

static const _Atomic uint64_t never = 0;
static struct mheap *_Atomic heap; /* whose profile it is; NULL: there is none */

struct special_filter wrap_filter;
const _Atomic uint64_t *_Atomic wrap_rate = &never;

void wrap_sample_into(struct mheap *h) {
    if (h == NULL || h->profile == NULL)
        return;
    specials_begin_wrapped(&h->specials, &wrap_filter);
    atomic_store(&heap, h);
    atomic_store(&wrap_rate, &h->profile->rate);
}

void wrap_sample_end(void) {
    struct mheap *h = atomic_load(&heap);
    if (h != NULL)
        profile_forget(h->profile, &h->specials, SPECIAL_WRAPPED);
}

static void sample(unsigned domain, void *p, size_t nbytes, uint64_t rate) {
    struct mheap *h = atomic_load(&heap);
    profile_malloc(h->profile, &h->specials, (uintptr_t)p, SPECIAL_WRAPPED, ga_max(nbytes, 1),
                   domain, rate);
}

/* Counts nbytes down, by a rate that may have changed.  True: this block is to be sampled. */
static bool is_due(struct sampler *s, int64_t *next_sample, size_t nbytes, uint64_t rate) {
    if (s->rate != rate) {
        if (s->rng.state == 0)
            sampler_init(s, rate, (uintptr_t)s ^ os_nanotime());
        s->rate = rate;
        *next_sample = sampler_next(s) - (int64_t)ga_max(nbytes, 1);
    }
    if (*next_sample >= 0)
        return false;
    *next_sample = sampler_next(s);
    return true;
}

void wrap_sample_slow(struct tally *t, unsigned domain, void *p, size_t nbytes) {
    uint64_t rate = atomic_load_explicit(atomic_load(&wrap_rate), memory_order_relaxed);
    if (is_due(&t->sampler, &t->next_sample, nbytes, rate) && rate != 0)
        sample(domain, p, nbytes, rate);
}

/* By a thread without a tally: they share a countdown, under the profile's lock. */
void wrap_sample_shared(unsigned domain, void *p, size_t nbytes) {
    static struct sampler sampler;
    static int64_t next_sample;
    struct mheap *h = atomic_load(&heap);
    if (h == NULL)
        return;
    uint64_t rate = atomic_load(&h->profile->rate);
    mutex_lock(&h->profile->lock);
    next_sample -= (int64_t)ga_max(nbytes, 1);
    bool due = is_due(&sampler, &next_sample, nbytes, rate);
    mutex_unlock(&h->profile->lock);
    if (due && rate != 0)
        sample(domain, p, nbytes, rate);
}

bool wrap_forget_slow(void *p, uint32_t *bucket) {
    struct mheap *h = atomic_load(&heap);
    return profile_free(h->profile, &h->specials, (uintptr_t)p, SPECIAL_WRAPPED, bucket);
}

void wrap_keep(void *p, uint32_t bucket) {
    struct mheap *h = atomic_load(&heap);
    profile_keep(h->profile, &h->specials, (uintptr_t)p, SPECIAL_WRAPPED, bucket);
}

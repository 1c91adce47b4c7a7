/* Which blocks of a cache are sampled, and how often.
 *
 * Allocation is a Poisson process over bytes (sampler.h).  Those over the bytes of one class and
 * those of the others are independent, so each store may count its own, in blocks; tiny and large
 * blocks share a count of bytes.  A block whose countdown has run out goes to the profile of the
 * heap, if that has one, and gets a special instead of its bit in the heap bitmap.
 *
 * One in so many blocks, whatever their size, is to be replaced by one between guard pages
 * (guard.h) by the floors that know what was asked for.  The two processes have no memory, so a
 * countdown runs to whichever comes first, and both are drawn anew.
 *
 * Lock: none; the caches are the caller's, or stopped. */
#include "mcache.h"

bool mcache_count_bytes(struct mcache *c, size_t nbytes) {
    c->next_sample -= (int64_t)nbytes;
    if (GA_LIKELY(c->next_sample >= 0))
        return false;
    c->sampler.hits++;
    c->next_sample = sampler_next(&c->sampler);
    return true;
}

void mcache_count_guard(struct mcache *c) {
    if (GA_LIKELY(c->guard.rate == 0) || --c->next_guard >= 0)
        return;
    c->guard_due = true;
    c->next_guard = sampler_next(&c->guard);
}

void mcache_draw_left(struct mcache *c, unsigned spc) {
    int64_t n = sampler_next(&c->sampler) / (int64_t)store_elemsize(spc);
    c->cold[spc].to_guard = false;
    if (GA_UNLIKELY(c->guard.rate != 0)) {
        int64_t guarded = sampler_next(&c->guard);
        c->cold[spc].to_guard = guarded <= n;
        n = c->cold[spc].to_guard ? guarded : n;
    }
    c->cold[spc].granted += (uint64_t)n;
    c->left[spc] += n;
}

bool mcache_count_hit(struct mcache *c, unsigned spc) {
    bool guarded = c->cold[spc].to_guard;
    c->sampler.hits += !guarded;
    c->guard_due |= guarded;
    c->cold[spc].granted++;
    c->left[spc] = 0;
    mcache_draw_left(c, spc);
    return !guarded;
}

bool mcache_sample(struct mcache *c, void *p, size_t size) {
    struct mheap *h = c->heap;
    return h->profile != NULL &&
           profile_malloc(h->profile, &h->specials, (uintptr_t)p, SPECIAL_PROFILE, size, c->domain,
                          c->sampler.rate);
}

/* What had been granted and not handed out is taken back first: the count of blocks stays.  Left is
 * below zero where the owner was stopped on his way to a slow path: that block is none yet. */
void mcache_draw_again(struct mcache *c, uint64_t rate) {
    c->sampler.rate = rate;
    c->next_sample = sampler_next(&c->sampler);
    c->guard.rate = c->heap->caches->guard_rate;
    c->next_guard = sampler_next(&c->guard);
    for (unsigned spc = 2; spc < GA_NUM_SPAN_CLASSES; spc++) {
        if (c->cold[spc].cap == 0)
            continue;
        if (c->left[spc] > 0)
            c->cold[spc].granted -= (uint64_t)c->left[spc];
        c->left[spc] = 0;
        mcache_draw_left(c, spc);
    }
}

void mcache_sample_apart(struct mcache *c) {
    rng_seed(&c->sampler.rng, (uintptr_t)c ^ os_entropy());
    rng_seed(&c->guard.rng, (uintptr_t)c ^ os_entropy());
    mcache_draw_again(c, c->sampler.rate);
}

uint64_t mcaches_set_sample_rate(struct mheap *h, uint64_t rate) {
    world_stop(h);
    uint64_t before = h->caches->sample_rate;
    h->caches->sample_rate = rate;
    if (h->profile != NULL)
        atomic_store(&h->profile->rate, rate);
    for (struct mcache *c = h->caches->first; c != NULL; c = c->next)
        mcache_draw_again(c, rate);
    world_start(h);
    return before;
}

uint64_t mcaches_set_guard_rate(struct mheap *h, uint64_t rate) {
    world_stop(h);
    uint64_t before = h->caches->guard_rate;
    h->caches->guard_rate = rate;
    for (struct mcache *c = h->caches->first; c != NULL; c = c->next)
        mcache_draw_again(c, h->caches->sample_rate);
    world_start(h);
    return before;
}

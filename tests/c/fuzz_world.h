/* Operations on a whole cache or a whole heap, and what must hold at any moment. */
#ifndef GA_TEST_FUZZ_WORLD_H
#define GA_TEST_FUZZ_WORLD_H

#include "fuzz_profile.h"

/* ---- what must hold ------------------------------------------------------------------------- */

static inline void check_heap(struct field *f) {
    char why[256] = "";
    gils_lock(f);
    int bad = inspect_check(f->h, why, sizeof why);
    gils_unlock(f);
    if (bad)
        fprintf(stderr, "%s\n", why);
    EXPECT(!bad);
}

/* Slots that hold tiny parts: counted at the first part of each that is live. */
static inline uint64_t tiny_slots(struct shadow *s) {
    uint64_t n = 0;
    for (uint32_t i = 0; i < s->nlive; i++) {
        const struct block *b = &s->live[i];
        bool first = b->tiny;
        for (unsigned char *p = b->p; first && (uintptr_t)p-- % GA_TINY_SIZE != 0;)
            first = shadow_find(s, p) == NULL;
        n += first;
    }
    return n;
}

/* A cache may hold one tiny slot more than there are parts in.  What waits in the rings of a
 * debugging run has not been freed. */
static inline void check_counts(struct driver *d, const struct memstats *m) {
    struct shadow *s = &d->shadow;
    uint64_t tiny = tiny_slots(s), nblocks = d->f->ballast != NULL;
    uint64_t bytes = nblocks * GA_HUGE_HEAP_MIN;
    for (uint32_t i = 0; i < s->nlive; i++) {
        bool whole = !s->live[i].tiny && !s->live[i].guarded;
        nblocks += whole;
        bytes += whole ? s->live[i].usable : 0;
    }
    for (unsigned i = 0; d->f->debug != NULL && i < DEBUG_RINGS; i++) {
        nblocks += d->f->debug->rings[i].n;
        bytes += d->f->debug->rings[i].nbytes;
    }
    uint64_t held = m->heap_objects - nblocks - tiny;
    EXPECT(held <= d->nlanes);
    EXPECT(m->heap_alloc == bytes + (tiny + held) * GA_TINY_SIZE);
    EXPECT(m->mallocs - m->by_size[0].mallocs == s->nsmall);
}

static inline void check_equations(const struct memstats *m) {
    EXPECT(m->sys == m->heap_sys + m->stack_sys + m->mspan_sys + m->mcache_sys + m->buck_hash_sys +
                         m->gc_sys + m->other_sys);
    EXPECT(m->heap_sys == m->heap_idle + m->heap_inuse);
    EXPECT(m->heap_objects == m->mallocs - m->frees && m->alloc == m->heap_alloc);
    EXPECT(m->heap_alloc <= m->heap_inuse && m->heap_released <= m->heap_idle);
    EXPECT(m->inuse_released <= m->heap_inuse);
    EXPECT(m->stack_inuse <= m->stack_sys && m->mspan_inuse <= m->mspan_sys);
    EXPECT(m->mcache_inuse <= m->mcache_sys);
}

static inline void check_stats(struct driver *d) {
    struct memstats fast, slow;
    memset(&fast, 0, sizeof fast); /* they are compared with their padding */
    memset(&slow, 0, sizeof slow);
    gils_lock(d->f);
    inspect_memstats(d->f->h, &fast);
    inspect_memstats_slow(d->f->h, &slow);
    gils_unlock(d->f);
    check_equations(&fast);
    check_equations(&slow);
    if (d->f->threaded)
        return; /* there was a moment between the two */
    EXPECT(memcmp(&fast, &slow, sizeof fast) == 0);
    check_counts(d, &fast);
}

static inline void check_classes(struct driver *d) {
    struct class_stats classes[GA_NUM_SPAN_CLASSES];
    struct memstats m;
    uint64_t live = 0, bytes = 0;
    gils_lock(d->f);
    inspect_class_stats(d->f->h, classes);
    inspect_memstats(d->f->h, &m);
    gils_unlock(d->f);
    for (unsigned i = 0; i < GA_NUM_SPAN_CLASSES; i++) {
        const struct class_stats *c = &classes[i];
        EXPECT(c->cached <= c->capacity - c->live && c->mallocs - c->frees == c->live);
        live += c->live;
        bytes += c->live_bytes;
    }
    EXPECT(d->f->threaded || (live == m.heap_objects && bytes == m.heap_alloc));
}

/* A live block stands where the description of its span says that one does. */
static inline void check_span(struct driver *d) {
    struct shadow *s = &d->shadow;
    struct span_info span;
    uint64_t bits[GA_PAGE_SIZE / 8 / 64] = {0};
    const struct block *b = s->nlive != 0 ? &s->live[input_below(&d->in, s->nlive)] : NULL;
    if (b == NULL || b->guarded)
        return;
    gils_lock(d->f);
    bool found = inspect_span_of(d->f->h, (uintptr_t)b->p, &span, bits);
    gils_unlock(d->f);
    EXPECT(found && span.state == MSPAN_IN_USE && span.alloc_count != 0);
    uint64_t i = ((uintptr_t)b->p - span.start) / span.elem_size;
    EXPECT(i < span.nelems && bits[i / 64] >> i % 64 & 1);
    EXPECT(b->tiny ||
           (span.elem_size == b->usable && span.start + i * span.elem_size == (uintptr_t)b->p));
}

static inline void check_snapshot(struct field *f) {
    struct snapshot s;
    uint64_t live = 0, pages = 0;
    gils_lock(f);
    bool ok = inspect_snapshot(f->h, &s);
    gils_unlock(f);
    if (!ok) {
        EXPECT(f->threaded || atomic_load(&f->faults));
        return;
    }
    for (uint64_t i = 0; i < s.nspans; i++) {
        pages += s.spans[i].npages;
        live += s.spans[i].state == MSPAN_IN_USE ? s.spans[i].alloc_count : 0;
    }
    EXPECT(live == s.memstats.heap_objects);
    EXPECT(pages << GA_PAGE_SHIFT == s.memstats.heap_sys + s.memstats.stack_sys);
    inspect_snapshot_free(&s);
}

static inline void check_contents(struct driver *d) {
    for (uint32_t i = 0; i < d->shadow.nlive; i++)
        EXPECT(block_holds(&d->shadow.live[i], d->shadow.live[i].p, d->shadow.live[i].size));
}

/* ---- caches --------------------------------------------------------------------------------- */

/* A cache ends while its blocks live on, and another takes its place. */
static inline void renew_cache(struct driver *d, struct lane *l) {
    struct field *f = d->f;
    lane_lock(d, l);
    if (l->gil != NULL)
        atomic_store(&l->gil->c, NULL);
    mcache_free(l->c);
    while ((l->c = mcache_new(f->h, l->kind, f->set[l->set])) == NULL) {
        EXPECT(may_fail(d));
        set_faults(f, 0, false);
    }
    reseed_sampler(l->c, input_u32(&d->in));
    if (l->gil != NULL)
        atomic_store(&l->gil->c, l->c);
    lane_unlock(d, l);
}

/* What is freed while a cache is closed goes to the spans. */
static inline void close_for_a_while(struct driver *d, struct lane *l) {
    mcache_close(l->c);
    for (unsigned n = input_below(&d->in, 32); n-- > 0;) {
        struct block *b = pick(d);
        if (b != NULL)
            free_block(d, b);
    }
    mcache_open(l->c);
}

static inline void op_cache(struct driver *d) {
    struct lane *l = lane_of(d);
    unsigned what = input_u8(&d->in) % 8;
    if (what < 2 && l->kind != MCACHE_ORPHAN) {
        renew_cache(d, l);
        return;
    }
    if (what == 2 && !d->f->threaded && !atomic_load(&d->f->closed)) {
        lane_lock(d, l);
        close_for_a_while(d, l);
        lane_unlock(d, l);
        return;
    }
    lane_enter(d, l);
    if (what < 5)
        mcache_release_all(l->c);
    else
        mcache_age(l->c);
    lane_leave(d, l);
}

/* ---- the heap ------------------------------------------------------------------------------- */

static inline void op_scavenge(struct driver *d) {
    static const uint64_t steps[] = {0, 1000, 1000000, 20000000, 130000000, 1000000000};
    struct gil *busy = NULL; /* an interpreter at work: the scavenger may not use its cache */
    unsigned dice = input_u8(&d->in);
    d->clock += steps[dice % 6];
    if (dice >= 192 && d->f->ngils != 0 && !d->f->threaded)
        pthread_mutex_lock(&(busy = &d->f->gil[dice % d->f->ngils])->m);
    uint64_t again = scavenger_step(d->f->h, d->clock);
    if (busy != NULL)
        pthread_mutex_unlock(&busy->m);
    if (again != GA_SCAVENGE_NEVER && dice & 32)
        d->clock += again;
}

static inline void op_limit(struct driver *d) {
    struct mheap *h = d->f->h;
    unsigned dice = input_u8(&d->in);
    mutex_lock(&h->lock);
    uint64_t ready = mheap_ready_bytes_locked(h);
    mutex_unlock(&h->lock);
    uint64_t limit = dice % 8 < 3 ? UINT64_MAX : dice % 8 == 3 ? dice : ready / 64 * (dice / 2);
    mheap_set_memory_limit(h, limit);
}

static inline void op_faults(struct driver *d) {
    unsigned dice = input_u8(&d->in);
    set_faults(d->f, 1 + dice % 32, dice & 32);
    d->faults_left = 1 + dice;
}

static inline void op_delay(struct driver *d) {
    static const uint64_t delays[] = {GA_SCAVENGE_DELAY_DEFAULT, 0, 8000000, GA_SCAVENGE_NEVER};
    scavenger_set_delay(d->f->h, delays[input_u8(&d->in) % 4]);
}

static inline void op_open(struct driver *d) {
    bool open = atomic_load(&d->f->closed);
    gils_lock(d->f);
    mcaches_set_open(d->f->h, open);
    atomic_store(&d->f->closed, !open);
    gils_unlock(d->f);
}

static inline void op_stop(struct driver *d) {
    gils_lock(d->f);
    world_stop(d->f->h);
    world_start(d->f->h);
    gils_unlock(d->f);
}

static inline void op_give_back(struct driver *d, bool caches_too) {
    if (!caches_too) {
        mheap_free_os_memory(d->f->h);
        return;
    }
    gils_lock(d->f);
    heap_free_os_memory(d->f->h);
    gils_unlock(d->f);
}

/* Sampled more or less from now on. */
static inline void op_rate(struct driver *d) {
    static const uint32_t rates[] = {0, 1, 100, 4096};
    unsigned dice = input_u8(&d->in);
    gils_lock(d->f);
    mcaches_set_sample_rate(d->f->h, rates[dice % 4]);
    atomic_store(&d->f->rate, rates[dice % 4]);
    atomic_store(&d->f->sampled, true);
    gils_unlock(d->f);
    check_profile(d, dice & 4);
}

/* The first call makes the pool.  Who would be told that it is half full is not here. */
static inline struct guards *make_pool(struct driver *d) {
    struct mheap *h = d->f->h;
    struct guards *g = atomic_load(&h->guards);
    if (g != NULL || (g = guards_new(&h->os, NULL)) == NULL)
        return g;
    rng_seed(&g->rng, input_u32(&d->in));
    g->told = true;
    atomic_store(&h->guards, g);
    return g;
}

static inline void op_guard(struct driver *d) {
    static const uint64_t rates[] = {0, 0, 0, 0, 1, 20, 500, 5000};
    unsigned dice = input_u8(&d->in);
    if (make_pool(d) == NULL) {
        EXPECT(d->f->threaded || atomic_load(&d->f->faults));
        return;
    }
    gils_lock(d->f);
    guards_expect(d->f->h->guards, dice & 8 ? 1 : GA_GUARD_RATE_MAX); /* in either way, */
    atomic_store(&d->f->h->guards->pace, 0); /* and by no clock: it is to be run again */
    mcaches_set_guard_rate(d->f->h, rates[dice % 8]);
    gils_unlock(d->f);
}

static inline void check_debug(struct field *f) {
    gils_lock(f);
    debug_check(f->debug);
    gils_unlock(f);
}

/* What is dear is rare. */
static inline void op_world(struct driver *d) {
    unsigned what = input_u8(&d->in);
    if (what < 130)
        op_scavenge(d);
    else if (what < 152)
        op_limit(d);
    else if (what < 174)
        op_faults(d);
    else if (what < 180)
        op_delay(d);
    else if (what < (atomic_load(&d->f->closed) ? 194 : 182))
        op_open(d);
    else if (what < 198)
        op_stop(d);
    else if (what < 206)
        op_give_back(d, what & 1);
    else if (what < 210)
        check_stats(d);
    else if (what < 212)
        check_classes(d);
    else if (what < 214)
        check_snapshot(d->f);
    else if (what < 216)
        check_heap(d->f);
    else if (what < 218)
        check_contents(d);
    else if (what < 222)
        check_span(d);
    else if (what < 240)
        op_rate(d);
    else if (d->f->debug == NULL)
        op_guard(d);
    else
        check_debug(d->f);
}

#endif

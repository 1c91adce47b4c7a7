/* Operations on a whole cache or a whole heap, and what must hold at any moment. */
#ifndef GA_TEST_FUZZ_WORLD_H
#define GA_TEST_FUZZ_WORLD_H

#include "fuzz_ops.h"

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

/* A cache may hold one tiny slot more than there are parts in. */
static inline void check_counts(struct driver *d, const struct memstats *m) {
    struct shadow *s = &d->shadow;
    uint64_t tiny = tiny_slots(s), nblocks = d->f->ballast != NULL;
    uint64_t bytes = nblocks * GA_HUGE_HEAP_MIN;
    for (uint32_t i = 0; i < s->nlive; i++) {
        nblocks += !s->live[i].tiny;
        bytes += s->live[i].tiny ? 0 : s->live[i].usable;
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
    inspect_snapshot_free(f->h, &s);
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
        if (b == NULL)
            continue;
        unsigned char *p = b->p; /* not by free_block: the lane is locked, and has been entered */
        EXPECT(block_holds(b, p, b->size));
        shadow_remove(&d->shadow, b);
        EXPECT(ga_free(d->f->h, l->c, p) == MISUSE_NONE);
        shadow_note_freed(&d->shadow, p);
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

static inline bool is_in_exchange(const struct field *f, uintptr_t addr) {
    for (unsigned i = 0; i < f->nexchange; i++)
        if ((uintptr_t)f->exchange[i].p == addr)
            return true;
    return false;
}

/* The profile of a heap that is sampled more or less, and read. */
static inline void op_rate(struct driver *d, unsigned dice) {
    static const uint64_t rates[] = {0, 1, 100, 4096};
    struct mheap *h = d->f->h;
    struct profile_copy copy;
    uint64_t inuse = 0;
    gils_lock(d->f);
    mcaches_set_sample_rate(h, rates[dice % 4]);
    atomic_store(&d->f->sampled, true);
    gils_unlock(d->f);
    if (!profile_read(h->profile, &h->specials, true, &copy)) {
        EXPECT(d->f->threaded || atomic_load(&d->f->faults));
        return;
    }
    for (uint32_t i = 0; i < copy.nsamples; i++)
        inuse += copy.samples[i].allocs - copy.samples[i].frees;
    EXPECT(inuse == copy.nblocks);
    for (size_t i = 0; i < copy.nblocks && !d->f->threaded; i++)
        EXPECT(shadow_find(&d->shadow, (unsigned char *)copy.blocks[i]) != NULL ||
               is_in_exchange(d->f, copy.blocks[i]));
    profile_copy_free(h->profile, &copy);
}

/* What is dear is rare. */
static inline void op_world(struct driver *d) {
    unsigned what = input_u8(&d->in);
    if (what < 160)
        op_scavenge(d);
    else if (what < 184)
        op_limit(d);
    else if (what < 208)
        op_faults(d);
    else if (what < 216)
        op_delay(d);
    else if (what < (atomic_load(&d->f->closed) ? 230 : 218))
        op_open(d);
    else if (what < 234)
        op_stop(d);
    else if (what < 242)
        op_give_back(d, what & 1);
    else if (what < 246)
        check_stats(d);
    else if (what < 248)
        check_snapshot(d->f);
    else if (what < 250)
        check_heap(d->f);
    else if (what < 252)
        check_contents(d);
    else
        op_rate(d, what);
}

#endif

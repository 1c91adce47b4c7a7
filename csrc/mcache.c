/* See mcache.h for what a cache and a store are, malloc.c for the overview. */
#include "mcache.h"

#include <string.h>

#include "fatal.h"

/* ---- refill and overflow -------------------------------------------------------------------- */

static size_t store_room(const struct mcache *c, unsigned spc) {
    return (size_t)(c->store[spc].limit - c->cold[spc].base);
}

/* The store is empty.  Grows its limit if slots that it gave back are wanted again. */
static bool refill(struct mcache *c, unsigned spc) {
    struct store *st = &c->store[spc];
    struct store_cold *cold = &c->cold[spc];
    store_settle(c, st);
    if (st->gave_back) {
        st->gave_back = 0;
        st->limit = cold->base + ga_min(2 * store_room(c, spc), cold->cap);
    }
    size_t n = mcentral_take(c->heap, &c->central[spc], c, &cold->cached, cold->batch, cold->base);
    /* The central fills upwards; popping downwards would hand addresses out in falling order. */
    for (size_t i = 0, k = n; i + 1 < k; i++, k--) {
        void *p = cold->base[i];
        cold->base[i] = cold->base[k - 1];
        cold->base[k - 1] = p;
    }
    st->top = cold->base + n;
    cold->batch = (uint32_t)ga_min(2 * (size_t)cold->batch, (store_room(c, spc) + 1) / 2);
    return n != 0;
}

void mcache_sample(struct mcache *c) {
    c->sampler.hits++;
    c->next_sample = sampler_next(&c->sampler);
}

void *mcache_pop_slow(struct mcache *c, spanclass_t spc) {
    struct store *st = &c->store[spc];
    if (mcache_is_closed(c, spc))
        return NULL;
    if (st->top[-1] == NULL) {
        if (!refill(c, spc))
            return NULL;
        c->next_sample -= st->elemsize; /* mcache_pop stopped before it counted */
    }
    if (c->next_sample < 0)
        mcache_sample(c);
    void *p = *--st->top;
    st->nmalloc++;
    if (c->shared) {
        *st->top = NULL;
        heap_bits_set(arena_of(&c->heap->map, (uintptr_t)p), (uintptr_t)p, true);
    }
    return p;
}

/* Gives the n coldest slots of a settled store back. */
static void give_back(struct mcache *c, unsigned spc, size_t n) {
    struct store *st = &c->store[spc];
    void **base = c->cold[spc].base;
    size_t rest = (size_t)(st->top - base) - n;
    mcentral_put(c->heap, base, n);
    memmove(base, base + n, rest * sizeof *base);
    memset(base + rest, 0, n * sizeof *base);
    st->top = base + rest;
}

void mcache_overflow(struct mcache *c, spanclass_t spc) {
    struct store *st = &c->store[spc];
    store_settle(c, st);
    give_back(c, spc, (store_room(c, spc) + 1) / 2);
    st->gave_back = 1;
}

/* ---- settle, release, close ----------------------------------------------------------------- */

void mcache_settle_all(struct mcache *c) {
    for (unsigned spc = 2; spc < GA_NUM_SPAN_CLASSES; spc++)
        store_settle(c, &c->store[spc]);
}

void mcache_release_all(struct mcache *c) {
    for (unsigned spc = 2; spc < GA_NUM_SPAN_CLASSES; spc++) {
        struct store *st = &c->store[spc];
        if (c->cold[spc].cap == 0)
            continue;
        store_settle(c, st);
        if (!mcache_is_closed(c, (uint8_t)spc))
            give_back(c, spc, (size_t)(st->top - c->cold[spc].base));
        mcentral_uncache_span(c->heap, &c->cold[spc].cached);
    }
    tiny_release(c->heap, &c->tiny);
    stackcache_release(c->heap, &c->stackcache);
}

void mcache_close(struct mcache *c) {
    mcache_release_all(c);
    for (unsigned spc = 0; spc < sizeof c->store / sizeof c->store[0]; spc++)
        c->store[spc].top = c->store[spc].limit = &c->closed[1];
}

void mcache_open(struct mcache *c) {
    for (unsigned spc = 2; spc < GA_NUM_SPAN_CLASSES; spc++) {
        struct store *st = &c->store[spc];
        struct store_cold *cold = &c->cold[spc];
        if (cold->cap == 0 || !mcache_is_closed(c, (uint8_t)spc))
            continue;
        size_t limit = ga_max(GA_STORE_LIMIT_BYTES / st->elemsize, GA_STORE_LIMIT_MIN);
        st->top = cold->base;
        st->limit = cold->base + ga_min(ga_min(limit, GA_STORE_LIMIT_MAX), cold->cap);
        cold->batch = GA_STORE_LIMIT_MIN / 2;
    }
}

void mcaches_set_open(struct mheap *h, bool open) {
    world_stop(h);
    h->caches->closed = !open;
    for (struct mcache *c = h->caches->first; c != NULL; c = c->next) {
        if (open)
            mcache_open(c);
        else
            mcache_close(c);
    }
    world_start(h);
}

/* ---- making and ending ---------------------------------------------------------------------- */

static bool kind_serves(enum mcache_kind kind, unsigned spc) {
    if (spanclass_sizeclass((spanclass_t)spc) == 0)
        return false;
    bool noscan = spanclass_noscan((spanclass_t)spc);
    return kind == MCACHE_INTERP ? !noscan : kind == MCACHE_THREAD ? noscan : true;
}

static size_t kind_cap(enum mcache_kind kind) {
    return kind == MCACHE_INTERP ? GA_STORE_CAP : GA_STORE_CAP_THREAD;
}

static size_t kind_slots_bytes(enum mcache_kind kind) {
    size_t n = 0;
    for (unsigned spc = 0; spc < GA_NUM_SPAN_CLASSES; spc++)
        n += kind_serves(kind, spc) ? kind_cap(kind) + 2 : 0;
    return n * sizeof(void *);
}

/* slots is all NULL: fresh, or as mcache_release_all left it. */
static void init_stores(struct mcache *c, void **slots) {
    c->slots = slots;
    for (unsigned spc = 0; spc < GA_NUM_SPAN_CLASSES; spc++) {
        c->store[spc].elemsize = class_to_size[spanclass_sizeclass((spanclass_t)spc)];
        if (!kind_serves(c->kind, spc))
            continue;
        c->cold[spc].cap = (uint32_t)kind_cap(c->kind);
        c->cold[spc].base = slots + 1;
        slots += c->cold[spc].cap + 2;
    }
    for (unsigned spc = 0; spc < sizeof c->store / sizeof c->store[0]; spc++)
        c->store[spc].top = c->store[spc].limit = &c->closed[1];
}

static void link_cache_locked(struct mcaches *cs, struct mcache *c) {
    c->next = cs->first;
    if (cs->first != NULL)
        cs->first->prev = c;
    cs->first = c;
    cs->ncaches++;
}

struct mcache *mcache_new(struct mheap *h, enum mcache_kind kind, struct mcentral *central) {
    struct mcaches *cs = h->caches;
    mutex_lock(&cs->lock);
    struct mcache *c = fixalloc_alloc(&cs->cachealloc);
    void **slots = c == NULL ? NULL : fixalloc_alloc(&cs->slotsalloc[kind]);
    if (slots == NULL) {
        if (c != NULL)
            fixalloc_free(&cs->cachealloc, c);
        mutex_unlock(&cs->lock);
        return NULL;
    }
    slots[0] = NULL; /* the link of the free list stood here */
    c->heap = h;
    c->kind = kind;
    c->shared = kind == MCACHE_THREAD || kind == MCACHE_ORPHAN;
    c->central = central;
    atomic_store(&c->gate, cs->have_barrier ? 0 : GA_GATE_FENCE);
    sampler_init(&c->sampler, cs->sample_rate, (uintptr_t)c ^ os_nanotime());
    c->next_sample = sampler_next(&c->sampler);
    init_stores(c, slots);
    if (!cs->closed)
        mcache_open(c);
    link_cache_locked(cs, c);
    mutex_unlock(&cs->lock);
    return c;
}

void mcache_free(struct mcache *c) {
    struct mcaches *cs = c->heap->caches;
    mcache_enter(c);
    mcache_release_all(c);
    mcache_leave(c);
    mutex_lock(&cs->lock);
    for (unsigned spc = 0; spc < GA_NUM_SPAN_CLASSES; spc++)
        cs->retired_nmalloc[spc] += c->store[spc].nmalloc;
    cs->retired_tiny_blocks += c->tiny.blocks;
    cs->retired_tiny_allocs += c->tiny.allocs;
    *(c->prev != NULL ? &c->prev->next : &cs->first) = c->next;
    if (c->next != NULL)
        c->next->prev = c->prev;
    cs->ncaches--;
    fixalloc_free(&cs->slotsalloc[c->kind], c->slots);
    fixalloc_free(&cs->cachealloc, c);
    mutex_unlock(&cs->lock);
}

bool mcaches_init(struct mheap *h) {
    struct mcaches *cs = persistentalloc(&h->persistent, sizeof *cs, 0, NULL);
    if (cs == NULL)
        return false;
    mutex_init(&cs->lock, GA_RANK_CACHES, "mcaches");
    mutex_init(&cs->orphan_lock, GA_RANK_ORPHAN, "orphan");
    fixalloc_init(&cs->cachealloc, sizeof(struct mcache), GA_CACHE_LINE, &h->persistent,
                  &h->mcache_sys);
    for (unsigned kind = 0; kind < MCACHE_KINDS; kind++) {
        fixalloc_init(&cs->slotsalloc[kind], kind_slots_bytes(kind), 0, &h->persistent,
                      &h->mcache_sys);
        cs->slotsalloc[kind].zero = false; /* all NULL already; most of it never touched */
    }
    cs->sample_rate = GA_SAMPLE_RATE_DEFAULT;
    cs->have_barrier = os_barrier_init();
    h->caches = cs;
    return true;
}

void mcaches_destroy(struct mheap *h) {
    mutex_destroy(&h->caches->orphan_lock);
    mutex_destroy(&h->caches->lock);
    h->caches = NULL;
}

/* ---- stopping ------------------------------------------------------------------------------- */

void mcache_enter_slow(struct mcache *c) {
    for (;;) {
        atomic_store(&c->busy, 1);
        if (!(atomic_load(&c->gate) & GA_GATE_STOP))
            return;
        atomic_store(&c->busy, 0);
        mutex_lock(&c->heap->caches->lock); /* until the world is started */
        mutex_unlock(&c->heap->caches->lock);
    }
}

void world_stop(struct mheap *h) {
    struct mcaches *cs = h->caches;
    mutex_lock(&cs->lock);
    mutex_lock(&cs->orphan_lock);
    bool others = false; /* could any be at work?  Even a single one need not be the caller's */
    for (struct mcache *c = cs->first; c != NULL; c = c->next) {
        atomic_fetch_or(&c->gate, GA_GATE_STOP);
        others |= c->kind != MCACHE_HEAP;
    }
    if (others && cs->have_barrier)
        os_barrier();
    for (struct mcache *c = cs->first; c != NULL; c = c->next)
        while (atomic_load(&c->busy))
            os_yield();
}

void world_start(struct mheap *h) {
    struct mcaches *cs = h->caches;
    for (struct mcache *c = cs->first; c != NULL; c = c->next)
        atomic_fetch_and(&c->gate, ~GA_GATE_STOP);
    mutex_unlock(&cs->orphan_lock);
    mutex_unlock(&cs->lock);
}

/* See mcache.h for what a cache and a store are, malloc.c for the overview. */
#include "mcache.h"

#include <string.h>

#include "fatal.h"

#define GATE_YIELDS 64 /* times that the two sides of a gate wait for each other by yielding */

/* ---- refill and overflow -------------------------------------------------------------------- */

static size_t store_room(const struct mcache *c, unsigned spc) {
    return (size_t)(c->limit[spc] - c->cold[spc].base);
}

void mcache_shut_store(struct mcache *c, unsigned spc) {
    c->top[spc] = c->limit[spc] = &c->shut[1];
}

static size_t first_limit(unsigned spc) {
    size_t limit = GA_STORE_LIMIT_BYTES / store_elemsize(spc);
    return ga_min(ga_max(limit, GA_STORE_LIMIT_MIN), GA_STORE_LIMIT_MAX);
}

/* Gives a store without slots its array, and so much room in it. */
static void use_array(struct mcache *c, unsigned spc, struct free_slot *base, size_t room) {
    base[-1].granule = 0; /* where popping ends */
    c->cold[spc].base = base;
    c->top[spc] = base;
    c->limit[spc] = base + room;
    c->cold[spc].gave_back = false;
}

/* Gives a store that was shut its first limit. */
static void make_room(struct mcache *c, unsigned spc) {
    use_array(c, spc, c->cold[spc].first, ga_min(first_limit(spc), c->cold[spc].cap));
    c->cold[spc].batch = GA_STORE_LIMIT_MIN / 2;
}

/* Fills an empty store, or puts a single slot into it.  Grows its limit if slots that it gave back
 * are wanted again. */
static bool refill(struct mcache *c, unsigned spc, bool single) {
    struct store_cold *cold = &c->cold[spc];
    if (mcache_is_shut(c, spc))
        make_room(c, spc);
    if (cold->gave_back)
        use_array(c, spc, cold->grown, ga_min(2 * store_room(c, spc), cold->cap));
    size_t want = single ? 1 : mheap_is_tight(c->heap) ? GA_STORE_LIMIT_MIN / 2 : cold->batch;
    size_t n = mcentral_fill_store(c->heap, &c->central[spc], c, &cold->cached, want, cold->base);
    c->top[spc] = cold->base + n;
    size_t half = (store_room(c, spc) + 1) / 2;
    cold->batch = (uint32_t)ga_min(2 * (size_t)cold->batch, ga_min(half, GA_STORE_BATCH_MAX));
    return n != 0;
}

/* The topmost slot becomes a block. */
static void *hand_out(struct mcache *c, unsigned spc, bool sampled) {
    struct free_slot *slot = --c->top[spc];
    void *p = (void *)granule_addr(slot->granule);
    if (!sampled || !mcache_sample(c, p, store_elemsize(spc)))
        heap_word_set(slot->bits, slot->granule, c->shared);
    CLIENT_MADE(p, store_elemsize(spc), false);
    return p;
}

/* The single slot has been handed out. */
static void shut_single(struct mcache *c, unsigned spc) {
    c->cold[spc].singles++;
    mcentral_uncache_span(c->heap, &c->cold[spc].cached);
    mcache_shut_store(c, spc);
}

void *mcache_pop_slow(struct mcache *c, spanclass_t spc) {
    if (mcache_is_closed(c, spc))
        return NULL;
    mcache_obey(c);
    bool single = mcache_keeps_none(c, spc);
    if (c->top[spc][-1].granule == 0) {
        if (!refill(c, spc, single)) {
            if (c->left[spc] < 0) /* obeying took the slot that store_pop had counted */
                c->left[spc] = 0;
            return NULL;
        }
        c->left[spc]--; /* store_pop stopped before it counted */
    }
    bool sampled = c->left[spc] < 0;
    if (sampled)
        sampled = mcache_count_hit(c, spc);
    void *p = hand_out(c, spc, sampled);
    if (GA_UNLIKELY(single))
        shut_single(c, spc);
    return p;
}

void *mcache_pop_sampled(struct mcache *c, spanclass_t spc) {
    if (mcache_is_closed(c, spc))
        return NULL;
    mcache_obey(c);
    if (c->top[spc][-1].granule == 0 && !refill(c, spc, false))
        return NULL;
    c->cold[spc].granted++; /* and its countdown goes on as it was */
    return hand_out(c, spc, true);
}

void mcache_give_back(struct mcache *c, unsigned spc, size_t n) {
    struct free_slot *base = c->cold[spc].base;
    if (n == 0)
        return;
    mcentral_put_stored(c->heap, base, n);
    size_t rest = (size_t)(c->top[spc] - base) - n;
    memmove(base, base + n, rest * sizeof *base);
    c->top[spc] = base + rest;
}

void mcache_overflow(struct mcache *c, spanclass_t spc) {
    mcache_obey(c);
    if (mcache_is_shut(c, spc)) {
        mheap_mark_active(c->heap);
        make_room(c, spc);
    } else if (c->top[spc] == c->limit[spc]) { /* obeying may have made room */
        size_t room = store_room(c, spc);
        mcache_give_back(c, spc, mheap_is_tight(c->heap) ? room : (room + 1) / 2);
        c->cold[spc].gave_back = true;
    }
}

/* ---- release, close, open ------------------------------------------------------------------- */

void mcache_release_all(struct mcache *c) {
    for (unsigned spc = 2; spc < GA_NUM_SPAN_CLASSES; spc++) {
        if (c->cold[spc].cap == 0)
            continue;
        mcache_give_back(c, spc, mcache_waiting(c, spc));
        mcentral_uncache_span(c->heap, &c->cold[spc].cached);
    }
    tiny_release(c->heap, &c->tiny);
    stackcache_release(c->heap, &c->stackcache);
}

static void close_stores(struct mcache *c) {
    c->tiny.closed = true;
    for (unsigned spc = 0; spc < GA_NUM_PAGE_CLASSES; spc++)
        c->top[spc] = c->limit[spc] = &c->closed[1];
}

void mcache_close(struct mcache *c) {
    mcache_release_all(c);
    close_stores(c);
}

void mcache_open(struct mcache *c) {
    c->tiny.closed = false;
    for (unsigned spc = 2; spc < GA_NUM_SPAN_CLASSES; spc++) {
        if (c->cold[spc].cap != 0 && mcache_is_closed(c, spc))
            mcache_shut_store(c, spc);
    }
}

void mcaches_set_open(struct mheap *h, bool open) {
    world_stop(h);
    h->caches->closed = !open;
    for (struct mcache *c = h->caches->first; c != NULL; c = c->next) {
        if (open)
            mcache_open(c);
        else if (c->kind != MCACHE_ORPHAN) /* it serves other extensions, too (goalloc_api.c) */
            mcache_close(c);
    }
    world_start(h);
}

/* ---- making and ending ---------------------------------------------------------------------- */

static bool kind_serves(enum mcache_kind kind, unsigned spc) {
    if (spanclass_sizeclass(spc) == 0)
        return false;
    bool noscan = spanclass_noscan(spc);
    return kind == MCACHE_INTERP ? !noscan : kind == MCACHE_THREAD ? noscan : true;
}

/* Slots that a store of such a cache can grow to. */
static size_t kind_cap(enum mcache_kind kind, unsigned spc) {
    if (!kind_serves(kind, spc))
        return 0;
    if (kind == MCACHE_INTERP)
        return GA_STORE_CAP;
    return kind == MCACHE_HEAP
               ? GA_STORE_CAP_THREAD
               : ga_min(GA_STORE_CAP_THREAD, GA_STORE_CAP_THREAD_BYTES / store_elemsize(spc));
}

/* Slots of the first array of such a store; of the one for more, 0 if it needs none. */
static size_t kind_first(enum mcache_kind kind, unsigned spc) {
    size_t cap = kind_cap(kind, spc);
    return cap != 0 ? ga_min(first_limit(spc), cap) : 0;
}
static size_t kind_grown(enum mcache_kind kind, unsigned spc) {
    size_t cap = kind_cap(kind, spc);
    return cap > kind_first(kind, spc) ? cap : 0;
}

/* Every array has an entry more, below its base. */
static size_t kind_slots_bytes(enum mcache_kind kind) {
    size_t n = 0;
    for (unsigned spc = 0; spc < GA_NUM_SPAN_CLASSES; spc++)
        n += kind_first(kind, spc) + 1 + kind_grown(kind, spc) + 1;
    return n * sizeof(struct free_slot);
}

/* The first arrays of all stores stand side by side: they are short, and most stores never need the
 * other one, so that many share a page of the system. */
static void lay_out_stores(struct mcache *c, struct free_slot *slots) {
    c->slots = slots;
    for (unsigned spc = 0; spc < GA_NUM_SPAN_CLASSES; spc++) {
        c->cold[spc].base = c->cold[spc].first = c->cold[spc].grown = slots + 1;
        slots += kind_first(c->kind, spc) + 1;
    }
    for (unsigned spc = 0; spc < GA_NUM_SPAN_CLASSES; spc++) {
        if (kind_grown(c->kind, spc) != 0)
            c->cold[spc].grown = slots + 1;
        slots += kind_grown(c->kind, spc) + 1;
    }
}

/* Slots of 8 bytes are not for an interpreter: see mcache_scan_class. */
static void init_scan_classes(struct mcache *c) {
    size_t from = 0;
    for (unsigned i = size_to_class(GA_TINY_SIZE); from <= GA_SCAN_STORE_MAX; i++) {
        size_t to = ga_min(class_to_size[i], GA_SCAN_STORE_MAX);
        memset(&c->scan_class[from], make_spanclass((uint8_t)i, false), to + 1 - from);
        from = to + 1;
    }
}

static void init_stores(struct mcache *c, struct free_slot *slots) {
    lay_out_stores(c, slots);
    for (unsigned spc = 0; spc < GA_NUM_SPAN_CLASSES; spc++) {
        c->cold[spc].cap = (uint32_t)kind_cap(c->kind, spc);
        if (c->cold[spc].cap != 0)
            mcache_draw_left(c, spc);
    }
    close_stores(c);
    if (c->kind == MCACHE_INTERP)
        init_scan_classes(c);
}

void mcache_init_closed(struct mcache *c) {
    close_stores(c);
    init_scan_classes(c);
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
    struct free_slot *slots = c == NULL ? NULL : fixalloc_alloc(&cs->slotsalloc[kind]);
    if (slots == NULL) {
        if (c != NULL)
            fixalloc_free(&cs->cachealloc, c);
        mutex_unlock(&cs->lock);
        return NULL;
    }
    c->heap = h;
    c->kind = kind;
    c->shared = kind == MCACHE_THREAD || kind == MCACHE_ORPHAN;
    c->bracketed = kind == MCACHE_THREAD;
    c->central = central;
    atomic_store(&c->gate, cs->have_barrier ? 0 : GA_GATE_FENCE);
    sampler_init(&c->sampler, cs->sample_rate, (uintptr_t)c ^ os_nanotime());
    c->next_sample = sampler_next(&c->sampler);
    sampler_init(&c->guard, cs->guard_rate, (uintptr_t)c ^ os_entropy());
    c->next_guard = sampler_next(&c->guard);
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
        cs->retired_nmalloc[spc] += mcache_nmalloc(c, spc);
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
        cs->slotsalloc[kind].zero = false; /* most of it is never touched */
    }
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
        for (unsigned i = 0; i < GATE_YIELDS && atomic_load(&c->gate) & GA_GATE_STOP; i++)
            os_yield(); /* one that ages is let go soon */
        if (atomic_load(&c->gate) & GA_GATE_STOP) {
            mutex_lock(&c->heap->caches->lock); /* until the world is started */
            mutex_unlock(&c->heap->caches->lock);
        }
    }
}

bool mcache_try_stop(struct mcache *c) {
    atomic_fetch_or(&c->gate, GA_GATE_STOP);
    if (c->heap->caches->have_barrier)
        os_barrier();
    for (unsigned i = 0; atomic_load(&c->busy); i++) {
        if (i == GATE_YIELDS) {
            mcache_start(c);
            return false;
        }
        os_yield();
    }
    return true;
}

void mcache_start(struct mcache *c) { atomic_fetch_and(&c->gate, ~GA_GATE_STOP); }

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
        mcache_start(c);
    mutex_unlock(&cs->orphan_lock);
    mutex_unlock(&cs->lock);
}

void mcaches_after_fork(struct mheap *h, const struct mcache *mine) {
    for (struct mcache *c = h->caches->first, *next; c != NULL; c = next) {
        next = c->next;
        /* Its owner may have come to the gate, and not yet turned back, at the moment of the
         * fork. */
        atomic_store(&c->busy, 0);
        if (c->kind == MCACHE_THREAD && c != mine)
            mcache_free(c);
        else
            mcache_sample_apart(c);
    }
}

/* What a cache keeps without need: slots that nobody takes, spans that nobody refills from.
 *
 * The scavenger ages every cache at each tick.  It may do so itself while the owner is stopped: a
 * thread by its gate, an interpreter when its GIL is free (mcaches.hold_interp), callers without a
 * cache by the lock of theirs.  An interpreter at work is asked instead, and obeys in its next slow
 * path.
 * Lock: mcaches.lock, held for one pass over the list. */
#include "mcache.h"

static uint64_t tiny_made(const struct mcache *c) { return c->tiny.blocks + c->tiny.allocs; }

static size_t stacks_kept(const struct mcache *c) {
    size_t n = 0;
    for (unsigned order = 0; order < GA_STACK_ORDERS; order++)
        n += c->stackcache.order[order].nbytes;
    return n;
}

void mcache_age_store(struct mcache *c, unsigned spc) {
    struct store_cold *cold = &c->cold[spc];
    if (cold->cap == 0 || mcache_is_closed(c, spc) || mcache_is_shut(c, spc))
        return;
    uint64_t handed_out = mcache_nmalloc(c, spc), used = handed_out - cold->seen;
    size_t have = mcache_waiting(c, spc);
    size_t keep = mheap_is_tight(c->heap) ? 0 : ga_min(used, have);
    cold->seen = handed_out;
    mcache_give_back(c, spc, have - keep);
    if (used != 0)
        return;
    mcentral_uncache_span(c->heap, &cold->cached);
    mcache_shut_store(c, spc);
    cold->singles = 0;
}

/* Tiny blocks, stacks; and whether anything is left in c at all. */
static void age_rest(struct mcache *c) {
    bool tiny_idle = tiny_made(c) == c->seen_tiny, stacks_idle = stacks_kept(c) == c->seen_stacks;
    if (tiny_idle)
        tiny_release(c->heap, &c->tiny);
    if (stacks_idle)
        stackcache_release(c->heap, &c->stackcache);
    c->seen_tiny = tiny_made(c);
    c->seen_stacks = stacks_kept(c);
    bool used = !tiny_idle || !stacks_idle;
    for (unsigned spc = 2; spc < GA_NUM_SPAN_CLASSES; spc++)
        used |= !mcache_is_closed(c, spc) && !mcache_is_shut(c, spc);
    atomic_store_explicit(&c->used, used, memory_order_relaxed);
}

void mcache_age(struct mcache *c) {
    atomic_store_explicit(&c->age_wanted, false, memory_order_relaxed);
    for (unsigned spc = 2; spc < GA_NUM_SPAN_CLASSES; spc++)
        mcache_age_store(c, spc);
    age_rest(c);
}

/* What the last pass could not do.  What it did is left alone: to age twice in a moment would take
 * for unused what was used a moment ago. */
static void age_missed(struct mcache *c) {
    uint32_t pass = atomic_load_explicit(&c->heap->caches->age_pass, memory_order_relaxed);
    atomic_store_explicit(&c->age_wanted, false, memory_order_relaxed);
    for (unsigned spc = 2; spc < GA_NUM_SPAN_CLASSES; spc++)
        if (c->cold[spc].aged != pass)
            mcache_age_store(c, spc);
    if (c->rest_aged != pass)
        age_rest(c);
}

void mcache_obey(struct mcache *c) {
    bool tight = mheap_is_tight(c->heap);
    atomic_store_explicit(&c->used, true, memory_order_relaxed);
    mheap_mark_active(c->heap); /* what it takes now may come back without a slow path */
    if (GA_UNLIKELY(tight && !c->was_tight))
        mcache_release_all(c);
    else if (GA_UNLIKELY(atomic_load_explicit(&c->age_wanted, memory_order_acquire)))
        age_missed(c);
    c->was_tight = tight;
}

/* Store by store, so that who wants the GIL waits for one of them at most. */
static bool age_interp(struct mcaches *cs, struct mcache *c) {
    uint32_t pass = atomic_load_explicit(&cs->age_pass, memory_order_relaxed);
    bool held = cs->hold_interp != NULL;
    for (unsigned spc = 2; held && spc < GA_NUM_SPAN_CLASSES; spc++) {
        if ((held = cs->hold_interp(c))) {
            mcache_age_store(c, spc);
            c->cold[spc].aged = pass;
            cs->let_go_interp(c);
        }
    }
    if (held && (held = cs->hold_interp(c))) {
        age_rest(c);
        c->rest_aged = pass;
        cs->let_go_interp(c);
    }
    return held;
}

static bool age_bracketed(struct mcache *c) {
    if (!mcache_try_stop(c))
        return false;
    mcache_age(c);
    mcache_start(c);
    return true;
}

static void age_any(struct mcaches *cs, struct mcache *c) {
    if (c->kind == MCACHE_ORPHAN) {
        mutex_lock(&cs->orphan_lock);
        mcache_age(c);
        mutex_unlock(&cs->orphan_lock);
        return;
    }
    bool done = c->bracketed ? age_bracketed(c) : age_interp(cs, c);
    /* Release: who obeys must see the pass that it is for. */
    atomic_store_explicit(&c->age_wanted, !done, memory_order_release);
}

bool mcaches_age(struct mheap *h) {
    struct mcaches *cs = h->caches;
    bool used = false;
    mutex_lock(&cs->lock);
    atomic_fetch_add_explicit(&cs->age_pass, 1, memory_order_relaxed);
    for (struct mcache *c = cs->first; c != NULL; c = c->next) {
        if (c->kind == MCACHE_HEAP || !atomic_load_explicit(&c->used, memory_order_relaxed))
            continue;
        age_any(cs, c);
        used |= atomic_load_explicit(&c->used, memory_order_relaxed);
    }
    mutex_unlock(&cs->lock);
    return used;
}

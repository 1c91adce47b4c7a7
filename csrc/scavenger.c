/* See scavenger.h for what it does when, malloc.c for the overview. */
#include "scavenger.h"

/* Ticks without anything freed until all has been seen to: a delay, and a whole sweep behind it. */
#define QUIET_TICKS (GA_SCAVENGE_TICKS + 2 * GA_SWEEP_TICKS)

bool scavenger_init(struct mheap *h) {
    h->scavenger = persistentalloc(&h->persistent, sizeof *h->scavenger, 0, NULL);
    if (h->scavenger == NULL)
        return false;
    h->scavenger->delay = GA_SCAVENGE_DELAY_DEFAULT;
    return true;
}

uint64_t scavenger_set_delay(struct mheap *h, uint64_t delay) {
    uint64_t before = atomic_exchange(&h->scavenger->delay, delay);
    atomic_store(&h->active, true); /* what waits, waits for another time now */
    if (h->wake != NULL)
        h->wake(h);
    return before;
}

/* ---- ticks ---------------------------------------------------------------------------------- */

static uint64_t tick_length(const struct scavenger *sv) {
    return ga_max(atomic_load(&sv->delay) / GA_SCAVENGE_TICKS, GA_SCAVENGE_TICK_MIN);
}

/* Sets are made at any time, and stay. */
static struct mcentral *first_set(struct mheap *h) {
    mutex_lock(&h->lock);
    struct mcentral *set = h->central_sets;
    mutex_unlock(&h->lock);
    return set;
}

/* Returns the pages that went back to the heap.  mcaches.lock keeps out who walks the centrals
 * without their locks (inspect.c), here and below. */
static uint64_t age_centrals(struct mheap *h, uint8_t tick) {
    uint64_t npages = 0;
    for (struct mcentral *set = first_set(h); set != NULL; set = set->next_set) {
        mutex_lock(&h->caches->lock);
        for (unsigned i = 0; i < GA_NUM_CENTRALS; i++)
            npages += mcentral_age(h, &set[i], tick);
        mutex_unlock(&h->caches->lock);
    }
    return npages;
}

static void sweep_begin(struct mheap *h, struct scavenger *sv) {
    sv->sweep_set = first_set(h);
    sv->sweep_index = 0;
    mutex_lock(&h->caches->lock);
    mcentral_sweep_begin(sv->sweep_set);
    mutex_unlock(&h->caches->lock);
}

static void tick(struct mheap *h, struct scavenger *sv) {
    bool freed = atomic_exchange(&h->active, false);
    sv->tick++;
    bool cached = mcaches_age(h); /* frees into a store that is open are seen by nobody */
    /* Idle spans that have aged were in use in name only all through the tick that ends. */
    mheap_scavenge_lower_peak(h, age_centrals(h, (uint8_t)sv->tick));
    sv->quiet = freed || cached ? 0 : sv->quiet + 1;
    mheap_scavenge_tick(h);
    if (sv->tick % GA_SWEEP_TICKS == 0 && sv->sweep_set == NULL)
        sweep_begin(h, sv);
}

/* ---- steps ---------------------------------------------------------------------------------- */

static void sweep_step(struct mheap *h, struct scavenger *sv) {
    mutex_lock(&h->caches->lock);
    bool more = mcentral_sweep_step(h, &sv->sweep_set[sv->sweep_index], GA_SCAVENGE_TICKS,
                                     &sv->swept);
    if (!more && ++sv->sweep_index == GA_NUM_CENTRALS) {
        sv->sweep_index = 0;
        sv->sweep_set = sv->sweep_set->next_set;
    }
    if (!more && sv->sweep_set != NULL)
        mcentral_sweep_begin(&sv->sweep_set[sv->sweep_index]);
    mutex_unlock(&h->caches->lock);
}

uint64_t scavenger_step(struct mheap *h, uint64_t now) {
    struct scavenger *sv = h->scavenger;
    uint64_t length = tick_length(sv);
    if (atomic_load(&sv->delay) == GA_SCAVENGE_NEVER)
        return GA_SCAVENGE_NEVER;
    if (sv->tick_at == 0 || sv->tick_at > now + length) /* the first, or of a longer delay */
        sv->tick_at = now + length;
    /* Who comes late all the time must not find himself with nothing but ticks to do. */
    sv->ticked = now >= sv->tick_at && !sv->ticked;
    if (sv->ticked) {
        tick(h, sv);
        sv->tick_at = now + length;
    } else {
        size_t surplus = mheap_scavenge_surplus(h);
        bool gave = surplus != 0 && mheap_scavenge(h, ga_min(surplus, GA_SCAVENGE_CHUNK)) != 0;
        if (!gave && sv->sweep_set == NULL) {
            if (sv->quiet < QUIET_TICKS)
                return now < sv->tick_at ? sv->tick_at - now : 0;
            sv->tick_at = 0;
            sv->quiet = 0;
            return GA_SCAVENGE_NEVER;
        }
        if (!gave)
            sweep_step(h, sv);
    }
    return 0;
}

/* ---- at once -------------------------------------------------------------------------------- */

static void sweep_all(struct mheap *h) {
    uint64_t given = 0;
    for (struct mcentral *set = first_set(h); set != NULL; set = set->next_set)
        for (unsigned i = 0; i < GA_NUM_CENTRALS; i++) {
            mcentral_release_idle(h, &set[i], SIZE_MAX);
            mcentral_sweep_begin(&set[i]);
            while (mcentral_sweep_step(h, &set[i], 0, &given))
                continue;
        }
}

size_t heap_free_os_memory(struct mheap *h) {
    world_stop(h);
    uint64_t before = mheap_given_back(h);
    for (struct mcache *c = h->caches->first; c != NULL; c = c->next)
        mcache_release_all(c);
    sweep_all(h);
    mheap_free_os_memory(h);
    uint64_t after = mheap_given_back(h);
    world_start(h);
    /* A page of ours of which half was given back counts for nothing once its span is free: where
     * the system refuses the rest, less may be given back than before. */
    return after > before ? after - before : 0;
}

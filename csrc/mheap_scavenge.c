/* Scavenging: which free pages the heap keeps, and which go back to the system.
 *
 * The goal (Go's scavengeGoal): keep as many pages backed as were in use at once during the last
 * GA_SCAVENGE_TICKS ticks, which make up a delay.  A program that frees and allocates the same
 * memory again within a delay so never faults it in anew, whichever runs it lies in; one that has
 * come to need less gives the surplus back, the biggest runs and the highest addresses first.
 *
 * A program at work also keeps more for a few delays, since what it needs goes up and down: pages
 * beyond that are held as long as it takes, within a delay, a quarter as many from the heap; they
 * become fewer all the same, and are gone as soon as it rests.
 *
 * What is kept makes no new peak: where the heap comes to take more from the system than ever
 * before while free runs of some size are kept, which did not fit, these go back for it at once.
 * It costs a program that does the same again and again little: its peak has been, and where it
 * needs runs by turns that don't fit each other, each turn yields some, until all have room.
 *
 * The memory limit is kept by giving free runs back at the moment when the heap takes more.  What
 * then is still too much is in use: the heap is tight, and centrals and caches keep nothing spare
 * until it is not.  An allocation never fails because of the limit.
 *
 * What was given back, or never used, comes back by page faults, or before them where it is known
 * that all of it will be written.
 * Lock: mheap.lock. */
#include "mheap.h"

#include "huge.h"

static uint64_t in_use_locked(const struct mheap *h) {
    return h->pages_in_use - h->pages_moving + h->pages_manual;
}

/* Free pages that are not given back.  A block that is being moved by page tables has left pages
 * that are given back, and not yet free. */
static uint64_t kept_locked(const struct mheap *h) {
    return h->free.npages - ga_min(h->free.npages, h->released >> GA_PAGE_SHIFT);
}

uint64_t mheap_given_back(struct mheap *h) {
    mutex_lock(&h->lock);
    uint64_t nbytes = h->released + atomic_load(&h->inuse_released);
    mutex_unlock(&h->lock);
    return nbytes;
}

/* ---- giving back ---------------------------------------------------------------------------- */

/* Where blocks were moved to, this is the time to let the kernel have one mapping again. */
static bool give_back_locked(struct mheap *h, uintptr_t low, size_t npages) {
    void *p = (void *)low;
    size_t nbytes = npages << GA_PAGE_SHIFT;
    if (!huge_renounce(&h->map, low, nbytes))
        return false;
    if (!arena_has_seams(&h->map, low, npages) || !os_renew(&h->os, p, nbytes))
        return os_unused(&h->os, p, nbytes);
    arena_set_mapping(&h->map, low, npages);
    huge_renewed(&h->map, low, nbytes);
    return true;
}

/* Whole pages of the system only: those may be larger than ours, and what is left over at the ends
 * shares them with neighbours. */
static bool highest_kept(struct mheap *h, const struct mspan *s, size_t max_pages, uintptr_t *low,
                         uintptr_t *high) {
    size_t unit = ga_max(h->os_page, GA_PAGE_SIZE);
    uintptr_t begin = ga_align_up(s->start_addr, unit), end = ga_align_down(mspan_end(s), unit);
    if (begin >= end || !arena_highest_kept(&h->map, begin, end, max_pages, low, high))
        return false;
    *low = ga_align_down(*low, unit);
    *high = ga_align_up(*high, unit);
    return true;
}

size_t mheap_release_locked(struct mheap *h, struct mspan *s, size_t max_pages) {
    uintptr_t low, high;
    if (s->scavenged || !highest_kept(h, s, max_pages, &low, &high))
        return 0;
    size_t npages = (high - low) >> GA_PAGE_SHIFT;
    size_t fresh = npages - arena_count_released(&h->map, low, npages);
    if (fresh == 0 || !give_back_locked(h, low, npages))
        return 0;
    treap_remove(&h->free, s);
    arena_set_released(&h->map, low, npages, true);
    h->released += (uint64_t)fresh << GA_PAGE_SHIFT;
    mheap_insert_free_locked(h, s);
    return fresh << GA_PAGE_SHIFT;
}

bool mheap_renounce_huge(struct mheap *h, uintptr_t addr, size_t nbytes) {
    if (!huge_is_possible(&h->map, addr, nbytes))
        return true;
    mutex_lock(&h->lock);
    bool done = huge_renounce(&h->map, addr, nbytes);
    mutex_unlock(&h->lock);
    return done;
}

size_t mheap_free_os_memory(struct mheap *h) {
    size_t given = 0;
    mutex_lock(&h->lock);
    for (struct mspan *s = treap_first(&h->free), *next; s != NULL; s = next) {
        next = treap_next(s);
        for (size_t n; (n = mheap_release_locked(h, s, SIZE_MAX)) != 0;)
            given += n; /* its key grows with the last piece: it may be met again, and skipped */
    }
    mutex_unlock(&h->lock);
    return given;
}

/* ---- coming back ---------------------------------------------------------------------------- */

static GA_NOINLINE void populate_locked(struct mheap *h, uintptr_t start, size_t npages,
                                        uintptr_t end) {
    if (h->os_page > GA_PAGE_SIZE) /* what begins or ends within one is not all ours */
        return;
    uintptr_t next = start + (npages << GA_PAGE_SHIFT);
    size_t all = ga_min((end - start) >> GA_PAGE_SHIFT, ga_max(GA_POPULATE_PAGES, npages));
    size_t behind = all - npages, ahead = 0;
    if (h->memory_limit == UINT64_MAX)
        ahead = arena_released_from(&h->map, next, behind);
    if (os_populate(&h->os, (void *)start, (npages + ahead) << GA_PAGE_SHIFT)) {
        arena_set_released(&h->map, next, ahead, false);
        h->released -= (uint64_t)ahead << GA_PAGE_SHIFT;
    } else if (ahead != 0) { /* it may have got that far */
        os_unused(&h->os, (void *)next, ahead << GA_PAGE_SHIFT);
    }
}

/* Where pages of the system are huge, or larger than ours, a fault backs far more by itself.  Pages
 * behind what is used are kept from now on, as if they had been in use; under a memory limit there
 * is no room for such. */
void mheap_populate_locked(struct mheap *h, uintptr_t start, size_t npages, uintptr_t end) {
    if (arena_released_from(&h->map, start, npages) == npages && !h->map.huge_unasked &&
        !huge_is_possible(&h->map, start, npages << GA_PAGE_SHIFT))
        populate_locked(h, start, npages, end);
}

static void set_backed_locked(struct mheap *h, uintptr_t start, size_t npages, size_t fresh) {
    os_used(&h->os, (void *)start, npages << GA_PAGE_SHIFT);
    arena_set_released(&h->map, start, npages, false);
    h->released -= (uint64_t)fresh << GA_PAGE_SHIFT;
}

/* What else of s lies on the same pages of the system is backed with what is. */
static GA_NOINLINE void back_whole_pages_locked(struct mheap *h, const struct mspan *s,
                                                uintptr_t start, size_t npages) {
    uintptr_t low = ga_max(ga_align_down(start, h->os_page), s->start_addr);
    uintptr_t high = ga_align_up(start + (npages << GA_PAGE_SHIFT), h->os_page);
    size_t all = (ga_min(high, mspan_end(s)) - low) >> GA_PAGE_SHIFT;
    set_backed_locked(h, low, all, arena_count_released(&h->map, low, all));
}

size_t mheap_back_locked(struct mheap *h, const struct mspan *s, uintptr_t start, size_t npages) {
    size_t fresh = arena_count_released(&h->map, start, npages);
    if (fresh == 0)
        return 0;
    if (GA_UNLIKELY(h->os_page > GA_PAGE_SIZE))
        back_whole_pages_locked(h, s, start, npages);
    else
        set_backed_locked(h, start, npages, fresh);
    return fresh;
}

/* ---- goal ----------------------------------------------------------------------------------- */

static uint64_t goal_locked(const struct mheap *h) {
    uint64_t goal = ga_max(in_use_locked(h), h->scavenge.held);
    for (unsigned i = 0; i <= GA_SCAVENGE_TICKS; i++)
        goal = ga_max(goal, h->scavenge.peaks[i]);
    return goal;
}

static void look_at_all_again(struct scavenge *sc) {
    sc->upto = treap_key_max();
    sc->over = false;
}

/* A tick ends. */
static void age_held(struct scavenge *sc) {
    uint64_t needed = sc->peaks[sc->tick], more = sc->held - ga_min(sc->held, needed);
    bool busy = sc->taken * GA_SCAVENGE_TICKS >= more / 4;
    sc->held = needed + (busy ? more - (more + GA_HELD_TICKS - 1) / GA_HELD_TICKS : 0);
    sc->taken = 0;
}

void mheap_scavenge_tick(struct mheap *h) {
    struct scavenge *sc = &h->scavenge;
    mutex_lock(&h->lock);
    age_held(sc);
    sc->tick = (sc->tick + 1) % (GA_SCAVENGE_TICKS + 1);
    sc->peaks[sc->tick] = in_use_locked(h);
    look_at_all_again(sc);
    mheap_keep_limit_locked(h);
    mutex_unlock(&h->lock);
}

void mheap_scavenge_lower_peak(struct mheap *h, uint64_t npages) {
    mutex_lock(&h->lock);
    uint64_t *peak = &h->scavenge.peaks[h->scavenge.tick];
    *peak -= ga_min(*peak, npages);
    mutex_unlock(&h->lock);
}

size_t mheap_scavenge_surplus(struct mheap *h) {
    mutex_lock(&h->lock);
    uint64_t have = in_use_locked(h) + kept_locked(h), goal = goal_locked(h);
    mutex_unlock(&h->lock);
    return have > goal ? (have - goal) << GA_PAGE_SHIFT : 0;
}

/* Gives pages of one run back, from where the last call came to. */
static size_t scavenge_locked(struct mheap *h, size_t max_pages) {
    struct scavenge *sc = &h->scavenge;
    struct mspan *s = sc->over ? NULL : treap_last(&h->free, sc->upto);
    for (unsigned i = 0; s != NULL && i < GA_SCAVENGE_LOOK; i++) {
        sc->upto = treap_key_of(s);
        size_t n = mheap_release_locked(h, s, max_pages);
        if (n != 0) { /* there may be more of s: it is the first to be met again */
            sc->bytes += n;
            return n;
        }
        s = treap_prev(s);
    }
    sc->over = s == NULL;
    return 0;
}

size_t mheap_scavenge(struct mheap *h, size_t nbytes) {
    size_t n = 0;
    for (bool more = true; more && n == 0;) {
        mutex_lock(&h->lock);
        n = scavenge_locked(h, ga_max(nbytes >> GA_PAGE_SHIFT, 1));
        more = !h->scavenge.over;
        mutex_unlock(&h->lock);
    }
    return n;
}

/* ---- memory limit --------------------------------------------------------------------------- */

/* Bytes of the heap that are taken from the system. */
static uint64_t backed_locked(const struct mheap *h) {
    return h->mapped - h->released - (h->pages_moving << GA_PAGE_SHIFT);
}

uint64_t mheap_ready_bytes_locked(const struct mheap *h) {
    uint64_t ours = atomic_load_explicit(&h->mspan_sys, memory_order_relaxed) +
                    atomic_load_explicit(&h->mcache_sys, memory_order_relaxed) +
                    atomic_load_explicit(&h->gc_sys, memory_order_relaxed) +
                    atomic_load_explicit(&h->profile_budget.used, memory_order_relaxed) +
                    atomic_load_explicit(&h->persistent.other, memory_order_relaxed);
    return backed_locked(h) + ours -
           atomic_load_explicit(&h->inuse_released, memory_order_relaxed);
}

/* Gives free runs back until no more than nbytes are taken from the system, or none is left. */
static void scavenge_down_to_locked(struct mheap *h, uint64_t nbytes) {
    bool again = false;
    for (uint64_t ready; (ready = mheap_ready_bytes_locked(h)) > nbytes && kept_locked(h) != 0;) {
        size_t pages = (ready - nbytes + GA_PAGE_SIZE - 1) >> GA_PAGE_SHIFT;
        if (scavenge_locked(h, ga_max(pages, GA_SCAVENGE_CHUNK >> GA_PAGE_SHIFT)) != 0)
            continue;
        if (h->scavenge.over && again)
            return; /* what is kept the system won't take */
        if (h->scavenge.over) {
            look_at_all_again(&h->scavenge);
            again = true;
        }
    }
}

static GA_NOINLINE void keep_limit_locked(struct mheap *h) {
    scavenge_down_to_locked(h, h->memory_limit);
    uint64_t near = h->memory_limit / 100 * GA_TIGHT_PERCENT;
    uint64_t ready = mheap_ready_bytes_locked(h);
    uint64_t needed = ready - (kept_locked(h) << GA_PAGE_SHIFT);
    /* what is kept may be what can't go: parts of larger pages of the system */
    bool tight = needed > near || ready > h->memory_limit;
    atomic_store_explicit(&h->tight, tight, memory_order_relaxed);
}

void mheap_keep_limit_locked(struct mheap *h) {
    if (GA_UNLIKELY(h->memory_limit != UINT64_MAX))
        keep_limit_locked(h);
}

uint64_t mheap_set_memory_limit(struct mheap *h, uint64_t nbytes) {
    mutex_lock(&h->lock);
    uint64_t before = h->memory_limit;
    h->memory_limit = nbytes;
    atomic_store_explicit(&h->tight, false, memory_order_relaxed);
    mheap_keep_limit_locked(h);
    mutex_unlock(&h->lock);
    return before;
}

/* ---- no new peak ---------------------------------------------------------------------------- */

/* Of runs that are worth a call, the biggest first. */
static void scavenge_big_runs_locked(struct mheap *h, uint64_t nbytes) {
    struct mspan *s = treap_last(&h->free, treap_key_max());
    for (unsigned i = 0; i < GA_SCAVENGE_LOOK && s != NULL && s->npages >= GA_TOP_RUN_PAGES; i++) {
        struct treap_key key = treap_key_of(s);
        size_t n = mheap_release_locked(h, s, ga_max(nbytes, GA_SCAVENGE_CHUNK) >> GA_PAGE_SHIFT);
        h->scavenge.bytes += n;
        if (n >= nbytes)
            return;
        nbytes -= n;
        s = n != 0 ? treap_last(&h->free, key) : treap_prev(s);
    }
}

void mheap_keep_top_locked(struct mheap *h) {
    struct scavenge *sc = &h->scavenge;
    uint64_t backed = backed_locked(h);
    if (backed <= sc->top)
        return;
    if (kept_locked(h) > ga_max(GA_TOP_KEPT_PAGES, in_use_locked(h) / GA_TOP_KEPT_PART)) {
        scavenge_big_runs_locked(h, backed - sc->top);
        uint64_t given = backed - backed_locked(h);
        backed -= given;
        sc->top += given / GA_TOP_YIELD;
    }
    sc->top = ga_max(sc->top, backed);
}

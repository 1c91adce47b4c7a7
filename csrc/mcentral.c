/* See mcentral.h for what a central is, malloc.c for the overview. */
#include "mcentral.h"

#include "fatal.h"

static void init_central(struct mcentral *mc, unsigned i) {
    mutex_init(&mc->lock, GA_RANK_CENTRAL, "mcentral");
    mc->tiny = i == GA_TINY_CENTRAL;
    mc->spanclass = mc->tiny ? GA_TINY_SPAN_CLASS : (spanclass_t)i;
    for (unsigned fill = 0; fill < GA_CENTRAL_FILLS; fill++)
        mspan_list_init(&mc->nonempty[fill]);
    mspan_list_init(&mc->empty);
    unsigned sizeclass = spanclass_sizeclass(mc->spanclass);
    if (sizeclass == 0)
        return;
    size_t span_bytes = (size_t)class_to_allocnpages[sizeclass] << GA_PAGE_SHIFT;
    mc->keep = (uint32_t)ga_max(GA_CENTRAL_KEEP_BYTES / span_bytes, 1);
    size_t nelems = span_bytes / class_to_size[sizeclass];
    mc->fill_magic = (uint32_t)(((GA_CENTRAL_FILLS - 1) << 16) / nelems);
}

struct mcentral *mcentral_new_set(struct mheap *h) {
    struct mcentral *set =
        persistentalloc(&h->persistent, GA_NUM_CENTRALS * sizeof *set, GA_CACHE_LINE, NULL);
    if (set == NULL)
        return NULL;
    for (unsigned i = 0; i < GA_NUM_CENTRALS; i++)
        init_central(&set[i], i);
    mutex_lock(&h->lock);
    set->next_set = h->central_sets;
    h->central_sets = set;
    mutex_unlock(&h->lock);
    return set;
}

void mcentral_destroy_sets(struct mheap *h) {
    for (struct mcentral *set = h->central_sets; set != NULL; set = set->next_set)
        for (unsigned i = 0; i < GA_NUM_CENTRALS; i++)
            mutex_destroy(&set[i].lock);
    h->central_sets = NULL;
}

/* ---- lists ---------------------------------------------------------------------------------- */

static void unlink_span(struct mcentral *mc, struct mspan *s) {
    if (mc->sweep == s)
        mc->sweep = mcentral_after(mc, s);
    mspan_list_remove(s->list, s);
    mc->least_idle = (uint32_t)ga_min(mc->least_idle, mc->nonempty[0].length);
}

/* Files s, no longer cached or with another number of slots out, where it belongs now.  If it is idle
 * and too many, it is unlinked instead and goes back to the heap. */
static void refile(struct mheap *h, struct mcentral *mc, struct mspan *s) {
    if (s->cached != NULL || s->alloc_count == s->nelems)
        return;
    struct mspan_list *l = &mc->nonempty[mcentral_fill(mc, s)];
    if (s->list == l)
        return;
    unlink_span(mc, s);
    if (s->alloc_count == 0 && (l->length >= mc->keep || mheap_is_tight(h)))
        mheap_free(h, s);
    else
        mspan_list_insert(l, s);
}

/* ---- taking --------------------------------------------------------------------------------- */

static struct mspan *fullest(const struct mcentral *mc) {
    for (unsigned fill = GA_CENTRAL_FILLS; fill-- > 0;)
        if (mc->nonempty[fill].first != NULL)
            return mc->nonempty[fill].first;
    return NULL;
}

/* Go's cacheSpan: a span with room, moved to empty because a cache now has it; grow(): a fresh one
 * from the heap.  The first span of a class may never be filled, those behind it were asked for by
 * who has filled another. */
static struct mspan *cache_span(struct mheap *h, struct mcentral *mc, bool may_grow) {
    struct mspan *s = fullest(mc);
    if (s != NULL) {
        unlink_span(mc, s);
    } else if (!may_grow || (s = mheap_alloc(h, mc->spanclass, mc->tiny, mc->empty.length != 0)) ==
                            NULL) {
        return NULL;
    } else {
        s->central = mc;
    }
    mspan_list_insert_back(&mc->empty, s);
    return s;
}

static size_t take_slots(struct mheap *h, struct mspan *s, size_t want, void **out) {
    size_t n = mspan_take(s, want, out);
    s->touched = s->central->tick;
    for (size_t i = 0; GA_UNLIKELY(s->os_released != 0) && i < n; i++)
        mcentral_unrelease_slot(h, s, mspan_objindex(s, (uintptr_t)out[i] - s->start_addr));
    return n;
}

size_t mcentral_take(struct mheap *h, struct mcentral *mc, struct mcache *c, struct mspan **cached,
                     size_t want, void **out) {
    size_t n = 0;
    mutex_lock(&mc->lock);
    struct mspan *s = *cached;
    while (n < want) {
        if (s == NULL) {
            if ((s = cache_span(h, mc, n == 0)) == NULL)
                break;
            s->cached = c;
        }
        n += take_slots(h, s, want - n, out + n);
        if (n < want) { /* s is full: it stays in empty, nobody's */
            s->cached = NULL;
            s = NULL;
        }
    }
    *cached = s;
    mc->taken += n;
    mutex_unlock(&mc->lock);
    return n;
}

/* ---- giving back ---------------------------------------------------------------------------- */

/* Puts the slots at the front of the n that belong to one span back into it; returns how many.  Its
 * central is locked. */
static size_t put_slots(struct mheap *h, struct mspan *s, void **slots, size_t n) {
    size_t done = mspan_put(s, slots, n);
    s->central->taken -= done;
    s->touched = s->central->tick;
    refile(h, s->central, s);
    return done;
}

/* Slots of a batch may lie anywhere: their spans are brought near while others are at work. */
static void prefetch_span(const struct mheap *h, void **slots, size_t i, size_t n) {
    if (i + 16 < n)
        __builtin_prefetch(arena_span_entry(&h->map, (uintptr_t)slots[i + 16]));
    if (i + 8 < n)
        __builtin_prefetch(&arena_span_of(&h->map, (uintptr_t)slots[i + 8])->elemsize);
}

void mcentral_put(struct mheap *h, void **slots, size_t n) {
    struct mcentral *locked = NULL; /* nearly always one central for the whole batch */
    if (n == 0)
        return;
    mheap_mark_active(h);
    for (size_t i = 0; i < n;) {
        prefetch_span(h, slots, i, n);
        struct mspan *s = arena_span_of(&h->map, (uintptr_t)slots[i]);
        if (s->central != locked) {
            if (locked != NULL)
                mutex_unlock(&locked->lock);
            locked = s->central;
            mutex_lock(&locked->lock);
        }
        i += put_slots(h, s, slots + i, n - i);
    }
    mutex_unlock(&locked->lock);
}

void mcentral_uncache_span(struct mheap *h, struct mspan **cached) {
    struct mspan *s = *cached;
    if (s == NULL)
        return;
    struct mcentral *mc = s->central;
    mutex_lock(&mc->lock);
    s->cached = NULL;
    refile(h, mc, s);
    *cached = NULL;
    mutex_unlock(&mc->lock);
}

size_t mcentral_nspans(const struct mcentral *mc) {
    size_t n = mc->empty.length;
    for (unsigned fill = 0; fill < GA_CENTRAL_FILLS; fill++)
        n += mc->nonempty[fill].length;
    return n;
}

size_t mcentral_release_idle(struct mheap *h, struct mcentral *mc, size_t n) {
    size_t npages = 0;
    mutex_lock(&mc->lock);
    for (; n != 0 && mc->nonempty[0].last != NULL; n--) {
        struct mspan *s = mc->nonempty[0].last;
        unlink_span(mc, s);
        npages += s->npages;
        mheap_free(h, s);
    }
    mutex_unlock(&mc->lock);
    return npages;
}

/* See mcentral.h for what a central is, malloc.c for the overview. */
#include "mcentral.h"

#include "fatal.h"

static uint32_t spans_to_keep(spanclass_t spc) {
    if (spanclass_sizeclass(spc) == 0)
        return 0;
    size_t span_bytes = (size_t)class_to_allocnpages[spanclass_sizeclass(spc)] << GA_PAGE_SHIFT;
    return (uint32_t)ga_max(GA_CENTRAL_KEEP_BYTES / span_bytes, 1);
}

struct mcentral *mcentral_new_set(struct mheap *h) {
    struct mcentral *set =
        persistentalloc(&h->persistent, GA_NUM_CENTRALS * sizeof *set, GA_CACHE_LINE, NULL);
    for (unsigned i = 0; set != NULL && i < GA_NUM_CENTRALS; i++) {
        struct mcentral *mc = &set[i];
        mutex_init(&mc->lock, GA_RANK_CENTRAL, "mcentral");
        mc->tiny = i == GA_TINY_CENTRAL;
        mc->spanclass = mc->tiny ? GA_TINY_SPAN_CLASS : (spanclass_t)i;
        mc->keep = spans_to_keep(mc->spanclass);
        mspan_list_init(&mc->nonempty);
        mspan_list_init(&mc->empty);
    }
    if (set != NULL) {
        mutex_lock(&h->lock);
        set->next_set = h->central_sets;
        h->central_sets = set;
        mutex_unlock(&h->lock);
    }
    return set;
}

void mcentral_destroy_sets(struct mheap *h) {
    for (struct mcentral *set = h->central_sets; set != NULL; set = set->next_set)
        for (unsigned i = 0; i < GA_NUM_CENTRALS; i++)
            mutex_destroy(&set[i].lock);
    h->central_sets = NULL;
}

/* Go's cacheSpan: a span with room, moved to empty because a cache now has it; grow(): a fresh one
 * from the heap. */
static struct mspan *cache_span(struct mheap *h, struct mcentral *mc, bool may_grow) {
    struct mspan *s = mc->nonempty.first;
    if (s != NULL) {
        mc->nidle -= s->alloc_count == 0;
        mspan_list_remove(&mc->nonempty, s);
    } else if (!may_grow || (s = mheap_alloc(h, mc->spanclass, mc->tiny)) == NULL) {
        return NULL;
    } else {
        s->central = mc;
    }
    mspan_list_insert_back(&mc->empty, s);
    return s;
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
        n += mspan_take(s, want - n, out + n);
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

/* Files s, no longer cached or no longer full, where it belongs now.  Unlinks an idle span that is
 * too many and returns it: the caller gives it to the heap. */
static struct mspan *refile(struct mcentral *mc, struct mspan *s) {
    if (s->cached != NULL || s->alloc_count == s->nelems)
        return NULL;
    if (s->list == &mc->empty) {
        mspan_list_remove(&mc->empty, s);
        mspan_list_insert(&mc->nonempty, s);
    }
    if (s->alloc_count != 0)
        return NULL;
    if (mc->nidle < mc->keep) {
        mc->nidle++;
        return NULL;
    }
    mspan_list_remove(&mc->nonempty, s);
    return s;
}

/* Puts one slot back into s, whose central is locked. */
static void put_slot(struct mheap *h, struct mspan *s, uintptr_t addr) {
    bool was_full = s->alloc_count == s->nelems;
    mspan_put(s, mspan_objindex(s, addr - s->start_addr));
    s->central->taken--;
    if (!was_full && s->alloc_count != 0)
        return;
    struct mspan *spare = refile(s->central, s);
    if (spare != NULL)
        mheap_free(h, spare);
}

void mcentral_put(struct mheap *h, void **slots, size_t n) {
    struct mcentral *locked = NULL; /* nearly always one central for the whole batch */
    for (size_t i = 0; i < n; i++) {
        uintptr_t addr = (uintptr_t)slots[i];
        struct mspan *s = arena_span_of(&h->map, addr);
        if (s->central != locked) {
            if (locked != NULL)
                mutex_unlock(&locked->lock);
            locked = s->central;
            mutex_lock(&locked->lock);
        }
        put_slot(h, s, addr);
    }
    if (locked != NULL)
        mutex_unlock(&locked->lock);
}

void mcentral_uncache_span(struct mheap *h, struct mspan **cached) {
    struct mspan *s = *cached;
    if (s == NULL)
        return;
    struct mcentral *mc = s->central;
    mutex_lock(&mc->lock);
    s->cached = NULL;
    struct mspan *spare = refile(mc, s);
    if (spare != NULL)
        mheap_free(h, spare);
    *cached = NULL;
    mutex_unlock(&mc->lock);
}

void mcentral_release_idle(struct mheap *h, struct mcentral *mc) {
    mutex_lock(&mc->lock);
    for (struct mspan *s = mc->nonempty.first, *next; s != NULL && mc->nidle != 0; s = next) {
        next = s->next;
        if (s->alloc_count != 0)
            continue;
        mc->nidle--;
        mspan_list_remove(&mc->nonempty, s);
        mheap_free(h, s);
    }
    mutex_unlock(&mc->lock);
}

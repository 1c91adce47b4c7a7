/* See mcentral.h for what a central is, malloc.c for the overview. */
#include "mcentral.h"

#include <string.h>

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

static struct mspan *fullest(const struct mcentral *mc) {
    for (unsigned fill = GA_CENTRAL_FILLS; fill-- > 0;)
        if (mc->nonempty[fill].first != NULL)
            return mc->nonempty[fill].first;
    return NULL;
}

/* Is s, an idle span that is in no list, to go back to the heap? */
static bool is_spare(const struct mheap *h, const struct mcentral *mc, const struct mspan *s) {
    bool only = mc->empty.first == NULL && fullest(mc) == NULL;
    return mc->nonempty[0].length >= mc->keep || mheap_is_tight(h) ||
           (only && s->elemsize > GA_COARSE_BYTES);
}

/* Files s where it belongs now, or if it is idle and too many, gives it to the heap. */
static GA_NOINLINE void refile_in(struct mheap *h, struct mcentral *mc, struct mspan *s,
                                  struct mspan_list *l) {
    unlink_span(mc, s);
    if (s->alloc_count == 0 && is_spare(h, mc, s))
        mheap_free(h, s);
    else
        mspan_list_insert(l, s);
}

/* s is no longer cached, or has another number of slots out. */
GA_INLINE void refile(struct mheap *h, struct mcentral *mc, struct mspan *s) {
    if (s->cached != NULL || s->alloc_count == s->nelems)
        return;
    struct mspan_list *l = &mc->nonempty[mcentral_fill(mc, s)];
    if (s->list != l)
        refile_in(h, mc, s, l);
}

/* ---- taking --------------------------------------------------------------------------------- */

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

/* Where slots go to: a store, filled downwards, or an array of their addresses. */
struct sink {
    struct free_slot *top; /* NULL: the array */
    void **out;
};

/* Slots that lie in one arena whose bitmap grows up, of a class other than 8 bytes: they are whole
 * granules, and their bits are in its first bitmap.  What is known of it is kept in locals: the
 * compiler can't tell that storing slots leaves it alone. */
static void emit_in(const struct heap_arena *ha, struct slot_window w, size_t elemsize,
                    struct sink *sink) {
    struct free_slot *top = sink->top;
    const uintptr_t step = elemsize >> GA_GRANULE_SHIFT, word = sizeof(uint64_t);
    /* where the word of granule 0 would be */
    const uintptr_t words = (uintptr_t)ha->bitmap[0] - (granule_of(ha->start) >> 6) * word;
    uintptr_t granule = granule_of(w.base);
    for (; w.mask != 0; granule += step, w.mask >>= 1) {
        if (!(w.mask & 1)) { /* on to the next */
            granule += ga_ctz64(w.mask) * step;
            w.mask >>= ga_ctz64(w.mask);
        }
        --top;
        top->granule = granule;
        top->bits = (uint64_t *)(words + (granule >> 6) * word);
    }
    sink->top = top;
}

static void emit(const struct mheap *h, const struct mspan *s, struct slot_window w,
                 struct sink *sink) {
    uintptr_t last = w.base + ga_log2(w.mask) * s->elemsize;
    const struct heap_arena *ha = arena_of(&h->map, w.base);
    if (sink->top != NULL && last - ha->start < GA_ARENA_SIZE && s->elemsize != 8 &&
        ha->bitmap_flip == 0) {
        emit_in(ha, w, s->elemsize, sink);
        return;
    }
    for (; w.mask != 0; w.mask &= w.mask - 1) {
        uintptr_t addr = w.base + ga_ctz64(w.mask) * s->elemsize;
        if (sink->top == NULL)
            *sink->out++ = (void *)addr;
        else
            *--sink->top = (struct free_slot){
                granule_of(addr), heap_bits_word(arena_of(&h->map, addr), addr)};
    }
}

/* The slots that go out lie on pages that have been given back. */
static GA_NOINLINE void unrelease(struct mheap *h, struct mspan *s, struct slot_window w) {
    for (; w.mask != 0; w.mask &= w.mask - 1)
        mcentral_unrelease_slot(h, s, mspan_objindex(s, w.base - s->start_addr) + ga_ctz64(w.mask));
}

static size_t take_slots(struct mheap *h, struct mspan *s, size_t want, struct sink *sink) {
    size_t n = 0;
    struct slot_window w;
    for (unsigned k; n < want && (k = mspan_take_window(s, want - n, &w)) != 0; n += k) {
        emit(h, s, w, sink);
        if (GA_UNLIKELY(s->os_released != 0))
            unrelease(h, s, w);
    }
    s->touched = s->central->tick;
    return n;
}

static size_t take(struct mheap *h, struct mcentral *mc, struct mcache *c, struct mspan **cached,
                   size_t want, struct sink *sink) {
    size_t n = 0;
    mutex_lock(&mc->lock);
    struct mspan *s = *cached;
    while (n < want) {
        if (s == NULL) {
            if ((s = cache_span(h, mc, n == 0)) == NULL)
                break;
            s->cached = c;
        }
        n += take_slots(h, s, want - n, sink);
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

size_t mcentral_take(struct mheap *h, struct mcentral *mc, struct mcache *c, struct mspan **cached,
                     size_t want, void **out) {
    return take(h, mc, c, cached, want, &(struct sink){NULL, out});
}

size_t mcentral_fill_store(struct mheap *h, struct mcentral *mc, struct mcache *c,
                           struct mspan **cached, size_t want, struct free_slot *base) {
    size_t n = take(h, mc, c, cached, want, &(struct sink){base + want, NULL});
    if (n < want) /* less than there is room for */
        memmove(base, base + want - n, n * sizeof *base);
    return n;
}

/* ---- giving back ---------------------------------------------------------------------------- */

/* Puts the slots at the front that belong to one span back into it; returns how many.  Its central
 * is locked. */
static size_t put_in_span(struct mheap *h, struct mspan *s, const void *slots, size_t n,
                          bool stored) {
    size_t done = mspan_put(s, slots, n, stored);
    s->central->taken -= done;
    s->touched = s->central->tick;
    refile(h, s->central, s);
    return done;
}

/* The arena that was looked at last: slots that come back lie in few. */
struct near {
    uintptr_t start;
    struct mspan **spans;
};

static GA_NOINLINE void near_go(struct near *near, const struct mheap *h, uintptr_t addr) {
    const struct heap_arena *ha = arena_of(&h->map, addr);
    *near = (struct near){ha->start, ha->spans};
}

/* Where the span of slot i stands. */
GA_INLINE struct mspan **near_entry(struct near *near, const struct mheap *h, const char *slots,
                                    size_t i, bool stored) {
    uintptr_t addr = slot_addr(slots + i * slot_stride(stored), stored);
    if (GA_UNLIKELY(addr - near->start >= GA_ARENA_SIZE))
        near_go(near, h, addr);
    return &near->spans[(addr - near->start) >> GA_PAGE_SHIFT];
}

/* Slots may lie anywhere: the spans of those to come are brought near while others are at work. */
GA_INLINE void put(struct mheap *h, const char *slots, size_t n, bool stored) {
    struct mcentral *locked = NULL; /* nearly always one central for all */
    struct near near = {UINTPTR_MAX, NULL};
    if (n == 0)
        return;
    mheap_mark_active(h);
    for (size_t done; n != 0; n -= done, slots += done * slot_stride(stored)) {
        if (n > 16)
            __builtin_prefetch(near_entry(&near, h, slots, 16, stored));
        if (n > 8)
            __builtin_prefetch(&(*near_entry(&near, h, slots, 8, stored))->elemsize);
        struct mspan *s = *near_entry(&near, h, slots, 0, stored);
        if (GA_UNLIKELY(s->central != locked)) {
            if (locked != NULL)
                mutex_unlock(&locked->lock);
            locked = s->central;
            mutex_lock(&locked->lock);
        }
        done = put_in_span(h, s, slots, n, stored);
    }
    mutex_unlock(&locked->lock);
}

void mcentral_put(struct mheap *h, void *const *slots, size_t n) {
    put(h, (const char *)slots, n, false);
}

void mcentral_put_stored(struct mheap *h, const struct free_slot *slots, size_t n) {
    put(h, (const char *)slots, n, true);
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

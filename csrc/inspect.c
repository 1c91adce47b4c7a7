/* See inspect.h.  Order of locks here: the caches (world_stop), then the heap; centrals need none:
 * only caches at work use them, and the scavenger, which holds mcaches.lock when it does. */
#include "inspect.h"

#include <string.h>

#include "guard.h"
#include "scavenger.h"

static void begin(struct mheap *h) {
    world_stop(h);
    mutex_lock(&h->lock);
}

static void end(struct mheap *h) {
    mutex_unlock(&h->lock);
    world_start(h);
}

static void set_bit(const struct special *s, void *heap) {
    const struct heap_arena *ha = arena_of(&((struct mheap *)heap)->map, s->addr);
    if (ha != NULL) /* else none of this heap's blocks */
        heap_bits_set(ha, s->addr, true);
}

static void clear_bit(const struct special *s, void *heap) {
    const struct heap_arena *ha = arena_of(&((struct mheap *)heap)->map, s->addr);
    if (ha != NULL)
        heap_bits_clear(ha, s->addr, true);
}

void inspect_show_specials(struct mheap *h, bool show) {
    specials_each(&h->specials, show ? set_bit : clear_bit, h);
}

/* begin and end for who reads the heap bitmap. */
static void begin_bits(struct mheap *h) {
    begin(h);
    inspect_show_specials(h, true);
}

static void end_bits(struct mheap *h) {
    inspect_show_specials(h, false);
    end(h);
}

/* ---- walking -------------------------------------------------------------------------------- */

/* Index of the arena with the lowest start above `after`; nall: none. */
static size_t next_arena(const struct arena_map *m, uintptr_t after) {
    size_t best = m->nall;
    for (size_t i = 0; i < m->nall; i++)
        if (m->all[i]->start >= after &&
            (best == m->nall || m->all[i]->start < m->all[best]->start))
            best = i;
    return best;
}

struct mspan *inspect_next_span(struct mheap *h, uintptr_t addr) {
    const struct arena_map *m = &h->map;
    while (addr < (uintptr_t)1 << GA_HEAP_ADDR_BITS) {
        const struct heap_arena *ha = arena_of(m, addr);
        if (ha == NULL) {
            size_t i = next_arena(m, addr);
            if (i == m->nall)
                return NULL;
            ha = m->all[i];
            addr = ha->start;
        }
        for (; addr - ha->start < GA_ARENA_SIZE; addr += GA_PAGE_SIZE) {
            struct mspan *s = ha->spans[arena_page(addr)];
            if (s != NULL && s->state != MSPAN_DEAD && s->start_addr == addr)
                return s;
        }
    }
    return NULL;
}

/* Copies the live bits of s, one per slot, and returns how many are set. */
static unsigned copy_live(struct mheap *h, const struct mspan *s, uint64_t *bits) {
    const struct heap_arena *ha = arena_of(&h->map, s->start_addr);
    unsigned live = 0;
    uint64_t word = 0;
    for (unsigned i = 0; i < s->nelems; i++) {
        uintptr_t addr = s->start_addr + (size_t)i * s->elemsize;
        if (GA_UNLIKELY(addr - ha->start >= GA_ARENA_SIZE)) /* a span may cross into the next */
            ha = arena_of(&h->map, addr);
        uint64_t bit = heap_bits_live(ha, addr);
        live += (unsigned)bit;
        word |= bit << (i & 63);
        if ((i & 63) == 63 || i + 1u == s->nelems) {
            if (bits != NULL)
                *bits++ = word;
            word = 0;
        }
    }
    return live;
}

/* ---- MemStats ------------------------------------------------------------------------------- */

/* Per span class: what the counters of the caches and centrals say. */
struct class_counts {
    uint64_t nmalloc[GA_NUM_SPAN_CLASSES]; /* blocks handed out, ever */
    uint64_t cached[GA_NUM_SPAN_CLASSES];  /* slots waiting in stores */
    uint64_t live[GA_NUM_SPAN_CLASSES];    /* taken from spans - waiting */
    uint64_t tiny_allocs;
};

static void count_classes(struct mheap *h, struct class_counts *n) {
    const struct mcaches *cs = h->caches;
    memset(n, 0, sizeof *n);
    memcpy(n->nmalloc, cs->retired_nmalloc, sizeof n->nmalloc);
    n->nmalloc[GA_TINY_SPAN_CLASS] += cs->retired_tiny_blocks;
    n->tiny_allocs = cs->retired_tiny_allocs;
    for (const struct mcache *c = cs->first; c != NULL; c = c->next) {
        for (unsigned spc = 2; spc < GA_NUM_SPAN_CLASSES; spc++) {
            n->nmalloc[spc] += mcache_nmalloc(c, spc);
            n->cached[spc] += mcache_waiting(c, spc);
        }
        n->nmalloc[GA_TINY_SPAN_CLASS] += c->tiny.blocks;
        n->cached[GA_TINY_SPAN_CLASS] += c->tiny.nslots;
        n->tiny_allocs += c->tiny.allocs;
    }
    for (const struct mcentral *set = h->central_sets; set != NULL; set = set->next_set)
        for (unsigned i = 0; i < GA_NUM_CENTRALS; i++)
            n->live[set[i].spanclass] += set[i].taken;
    for (unsigned spc = 2; spc < GA_NUM_SPAN_CLASSES; spc++)
        n->live[spc] -= n->cached[spc];
}

/* What the system gave, and what it is used for. */
static void fill_sys(struct mheap *h, struct memstats *m) {
    m->stack_inuse = m->stack_sys = h->pages_manual << GA_PAGE_SHIFT;
    m->heap_sys = h->mapped - m->stack_sys;
    m->heap_inuse = h->pages_in_use << GA_PAGE_SHIFT;
    m->heap_idle = m->heap_sys - m->heap_inuse;
    m->heap_released = h->released;
    m->inuse_released = atomic_load(&h->inuse_released);
    m->scavenged_bytes = h->scavenge.bytes;
    if (h->scavenger != NULL) {
        m->scavenged_bytes += h->scavenger->swept;
        m->scavenge_ns = atomic_load(&h->scavenger->nanotime);
    }
    m->mspan_inuse = h->spanalloc.inuse;
    m->mspan_sys = atomic_load(&h->mspan_sys);
    m->mcache_inuse = h->caches->cachealloc.inuse;
    for (unsigned kind = 0; kind < MCACHE_KINDS; kind++)
        m->mcache_inuse += h->caches->slotsalloc[kind].inuse;
    m->mcache_sys = atomic_load(&h->mcache_sys);
    m->buck_hash_sys = atomic_load(&h->profile_budget.used);
    m->gc_sys = atomic_load(&h->gc_sys);
    m->other_sys = atomic_load(&h->persistent.other);
    if (atomic_load(&h->guards) != NULL)
        m->other_sys += guards_bytes(atomic_load(&h->guards));
    m->sys = m->heap_sys + m->stack_sys + m->mspan_sys + m->mcache_sys + m->buck_hash_sys +
             m->gc_sys + m->other_sys;
}

/* Sums over classes; live by any count of them. */
static void fill_objects(struct mheap *h, const struct class_counts *n, struct memstats *m) {
    uint64_t live_objects = 0;
    for (unsigned spc = 2; spc < GA_NUM_SPAN_CLASSES; spc++) {
        unsigned sizeclass = spanclass_sizeclass(spc);
        uint64_t size = class_to_size[sizeclass];
        m->mallocs += n->nmalloc[spc];
        m->total_alloc += n->nmalloc[spc] * size;
        m->heap_alloc += n->live[spc] * size;
        live_objects += n->live[spc];
        m->by_size[sizeclass].size = size;
        m->by_size[sizeclass].mallocs += n->nmalloc[spc];
        m->by_size[sizeclass].frees += n->nmalloc[spc] - n->live[spc];
    }
    for (unsigned noscan = 0; noscan < 2; noscan++) {
        const struct large_stats *l = &h->large[noscan];
        m->mallocs += l->mallocs;
        m->total_alloc += l->malloc_bytes;
        m->heap_alloc += l->malloc_bytes - l->free_bytes;
        live_objects += l->mallocs - l->frees;
        m->by_size[0].mallocs += l->mallocs;
        m->by_size[0].frees += l->frees;
    }
    m->mallocs += n->tiny_allocs; /* Go: parts count as freed at once, the block as an object */
    m->frees = m->mallocs - live_objects;
    m->heap_objects = live_objects;
    m->alloc = m->heap_alloc;
}

static void memstats_in(struct mheap *h, struct memstats *out) {
    struct class_counts n;
    memset(out, 0, sizeof *out);
    count_classes(h, &n);
    fill_sys(h, out);
    fill_objects(h, &n, out);
}

void inspect_memstats(struct mheap *h, struct memstats *out) {
    begin(h);
    memstats_in(h, out);
    end(h);
}

void inspect_memstats_slow(struct mheap *h, struct memstats *out) {
    begin_bits(h);
    struct class_counts n;
    struct large_stats large[2];
    memcpy(large, h->large, sizeof large);
    memset(out, 0, sizeof *out);
    count_classes(h, &n);
    memset(n.live, 0, sizeof n.live);
    uint64_t in_use = 0, free_bytes = 0, manual = 0, released = 0;
    uint64_t live_large[2] = {0, 0}, inuse_released = 0;
    for (struct mspan *s = inspect_next_span(h, 0); s != NULL;
         s = inspect_next_span(h, mspan_end(s))) {
        released += arena_count_released(&h->map, s->start_addr, s->npages) << GA_PAGE_SHIFT;
        if (s->state == MSPAN_FREE) {
            free_bytes += mspan_bytes(s);
        } else if (s->state == MSPAN_MANUAL) {
            manual += mspan_bytes(s);
        } else {
            in_use += mspan_bytes(s);
            inuse_released += ga_popcount64(s->os_released) * os_page_size();
            unsigned live = copy_live(h, s, NULL);
            n.live[s->spanclass] += live;
            if (spanclass_sizeclass(s->spanclass) == 0)
                live_large[spanclass_noscan(s->spanclass)] += live * s->elemsize;
        }
    }
    for (unsigned noscan = 0; noscan < 2; noscan++) {
        h->large[noscan].frees = large[noscan].mallocs - n.live[noscan];
        h->large[noscan].free_bytes = large[noscan].malloc_bytes - live_large[noscan];
    }
    fill_sys(h, out);
    fill_objects(h, &n, out);
    memcpy(h->large, large, sizeof large);
    out->heap_inuse = in_use;
    out->heap_idle = free_bytes;
    out->heap_sys = in_use + free_bytes;
    out->stack_inuse = manual;
    out->heap_released = released;
    out->inuse_released = inuse_released;
    end_bits(h);
}

/* ---- classes -------------------------------------------------------------------------------- */

static void class_stats_in(struct mheap *h, struct class_stats *out) {
    struct class_counts n;
    count_classes(h, &n);
    memset(out, 0, GA_NUM_SPAN_CLASSES * sizeof *out);
    for (unsigned spc = 0; spc < GA_NUM_SPAN_CLASSES; spc++) {
        unsigned sizeclass = spanclass_sizeclass(spc);
        struct class_stats *k = &out[spc];
        k->spanclass = spc;
        k->sizeclass = sizeclass;
        k->noscan = spc & 1;
        k->elem_size = class_to_size[sizeclass];
        k->span_bytes = (uint64_t)class_to_allocnpages[sizeclass] << GA_PAGE_SHIFT;
        k->live = n.live[spc];
        k->cached = n.cached[spc];
        k->mallocs = n.nmalloc[spc];
    }
    for (const struct mcentral *set = h->central_sets; set != NULL; set = set->next_set)
        for (unsigned i = 2; i < GA_NUM_CENTRALS; i++)
            out[set[i].spanclass].spans += mcentral_nspans(&set[i]);
    for (unsigned spc = 0; spc < GA_NUM_SPAN_CLASSES; spc++) {
        struct class_stats *k = &out[spc];
        if (spc < 2) {
            const struct large_stats *l = &h->large[spc];
            k->mallocs = l->mallocs;
            k->spans = k->capacity = k->live = l->mallocs - l->frees;
            k->live_bytes = l->malloc_bytes - l->free_bytes;
        } else {
            k->capacity = k->spans * (k->span_bytes / k->elem_size);
            k->live_bytes = k->live * k->elem_size;
            k->free_bytes = (k->capacity - k->live) * k->elem_size;
            k->tail_bytes = k->spans * k->span_bytes - k->capacity * k->elem_size;
        }
        k->frees = k->mallocs - k->live;
    }
}

void inspect_class_stats(struct mheap *h, struct class_stats out[GA_NUM_SPAN_CLASSES]) {
    begin(h);
    class_stats_in(h, out);
    end(h);
}

/* ---- spans and arenas ----------------------------------------------------------------------- */

static void describe_span(struct mheap *h, const struct mspan *s, struct span_info *out,
                          uint64_t *bits) {
    memset(out, 0, sizeof *out);
    out->start = s->start_addr;
    out->npages = s->npages;
    out->state = s->state;
    out->needzero = s->needzero;
    out->scavenged = s->scavenged;
    out->os_page_size = (uint32_t)os_page_size();
    if (s->state == MSPAN_IN_USE) {
        out->spanclass = s->spanclass;
        out->elem_size = s->elemsize;
        out->nelems = s->nelems;
        out->free_index = s->freeindex;
        out->alloc_count = copy_live(h, s, bits);
        out->cached = s->alloc_count - out->alloc_count;
        out->os_released = s->os_released;
    } else if (s->state == MSPAN_MANUAL) {
        out->elem_size = s->elemsize;
        out->nelems = (uint32_t)(mspan_bytes(s) / s->elemsize);
        out->alloc_count = s->alloc_count;
    }
}

static size_t span_words(const struct mspan *s) {
    return s->state == MSPAN_IN_USE ? mspan_bits_words(s->nelems) : 0;
}

static void fill_arenas(struct mheap *h, struct snapshot *out) {
    uintptr_t after = 0;
    for (size_t i; (i = next_arena(&h->map, after)) != h->map.nall;) {
        const struct heap_arena *ha = h->map.all[i];
        out->arenas[out->narenas++] = (struct arena_info){
            .start = ha->start,
            .size = ha->reserved,
            .pages_mapped = ha->mapped >> GA_PAGE_SHIFT,
            .linear = ha->linear,
        };
        after = ha->start + GA_ARENA_SIZE;
    }
}

/* Adds the pages of a span in use to the arenas that it lies in. */
static void count_pages(struct snapshot *out, const struct mspan *s, uint64_t *arena) {
    for (uintptr_t a = s->start_addr; a < mspan_end(s);) {
        while (a - out->arenas[*arena].start >= GA_ARENA_SIZE)
            ++*arena;
        uintptr_t stop = ga_min(mspan_end(s), out->arenas[*arena].start + GA_ARENA_SIZE);
        out->arenas[*arena].pages_in_use += (stop - a) >> GA_PAGE_SHIFT;
        a = stop;
    }
}

static bool snapshot_in(struct mheap *h, struct snapshot *out) {
    for (struct mspan *s = inspect_next_span(h, 0); s != NULL;
         s = inspect_next_span(h, mspan_end(s))) {
        out->nspans++;
        out->nbits += span_words(s);
    }
    size_t spans = out->nspans * sizeof *out->spans, bits = out->nbits * sizeof *out->bits;
    size_t arenas = h->map.nall * sizeof *out->arenas;
    out->nbytes = ga_align_up(spans + bits + arenas + 1, os_page_size());
    if ((out->memory = os_alloc(&h->os, out->nbytes)) == NULL)
        return false;
    out->spans = out->memory;
    out->bits = (uint64_t *)((char *)out->memory + spans);
    out->arenas = (struct arena_info *)((char *)out->bits + bits);
    fill_arenas(h, out);
    uint64_t word = 0, arena = 0;
    struct span_info *info = out->spans;
    for (struct mspan *s = inspect_next_span(h, 0); s != NULL;
         s = inspect_next_span(h, mspan_end(s))) {
        describe_span(h, s, info, &out->bits[word]);
        info++->bits = word;
        word += span_words(s);
        if (s->state == MSPAN_IN_USE)
            count_pages(out, s, &arena);
    }
    memstats_in(h, &out->memstats);
    class_stats_in(h, out->classes);
    out->nanotime = os_nanotime();
    return true;
}

bool inspect_snapshot(struct mheap *h, struct snapshot *out) {
    memset(out, 0, sizeof *out);
    begin_bits(h);
    bool ok = snapshot_in(h, out);
    end_bits(h);
    return ok;
}

void inspect_snapshot_free(struct snapshot *s) {
    struct os os; /* the heap's own has counted the call that can fail */
    os_init(&os);
    if (s->memory != NULL)
        os_free(&os, s->memory, s->nbytes);
    memset(s, 0, sizeof *s);
}

bool inspect_span_of(struct mheap *h, uintptr_t addr, struct span_info *out,
                     uint64_t bits[GA_PAGE_SIZE / 8 / 64]) {
    begin_bits(h);
    struct mspan *s = mheap_span_of_locked(h, addr);
    if (s != NULL)
        describe_span(h, s, out, bits);
    end_bits(h);
    return s != NULL;
}

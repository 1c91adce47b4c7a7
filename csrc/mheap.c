/* See mheap.h for what the page heap promises, malloc.c for the overview. */
#include "mheap.h"

#include <string.h>

#include "client.h"
#include "fatal.h"
#include "huge.h"

/* ---- span structs --------------------------------------------------------------------------- */

/* Room for one more in allspans.  The old array stays with persistentalloc: doubling wastes at most
 * as much again. */
static bool reserve_allspans(struct mheap *h) {
    if (h->nallspans < h->allspans_cap)
        return true;
    size_t cap = ga_max(2 * h->allspans_cap, 1024);
    struct mspan **grown =
        persistentalloc(&h->persistent, cap * sizeof grown[0], 0, &h->mspan_sys);
    if (grown == NULL)
        return false;
    if (h->nallspans != 0)
        memcpy(grown, h->allspans, h->nallspans * sizeof grown[0]);
    h->allspans = grown;
    h->allspans_cap = cap;
    return true;
}

static struct mspan *new_span_locked(struct mheap *h) {
    bool fresh = h->spanalloc.list == NULL; /* carved now, so not in allspans yet */
    if (fresh && !reserve_allspans(h))
        return NULL;
    struct mspan *s = fixalloc_alloc(&h->spanalloc);
    if (s == NULL)
        return NULL;
    if (fresh)
        h->allspans[h->nallspans++] = s;
    memset(s, 0, sizeof *s);
    return s;
}

static void dead_span_locked(struct mheap *h, struct mspan *s) {
    memset(s, 0, sizeof *s);
    s->state = MSPAN_DEAD;
    fixalloc_free(&h->spanalloc, s);
}

/* ---- alloc_bits and tiny_parts -------------------------------------------------------------- */

static struct fixalloc *bits_fixalloc(struct mheap *h, unsigned nelems) {
    size_t words = mspan_bits_words(nelems);
    for (size_t i = 0; i < 3; i++)
        if (words * 8 <= h->bitsalloc[i].size)
            return &h->bitsalloc[i];
    ga_throw("span of %u slots", nelems);
}

/* What a span of small slots needs besides its struct. */
struct slot_meta {
    uint64_t *alloc_bits; /* NULL: the span's inline word serves */
    uint32_t *tiny_parts;
};

static bool new_slot_meta_locked(struct mheap *h, unsigned nelems, bool tiny, struct slot_meta *m) {
    m->alloc_bits = NULL;
    m->tiny_parts = NULL;
    if (nelems > 64 && (m->alloc_bits = fixalloc_alloc(bits_fixalloc(h, nelems))) == NULL)
        return false;
    if (tiny && (m->tiny_parts = fixalloc_alloc(&h->tinyalloc)) == NULL) {
        fixalloc_free(bits_fixalloc(h, nelems), m->alloc_bits);
        return false;
    }
    return true;
}

static void free_slot_meta_locked(struct mheap *h, unsigned nelems, const struct slot_meta *m) {
    if (m->tiny_parts != NULL)
        fixalloc_free(&h->tinyalloc, m->tiny_parts);
    if (m->alloc_bits != NULL)
        fixalloc_free(bits_fixalloc(h, nelems), m->alloc_bits);
}

/* ---- free runs ------------------------------------------------------------------------------ */

void mheap_insert_free_locked(struct mheap *h, struct mspan *s) {
    s->state = MSPAN_FREE;
    s->scavenged = arena_released_from(&h->map, s->start_addr, s->npages) == s->npages;
    if (s->scavenged)
        s->needzero = 0;
    arena_set_free_span(&h->map, s);
    treap_insert(&h->free, s);
}

/* The free span right before or behind s, taken out of the treap, or NULL. */
static struct mspan *take_neighbour(struct mheap *h, uintptr_t addr) {
    struct mspan *t = arena_is_ours(&h->map, addr) ? arena_span_of(&h->map, addr) : NULL;
    if (t == NULL || t->state != MSPAN_FREE)
        return NULL;
    treap_remove(&h->free, t);
    return t;
}

/* Makes the pages of s, which is in no list and no treap, free: merged with both neighbours. */
static void coalesce_locked(struct mheap *h, struct mspan *s) {
    struct mspan *before = take_neighbour(h, s->start_addr - 1);
    struct mspan *after = take_neighbour(h, mspan_end(s));
    if (before != NULL) {
        s->start_addr = before->start_addr;
        s->npages += before->npages;
        s->needzero |= before->needzero;
        dead_span_locked(h, before);
    }
    if (after != NULL) {
        s->npages += after->npages;
        s->needzero |= after->needzero;
        dead_span_locked(h, after);
    }
    mheap_insert_free_locked(h, s);
}

static void add_piece_locked(struct mheap *h, struct arena_piece piece) {
    if (piece.nbytes == 0)
        return;
    struct mspan *s = new_span_locked(h);
    GA_CHECK(s != NULL); /* grow_locked saw to it */
    s->start_addr = piece.base;
    s->npages = (uint32_t)(piece.nbytes >> GA_PAGE_SHIFT);
    arena_set_released(&h->map, s->start_addr, s->npages, true);
    h->mapped += piece.nbytes;
    h->released += piece.nbytes;
    coalesce_locked(h, s);
}

/* Are there structs for both pieces that growing may make? */
static bool reserve_spans_locked(struct mheap *h) {
    struct mspan *a = new_span_locked(h), *b = a != NULL ? new_span_locked(h) : NULL;
    if (a != NULL)
        dead_span_locked(h, a);
    if (b != NULL)
        dead_span_locked(h, b);
    return b != NULL;
}

/* Adds at least npages of fresh pages to the free runs. */
static bool grow_locked(struct mheap *h, size_t npages) {
    bool dense = npages <= GA_DENSE_PAGES;
    size_t unit = huge_grow_unit(&h->map, dense, h->pages_in_use << GA_PAGE_SHIFT);
    size_t to_unit = -h->map.cur_base & (unit - 1); /* the end of the heap is a multiple of it */
    size_t ask = ga_align_up(npages << GA_PAGE_SHIFT, GA_HEAP_GROW_MIN);
    ask = ask <= to_unit ? to_unit : ga_align_up(ask - to_unit, unit) + to_unit;
    if (!reserve_spans_locked(h)) /* first: what has become Ready must not get lost */
        return false;
    struct arena_piece pieces[2];
    uint64_t meta = h->map.meta_bytes + h->map.map_bytes;
    bool ok = arena_map_grow(&h->map, ask, pieces);
    atomic_fetch_add_explicit(&h->gc_sys, h->map.meta_bytes + h->map.map_bytes - meta,
                              memory_order_relaxed);
    huge_grown(&h->map, pieces[0], unit);
    huge_grown(&h->map, pieces[1], GA_HEAP_GROW_MIN);
    add_piece_locked(h, pieces[0]);
    add_piece_locked(h, pieces[1]);
    return ok;
}

/* ---- taking a run --------------------------------------------------------------------------- */

/* Cuts the pages behind the first npages off s and makes them a free span. */
static void split_off_locked(struct mheap *h, struct mspan *s, size_t npages, struct mspan *rest) {
    rest->start_addr = s->start_addr + (npages << GA_PAGE_SHIFT);
    rest->npages = s->npages - (uint32_t)npages;
    rest->needzero = s->needzero;
    s->npages = (uint32_t)npages;
    mheap_insert_free_locked(h, rest);
}

/* When what is left of the run is free again, and may go for it. */
static void note_backed_locked(struct mheap *h, size_t fresh) {
    if (fresh != 0) {
        mheap_keep_limit_locked(h);
        mheap_keep_top_locked(h);
    }
}

/* The best fit, if it happens to begin where it should: a run that was cut to measure before. */
static struct mspan *find_aligned_locked(struct mheap *h, const struct run_need *need) {
    struct mspan *s = treap_find(&h->free, need->npages);
    return s != NULL && s->start_addr >> GA_PAGE_SHIFT & (need->align_pages - 1) ? NULL : s;
}

/* A free run of `pages`, with room behind it if there is one. */
static struct mspan *find_run_locked(struct mheap *h, const struct run_need *need, size_t pages) {
    struct mspan *s = need->room != 0 ? treap_find(&h->free, pages + need->room) : NULL;
    if (s == NULL && need->align_pages > 1)
        s = find_aligned_locked(h, need);
    if (s == NULL)
        s = treap_find(&h->free, pages);
    if (s == NULL && grow_locked(h, pages))
        s = treap_find(&h->free, pages);
    return s;
}

struct mspan *mheap_take_run_locked(struct mheap *h, struct run_need need) {
    size_t npages = need.npages, pages = npages + need.align_pages - 1;
    if (pages < npages || pages > UINT32_MAX)
        return NULL;
    struct mspan *s = find_run_locked(h, &need, pages);
    if (s == NULL)
        return NULL;
    uintptr_t start = ga_align_up(s->start_addr, need.align_pages << GA_PAGE_SHIFT);
    size_t lead = (start - s->start_addr) >> GA_PAGE_SHIFT, tail = s->npages - lead - npages;
    struct mspan *rest = tail != 0 ? new_span_locked(h) : NULL;
    struct mspan *run = lead != 0 ? new_span_locked(h) : s;
    if ((tail != 0 && rest == NULL) || run == NULL) {
        if (rest != NULL)
            dead_span_locked(h, rest);
        if (run != NULL && run != s)
            dead_span_locked(h, run);
        return NULL;
    }
    treap_remove(&h->free, s);
    if (need.fills)
        mheap_populate_locked(h, start, npages, mspan_end(s));
    size_t fresh = mheap_back_locked(h, s, start, npages);
    if (tail != 0)
        split_off_locked(h, s, lead + npages, rest);
    if (lead != 0) { /* the caller gets the upper part, s stays behind, free */
        run->start_addr = start;
        run->npages = (uint32_t)npages;
        run->needzero = s->needzero;
        s->npages = (uint32_t)lead;
        mheap_insert_free_locked(h, s);
    }
    if (fresh == npages)
        run->needzero = 0; /* whatever the run was that it is cut from */
    note_backed_locked(h, fresh);
    return run;
}

static void set_page_in_use(struct mheap *h, const struct mspan *s, bool in_use) {
    uint64_t *w = &arena_of(&h->map, s->start_addr)->page_in_use[arena_page(s->start_addr) >> 6];
    uint64_t mask = (uint64_t)1 << (arena_page(s->start_addr) & 63);
    *w = in_use ? *w | mask : *w & ~mask;
}

static void note_peak_locked(struct mheap *h) {
    uint64_t *peak = &h->scavenge.peaks[h->scavenge.tick];
    *peak = ga_max(*peak, h->pages_in_use - h->pages_moving + h->pages_manual);
}

static void count_in_use_locked(struct mheap *h, size_t npages) {
    h->pages_in_use += npages;
    h->scavenge.taken += npages;
    h->peak_in_use = ga_max(h->peak_in_use, h->pages_in_use - h->pages_moving);
    note_peak_locked(h);
}

void mheap_publish_locked(struct mheap *h, struct mspan *s, uint8_t class) {
    s->state = MSPAN_IN_USE;
    s->scavenged = 0;
    arena_set_span(&h->map, s, class);
    set_page_in_use(h, s, true);
    count_in_use_locked(h, s->npages);
}

struct mspan *mheap_alloc(struct mheap *h, spanclass_t spc, bool tiny, bool fills) {
    unsigned sizeclass = spanclass_sizeclass(spc);
    size_t npages = class_to_allocnpages[sizeclass];
    unsigned nelems = (unsigned)((npages << GA_PAGE_SHIFT) / class_to_size[sizeclass]);
    struct run_need need = {.npages = npages, .align_pages = 1, .fills = fills};
    struct mspan *s = NULL;
    struct slot_meta meta;
    mutex_lock(&h->lock);
    if (new_slot_meta_locked(h, nelems, tiny, &meta)) {
        s = mheap_take_run_locked(h, need);
        if (s == NULL)
            free_slot_meta_locked(h, nelems, &meta);
    }
    if (s != NULL) {
        s->inline_bits = 0;
        s->alloc_bits = meta.alloc_bits != NULL ? meta.alloc_bits : &s->inline_bits;
        s->tiny_parts = meta.tiny_parts;
        s->central = NULL;
        s->cached = NULL;
        s->os_released = 0;
        mspan_init_slots(s, spc);
        mheap_publish_locked(h, s, tiny ? GA_PAGE_TINY : spc);
    }
    mutex_unlock(&h->lock);
    if (GA_UNLIKELY(h->wipe_spans) && s != NULL)
        memset((void *)s->start_addr, 0, mspan_bytes(s));
    if (s != NULL)
        CLIENT_CLOSE(s->start_addr, mspan_bytes(s));
    return s;
}

struct mspan *mheap_alloc_manual(struct mheap *h, size_t npages) {
    struct run_need need = {.npages = npages, .align_pages = 1};
    mutex_lock(&h->lock);
    struct mspan *s = mheap_take_run_locked(h, need);
    if (s != NULL) {
        s->state = MSPAN_MANUAL;
        s->scavenged = 0;
        s->manual_free_list = NULL;
        s->alloc_bits = NULL;
        s->tiny_parts = NULL;
        s->cached = NULL;
        s->alloc_count = 0;
        arena_set_span(&h->map, s, 0);
        h->pages_manual += s->npages;
        note_peak_locked(h);
        CLIENT_OPEN(s->start_addr, mspan_bytes(s));
    }
    mutex_unlock(&h->lock);
    return s;
}

/* ---- giving back ---------------------------------------------------------------------------- */

/* Of what had been given back inside s, whole pages of ours stay so; of others the rest is backed,
 * so they count as kept. */
static void keep_released_locked(struct mheap *h, struct mspan *s) {
    size_t os_page = h->os_page, per_page = GA_PAGE_SIZE / os_page;
    uint32_t whole = ((uint32_t)1 << per_page) - 1, released = s->os_released;
    for (size_t i = 0; i < s->npages; i++) {
        if ((released >> (i * per_page) & whole) != whole)
            continue;
        arena_set_released(&h->map, s->start_addr + (i << GA_PAGE_SHIFT), 1, true);
        h->released += GA_PAGE_SIZE;
    }
    mheap_count_inuse_released(h, -(int64_t)(ga_popcount64(released) * os_page));
    s->os_released = 0;
}

/* The pages of s, which nobody uses any more, become free. */
static void retire_locked(struct mheap *h, struct mspan *s) {
    mheap_mark_active(h);
    coalesce_locked(h, s);
    if (mheap_is_tight(h))
        mheap_keep_limit_locked(h);
}

void mheap_free_locked(struct mheap *h, struct mspan *s, bool needzero) {
    if (s->state == MSPAN_MANUAL) {
        GA_CHECK(s->alloc_count == 0);
        h->pages_manual -= s->npages;
        arena_mark_freed(&h->map, s, 0, 0);
    } else {
        bool large = spanclass_sizeclass(s->spanclass) == 0;
        GA_CHECK(s->state == MSPAN_IN_USE && s->list == NULL);
        GA_CHECK(large || s->alloc_count == 0);
        uint8_t was = large ? GA_WAS_LARGE : s->tiny_parts != NULL ? GA_PAGE_TINY : s->spanclass;
        arena_mark_freed(&h->map, s, was, large ? GA_WAS_LARGE_TAIL : was);
        struct slot_meta meta = {s->nelems > 64 ? s->alloc_bits : NULL, s->tiny_parts};
        free_slot_meta_locked(h, s->nelems, &meta);
        set_page_in_use(h, s, false);
        h->pages_in_use -= s->npages;
        if (s->os_released != 0)
            keep_released_locked(h, s);
    }
    s->needzero = needzero;
    retire_locked(h, s);
}

void mheap_free(struct mheap *h, struct mspan *s) {
    mutex_lock(&h->lock);
    mheap_free_locked(h, s, true);
    mutex_unlock(&h->lock);
}

/* ---- in place ------------------------------------------------------------------------------- */

/* The free run that begins at addr, or NULL; it stays in the treap. */
static struct mspan *free_run_at(struct mheap *h, uintptr_t addr) {
    struct mspan *t = arena_is_ours(&h->map, addr) ? arena_span_of(&h->map, addr) : NULL;
    return t != NULL && t->state == MSPAN_FREE ? t : NULL;
}

/* The free run behind s, if it has `more` pages.  Where the pages of the heap end right there, and
 * no run elsewhere would do for all of s either, it gets what it lacks: then the heap must grow
 * anyway, and here it grows least. */
static struct mspan *room_behind_locked(struct mheap *h, const struct mspan *s, size_t more) {
    struct mspan *behind = free_run_at(h, mspan_end(s));
    size_t have = behind != NULL ? behind->npages : 0;
    if (have >= more)
        return behind;
    if (mspan_end(s) + (have << GA_PAGE_SHIFT) != h->map.cur_base ||
        treap_find(&h->free, s->npages + more) != NULL || !grow_locked(h, more - have))
        return NULL;
    behind = free_run_at(h, mspan_end(s)); /* the system may have had room elsewhere only */
    return behind != NULL && behind->npages >= more ? behind : NULL;
}

bool mheap_extend_locked(struct mheap *h, struct mspan *s, size_t npages) {
    size_t more = npages - s->npages;
    uintptr_t end = mspan_end(s);
    struct mspan *behind = npages <= UINT32_MAX ? room_behind_locked(h, s, more) : NULL;
    if (behind == NULL)
        return false;
    treap_remove(&h->free, behind);
    size_t fresh = mheap_back_locked(h, behind, end, more);
    if (behind->npages == more) {
        dead_span_locked(h, behind);
    } else {
        behind->start_addr += more << GA_PAGE_SHIFT;
        behind->npages -= (uint32_t)more;
        mheap_insert_free_locked(h, behind);
    }
    note_backed_locked(h, fresh);
    s->npages = (uint32_t)npages;
    arena_extend_span(&h->map, s, end, 0);
    count_in_use_locked(h, more);
    return true;
}

bool mheap_cut_locked(struct mheap *h, struct mspan *s, size_t npages) {
    struct mspan *tail = new_span_locked(h);
    if (tail == NULL)
        return false;
    tail->start_addr = s->start_addr + (npages << GA_PAGE_SHIFT);
    tail->npages = s->npages - (uint32_t)npages;
    tail->needzero = 1;
    s->npages = (uint32_t)npages;
    h->pages_in_use -= tail->npages;
    arena_mark_freed(&h->map, tail, GA_WAS_LARGE_TAIL, GA_WAS_LARGE_TAIL);
    retire_locked(h, tail);
    return true;
}

/* ---- asking --------------------------------------------------------------------------------- */

struct mspan *mheap_span_of_heap(struct mheap *h, uintptr_t addr) {
    struct mspan *s = arena_span_of(&h->map, addr);
    if (s == NULL || s->state != MSPAN_IN_USE || addr - s->start_addr >= mspan_bytes(s))
        return NULL;
    return s;
}

struct mspan *mheap_span_of_locked(struct mheap *h, uintptr_t addr) {
    struct mspan *s = arena_span_of(&h->map, addr);
    if (s != NULL && s->state != MSPAN_DEAD && addr - s->start_addr < mspan_bytes(s))
        return s;
    /* Inside a free run only the ends of the map are valid: look through the treap. */
    for (s = treap_first(&h->free); s != NULL; s = treap_next(s))
        if (addr - s->start_addr < mspan_bytes(s))
            return s;
    return NULL;
}

/* ---- start and end -------------------------------------------------------------------------- */

bool mheap_init(struct mheap *h, enum arena_layout layout, size_t linear_bytes) {
    memset(h, 0, sizeof *h);
    os_init(&h->os);
    h->os_page = os_page_size();
    mutex_init(&h->lock, GA_RANK_HEAP, "mheap");
    persistentalloc_init(&h->persistent, &h->os);
    treap_init(&h->free, os_entropy());
    h->memory_limit = UINT64_MAX;
    h->scavenge.over = true;
    fixalloc_init(&h->spanalloc, sizeof(struct mspan), 0, &h->persistent, &h->mspan_sys);
    h->spanalloc.zero = false; /* a dead span's state must stay readable for allspans */
    const size_t bits_bytes[3] = {16, 64, GA_MAX_SLOTS_PER_SPAN / 8};
    for (size_t i = 0; i < 3; i++)
        fixalloc_init(&h->bitsalloc[i], bits_bytes[i], 0, &h->persistent, &h->gc_sys);
    size_t tiny_slots = (class_to_allocnpages[2] << GA_PAGE_SHIFT) / GA_TINY_SIZE;
    fixalloc_init(&h->tinyalloc, tiny_slots * sizeof(uint32_t), 0, &h->persistent, &h->gc_sys);
    if (arena_map_init(&h->map, &h->os, &h->persistent, layout, linear_bytes))
        return true;
    mheap_destroy(h);
    return false;
}

void mheap_destroy(struct mheap *h) {
    if (h->map.none != NULL)
        arena_map_destroy(&h->map);
    persistentalloc_destroy(&h->persistent);
    mutex_destroy(&h->lock);
}

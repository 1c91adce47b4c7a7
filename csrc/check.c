/* check: inspect_check, which proves every invariant of a heap.
 *
 * It stops the caches, locks the heap and walks: the arenas' spans, the treap, each central's
 * lists, each cache's stores, the heap bitmap, the counters.  Slots in stores are found twice or
 * live by marking them in the heap bitmap for a moment.  The first thing that does not hold is
 * described; spans and treap throw from their own checks.
 * Locks: as inspect.c. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "inspect.h"
#include "mcache.h"

struct report {
    struct mheap *h;
    char *buf;
    size_t nbytes;
    bool failed;
};

__attribute__((format(printf, 3, 4))) static void expect(struct report *r, bool holds,
                                                         const char *fmt, ...) {
    if (holds || r->failed)
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->buf, r->nbytes, fmt, ap);
    va_end(ap);
    r->failed = true;
}

/* ---- spans ---------------------------------------------------------------------------------- */

struct page_sums {
    uint64_t in_use, manual, free, released, inuse_released, nfree, nwatched;
};

/* The bits that are set within s in the heap bitmap. */
static uint64_t count_heap_bits(struct mheap *h, const struct mspan *s) {
    uint64_t n = 0;
    for (uintptr_t a = s->start_addr; a < mspan_end(s); a += 64 << GA_GRANULE_SHIFT) {
        const struct heap_arena *ha = arena_of(&h->map, a);
        uint64_t even = *heap_bits_word(ha, a), odd = *heap_bits_word(ha, a + 8);
        if ((even | odd) != 0) /* most are zero: free runs are long */
            n += ga_popcount64(even) + ga_popcount64(odd);
    }
    return n;
}

static void check_pages(struct report *r, const struct mspan *s) {
    uint8_t class = s->state != MSPAN_IN_USE                          ? 0
                    : spanclass_sizeclass(s->spanclass) == 0          ? 0
                    : s->tiny_parts != NULL ? GA_PAGE_TINY : s->spanclass;
    for (uintptr_t a = s->start_addr; a < mspan_end(s); a += GA_PAGE_SIZE) {
        const struct heap_arena *ha = arena_of(&r->h->map, a);
        bool edge = a == s->start_addr || a + GA_PAGE_SIZE == mspan_end(s);
        size_t page = arena_page(a);
        if (s->state != MSPAN_FREE || edge)
            expect(r, ha->spans[page] == s, "spans map at 0x%zx is not its span", (size_t)a);
        expect(r, ha->pageclass[page] == class, "pageclass at 0x%zx is %u, not %u", (size_t)a,
               ha->pageclass[page], class);
        bool in_use = ha->page_in_use[page >> 6] >> (page & 63) & 1;
        expect(r, in_use == (s->state == MSPAN_IN_USE && a == s->start_addr),
               "page_in_use at 0x%zx is %d", (size_t)a, in_use);
    }
}

static void check_in_use(struct report *r, const struct mspan *s) {
    uint64_t live = 0;
    for (unsigned i = 0; i < s->nelems; i++) {
        uintptr_t addr = s->start_addr + (size_t)i * s->elemsize;
        if (!heap_bits_live(arena_of(&r->h->map, addr), addr))
            continue;
        live++;
        expect(r, mspan_is_taken(s, i), "slot %u of span 0x%zx is live but not taken", i,
               (size_t)s->start_addr);
    }
    expect(r, live == count_heap_bits(r->h, s), "span 0x%zx has live bits between its slots",
           (size_t)s->start_addr);
    mspan_check(s);
    if (spanclass_sizeclass(s->spanclass) == 0)
        return;
    struct mcentral *mc = s->central;
    bool belongs_empty = s->cached != NULL || s->alloc_count == s->nelems;
    expect(r, s->list == (belongs_empty ? &mc->empty : &mc->nonempty[mcentral_fill(mc, s)]),
           "span 0x%zx stands in the wrong list", (size_t)s->start_addr);
    expect(r, (s->os_released & ~mspan_vacant_os_pages(s, os_page_size())) == 0,
           "a page given back in span 0x%zx has a slot out", (size_t)s->start_addr);
}

/* What is given back of a free span goes in whole pages of the system, where those are larger. */
static bool released_by_whole_pages(const struct mheap *h, const struct mspan *s) {
    size_t os_page = os_page_size();
    if (os_page <= GA_PAGE_SIZE)
        return true;
    for (uintptr_t at = s->start_addr, next; at < mspan_end(s); at = next) {
        next = ga_min(ga_align_down(at, os_page) + os_page, mspan_end(s));
        size_t released = arena_count_released(&h->map, at, (next - at) >> GA_PAGE_SHIFT);
        if (released != 0 && released != os_page >> GA_PAGE_SHIFT)
            return false;
    }
    return true;
}

static void check_spans(struct report *r, struct page_sums *sums) {
    struct mheap *h = r->h;
    uint8_t before_state = MSPAN_DEAD;
    uintptr_t before_end = 0;
    for (struct mspan *s = inspect_next_span(h, 0); s != NULL && !r->failed;
         s = inspect_next_span(h, mspan_end(s))) {
        size_t released = arena_count_released(&h->map, s->start_addr, s->npages);
        check_pages(r, s);
        expect(r, s->start_addr >= before_end, "spans overlap at 0x%zx", (size_t)s->start_addr);
        if (s->state == MSPAN_FREE) {
            sums->free += s->npages;
            sums->nfree++;
            sums->released += released;
            expect(r, before_state != MSPAN_FREE || before_end != s->start_addr,
                   "free spans at 0x%zx are neighbours", (size_t)s->start_addr);
            expect(r, s->scavenged == (released == s->npages), "scavenged flag of 0x%zx",
                   (size_t)s->start_addr);
            expect(r, released_by_whole_pages(h, s), "part of a page given back in 0x%zx",
                   (size_t)s->start_addr);
            expect(r, count_heap_bits(h, s) == 0, "live bits in free span 0x%zx",
                   (size_t)s->start_addr);
        } else {
            *(s->state == MSPAN_IN_USE ? &sums->in_use : &sums->manual) += s->npages;
            expect(r, released == 0, "released pages in span 0x%zx", (size_t)s->start_addr);
            if (s->state == MSPAN_IN_USE) {
                sums->inuse_released += ga_popcount64(s->os_released) * os_page_size();
                sums->nwatched += s->watched;
                check_in_use(r, s);
            }
        }
        before_state = s->state;
        before_end = mspan_end(s);
    }
}

static void check_seams(struct report *r) {
    const struct arena_map *m = &r->h->map;
    size_t nseams = 0;
    for (size_t i = 0; i < m->nall; i++)
        for (size_t w = 0; w < GA_PAGES_PER_ARENA / 64; w++)
            nseams += ga_popcount64(m->all[i]->seam[w]);
    expect(r, nseams == m->nseams, "%zu seams, says %zu", nseams, m->nseams);
}

static void check_page_counters(struct report *r, const struct page_sums *sums) {
    const struct mheap *h = r->h;
    treap_check(&h->free);
    expect(r, sums->nfree == h->free.nspans && sums->free == h->free.npages,
           "%zu free spans of %zu pages, the treap has %zu of %zu", (size_t)sums->nfree,
           (size_t)sums->free, h->free.nspans, (size_t)h->free.npages);
    expect(r, sums->in_use == h->pages_in_use, "pages_in_use is %zu, spans have %zu",
           (size_t)h->pages_in_use, (size_t)sums->in_use);
    expect(r, sums->manual == h->pages_manual, "pages_manual is %zu, spans have %zu",
           (size_t)h->pages_manual, (size_t)sums->manual);
    uint64_t pages = sums->in_use + sums->manual + sums->free;
    expect(r, pages << GA_PAGE_SHIFT == h->mapped, "mapped is %zu, spans have %zu",
           (size_t)h->mapped, (size_t)pages << GA_PAGE_SHIFT);
    expect(r, sums->inuse_released == atomic_load(&h->inuse_released),
           "inuse_released is %zu, spans say %zu", (size_t)atomic_load(&h->inuse_released),
           (size_t)sums->inuse_released);
    expect(r, sums->nwatched == atomic_load(&h->nwatched), "nwatched is %zu, spans say %zu",
           (size_t)atomic_load(&h->nwatched), (size_t)sums->nwatched);
    expect(r, sums->released << GA_PAGE_SHIFT == h->released, "released is %zu, bits say %zu",
           (size_t)h->released, (size_t)sums->released << GA_PAGE_SHIFT);
}

/* ---- specials ------------------------------------------------------------------------------- */

/* The first granule of a slot, and its bit clear. */
static void check_special(const struct special *s, void *report) {
    struct report *r = report;
    const struct heap_arena *ha = arena_of(&r->h->map, s->addr);
    if (s->kind == SPECIAL_WRAPPED)
        return;
    const struct mspan *span = ha == NULL ? NULL : mheap_span_of_heap(r->h, s->addr);
    expect(r, span != NULL, "a special is at 0x%zx, which is in no span", (size_t)s->addr);
    if (r->failed)
        return;
    size_t offset = s->addr - span->start_addr;
    expect(r, span->elemsize * (offset / span->elemsize) == offset,
           "a special is at 0x%zx, which is not a slot", (size_t)s->addr);
    expect(r, !heap_bits_live(ha, s->addr), "the bit of 0x%zx, which has a special, is set",
           (size_t)s->addr);
}

/* Takes it for freed, until the other way round. */
static void count_freed(const struct special *s, void *profile) {
    ((struct bucket *)table_row(&((struct profile *)profile)->buckets, s->record))->frees++;
}

static void count_live(const struct special *s, void *profile) {
    ((struct bucket *)table_row(&((struct profile *)profile)->buckets, s->record))->frees--;
}

/* If all blocks with specials had been freed, every bucket would be even. */
static void check_profile(struct report *r) {
    struct profile *p = r->h->profile;
    uint64_t inuse = 0;
    if (p == NULL)
        return;
    mutex_lock(&p->lock); /* in wrap mode it is not the stopped caches that are sampled */
    for (uint32_t i = 0; i < p->buckets.n; i++) {
        const struct bucket *b = table_row(&p->buckets, i);
        inuse += (b->allocs - b->frees) * b->weight;
    }
    expect(r, inuse == p->inuse, "the profile has %zu bytes in use, its buckets %zu",
           (size_t)p->inuse, (size_t)inuse);
    specials_each(&r->h->specials, count_freed, p);
    for (uint32_t i = 0; i < p->buckets.n; i++) {
        const struct bucket *b = table_row(&p->buckets, i);
        expect(r, b->allocs == b->frees, "bucket %u of the profile has %zu live blocks too many", i,
               (size_t)(b->allocs - b->frees));
    }
    specials_each(&r->h->specials, count_live, p);
    mutex_unlock(&p->lock);
}

/* ---- centrals ------------------------------------------------------------------------------- */

static void check_list(struct report *r, const struct mspan_list *l, uint64_t *taken) {
    size_t n = 0;
    const struct mspan *before = NULL;
    for (const struct mspan *s = l->first; s != NULL && !r->failed; before = s, s = s->next) {
        expect(r, s->list == l && s->prev == before, "links of span 0x%zx", (size_t)s->start_addr);
        *taken += s->alloc_count;
        n++;
    }
    expect(r, n == l->length && l->last == before, "a list of %zu spans says %zu", n, l->length);
}

static void check_centrals(struct report *r) {
    for (const struct mcentral *set = r->h->central_sets; set != NULL; set = set->next_set) {
        for (unsigned i = 0; i < GA_NUM_CENTRALS && !r->failed; i++) {
            uint64_t taken = 0;
            for (unsigned fill = 0; fill < GA_CENTRAL_FILLS; fill++)
                check_list(r, &set[i].nonempty[fill], &taken);
            check_list(r, &set[i].empty, &taken);
            expect(r, set[i].sweep == NULL || set[i].sweep->central == &set[i],
                   "central %u sweeps another's span", i);
            expect(r, taken == set[i].taken, "central %u: %zu slots taken, says %zu", i,
                   (size_t)taken, (size_t)set[i].taken);
        }
    }
}

/* ---- stores --------------------------------------------------------------------------------- */

/* Marks or unmarks a waiting slot; when marking, it must be a taken, unmarked one. */
static void mark_slot(struct report *r, uintptr_t addr, bool mark) {
    struct mspan *s = mheap_span_of_heap(r->h, addr);
    expect(r, s != NULL, "a store holds 0x%zx, which is in no span", (size_t)addr);
    if (s == NULL || r->failed)
        return;
    const struct heap_arena *ha = arena_of(&r->h->map, addr);
    unsigned slot = mspan_objindex(s, addr - s->start_addr);
    if (!mark) {
        heap_bits_clear(ha, addr, false);
        return;
    }
    expect(r, s->start_addr + slot * s->elemsize == addr && mspan_is_taken(s, slot),
           "a store holds 0x%zx, which is not a taken slot", (size_t)addr);
    expect(r, !heap_bits_live(ha, addr), "slot 0x%zx is in a store and live, or in two",
           (size_t)addr);
    heap_bits_set(ha, addr, false);
}

static void mark_stores(struct report *r, bool mark) {
    for (struct mcache *c = r->h->caches->first; c != NULL; c = c->next) {
        for (unsigned spc = 2; spc < GA_NUM_SPAN_CLASSES; spc++)
            for (size_t i = 0, n = mcache_waiting(c, spc); i < n; i++) {
                const struct free_slot *at = &c->cold[spc].base[i];
                uintptr_t addr = granule_addr(at->granule);
                expect(r, at->bits == heap_bits_word(arena_of(&r->h->map, addr), addr),
                       "store %u: the word beside 0x%zx is not its own", spc, (size_t)addr);
                mark_slot(r, addr, mark);
            }
        for (uint32_t i = 0; i < c->tiny.nslots; i++)
            mark_slot(r, (uintptr_t)c->tiny.slots[i], mark);
    }
}

static void check_store_shapes(struct report *r) {
    expect(r, !atomic_load(&r->h->caches->owner_unseen),
           "caches: an interpreter came unannounced, and may have shared one");
    for (struct mcache *c = r->h->caches->first; c != NULL; c = c->next)
        for (unsigned spc = 2; spc < GA_NUM_SPAN_CLASSES && !r->failed; spc++) {
            const struct store_cold *cold = &c->cold[spc];
            if (mcache_is_closed(c, spc) || mcache_is_shut(c, spc))
                continue;
            expect(r,
                   cold->base <= c->top[spc] && c->top[spc] <= c->limit[spc] &&
                       c->limit[spc] <= cold->base + cold->cap,
                   "store %u: its ends are crossed", spc);
            expect(r, cold->base[-1].granule == 0, "store %u: the guard below", spc);
            expect(r, cold->cached == NULL || cold->cached->cached == c,
                   "store %u: its span belongs to another", spc);
        }
}

/* With all waiting slots marked, every taken slot must be marked. */
static void check_all_accounted(struct report *r) {
    for (struct mspan *s = inspect_next_span(r->h, 0); s != NULL && !r->failed;
         s = inspect_next_span(r->h, mspan_end(s))) {
        if (s->state == MSPAN_IN_USE)
            expect(r, count_heap_bits(r->h, s) == s->alloc_count,
                   "span 0x%zx: %zu slots live or in stores, %u taken", (size_t)s->start_addr,
                   (size_t)count_heap_bits(r->h, s), s->alloc_count);
    }
}

int inspect_check(struct mheap *h, char *buf, size_t nbytes) {
    struct report r = {h, buf, nbytes, false};
    struct page_sums sums = {0, 0, 0, 0, 0, 0, 0};
    world_stop(h);
    mutex_lock(&h->lock);
    specials_each(&h->specials, check_special, &r);
    check_profile(&r);
    inspect_show_specials(h, true);
    check_spans(&r, &sums);
    check_page_counters(&r, &sums);
    check_seams(&r);
    check_centrals(&r);
    check_store_shapes(&r);
    if (!r.failed) {
        mark_stores(&r, true);
        check_all_accounted(&r);
        mark_stores(&r, false);
    }
    inspect_show_specials(h, false);
    mutex_unlock(&h->lock);
    world_start(h);
    return r.failed ? -1 : 0;
}

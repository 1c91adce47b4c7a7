/* See arena.h for what an arena is, malloc.c for the overview. */
#include "arena.h"

#include <string.h>

#include "client.h"
#include "fatal.h"
#include "rng.h"

#define GA_MAP_BYTES (GA_ARENA_NONE_BYTES + GA_ARENA_MAP_LEN * sizeof(uintptr_t))

/* ---- start and end -------------------------------------------------------------------------- */

/* The one to be tried first. */
static bool add_hint(struct arena_map *m, uintptr_t addr, bool down) {
    struct arena_hint *hint = fixalloc_alloc(&m->hintalloc);
    if (hint == NULL)
        return false;
    hint->addr = addr;
    hint->down = down;
    hint->next = m->hints;
    m->hints = hint;
    return true;
}

/* Somewhere else in each process, instead of where Go's heap always is. */
void arena_map_scatter(struct arena_map *m, uint64_t seed) {
    struct rng rng;
    rng_seed(&rng, seed);
    for (struct arena_hint *hint = m->hints; hint != NULL; hint = hint->next) {
        uint64_t random = (uint64_t)rng_next(&rng) << 32 | rng_next(&rng);
        hint->addr =
            GA_ARENA_SCATTER_MIN +
            ga_align_down(random % (GA_ARENA_SCATTER_END - GA_ARENA_SCATTER_MIN), GA_ARENA_SIZE);
    }
}

/* One reservation for spans | pageclass | page_was | bitmap | gap | arena. */
static void linear_init(struct arena_map *m, size_t nbytes) {
    struct linear_window *w = &m->linear;
    size_t size = ga_align_up(ga_max(nbytes, GA_ARENA_SIZE), GA_ARENA_SIZE);
    size_t npages = size >> GA_PAGE_SHIFT;
    size_t spans = npages * sizeof(struct mspan *), bitmap = size >> (GA_GRANULE_SHIFT + 3);
    size_t tables = ga_align_up(spans + 2 * npages + 2 * bitmap + GA_LINEAR_GAP, GA_ARENA_SIZE);
    w->nbytes = tables + size;
    w->memory = os_reserve_aligned(m->os, w->nbytes, GA_ARENA_SIZE);
    if (w->memory == NULL)
        return;
    uintptr_t base = (uintptr_t)w->memory;
    w->start = base + tables;
    w->size = size;
    w->spans = (struct mspan **)base;
    w->pageclass = (uint8_t *)(base + spans);
    w->page_was = w->pageclass + npages;
    w->bitmap_end[0] = (uint64_t *)(w->start - GA_LINEAR_GAP);
    w->bitmap_end[1] = (uint64_t *)(w->start - GA_LINEAR_GAP - bitmap);
    m->cur_base = w->start;
    m->cur_end = w->start + size;
}

bool arena_map_init(struct arena_map *m, struct os *os, struct persistentalloc *persistent,
                    enum arena_layout layout, size_t linear_bytes) {
    memset(m, 0, sizeof *m);
    m->os = os;
    m->huge_unasked = os_huge_pages_unasked();
    fixalloc_init(&m->hintalloc, sizeof(struct arena_hint), 0, persistent, NULL);
    /* As many entries as there can be: a heap has few arenas, and the rest is never backed. */
    m->none = os_alloc(os, GA_MAP_BYTES);
    m->all = os_alloc(os, GA_ARENA_MAP_LEN * sizeof m->all[0] / 64);
    bool ok = m->none != NULL && m->all != NULL;
    for (size_t i = GA_ARENA_HINTS; ok && i-- > 0;)
        ok = add_hint(m, GA_ARENA_HINT_BASE + i * GA_ARENA_HINT_STEP, false);
    if (!ok) {
        arena_map_destroy(m);
        return false;
    }
    if (layout == LAYOUT_LINEAR)
        linear_init(m, linear_bytes);
    return true;
}

void arena_map_destroy(struct arena_map *m) {
    for (size_t i = 0; i < m->nall; i++) {
        struct heap_arena *ha = m->all[i];
        CLIENT_OPEN(ha->start, ha->mapped);
        if (!ha->linear)
            os_free(m->os, (void *)ha->start, ha->reserved);
        os_free(m->os, ha, ga_align_up(sizeof *ha, os_page_size()));
    }
    if (m->linear.size != 0)
        os_free(m->os, m->linear.memory, m->linear.nbytes);
    if (m->none != NULL)
        os_free(m->os, m->none, GA_MAP_BYTES);
    if (m->all != NULL)
        os_free(m->os, m->all, GA_ARENA_MAP_LEN * sizeof m->all[0] / 64);
    memset(m, 0, sizeof *m);
}

/* ---- growing -------------------------------------------------------------------------------- */

/* Makes the slices of the linear tables that describe arena ha Ready. */
static bool linear_map_tables(struct arena_map *m, struct heap_arena *ha) {
    const struct linear_window *w = &m->linear;
    size_t page0 = (ha->start - w->start) >> GA_PAGE_SHIFT, page = os_page_size();
    size_t word0 = page0 << (GA_PAGE_SHIFT - GA_GRANULE_SHIFT - 6);
    ha->bitmap[0] = w->bitmap_end[0] - word0; /* where they grow down from */
    ha->bitmap[1] = w->bitmap_end[1] - word0;
    struct {
        void *p;
        size_t nbytes;
    } slices[] = {
        {&w->spans[page0], GA_PAGES_PER_ARENA * sizeof w->spans[0]},
        {&w->pageclass[page0], GA_PAGES_PER_ARENA},
        {&w->page_was[page0], GA_PAGES_PER_ARENA},
        {ha->bitmap[0] - GA_BITMAP_WORDS, GA_BITMAP_WORDS * 8},
        {ha->bitmap[1] - GA_BITMAP_WORDS, GA_BITMAP_WORDS * 8},
    };
    uint64_t nbytes = 0;
    for (size_t i = 0; i < sizeof slices / sizeof slices[0]; i++) {
        /* Slices of neighbours may share a page of a system whose pages are large. */
        uintptr_t low = ga_align_down((uintptr_t)slices[i].p, page);
        uintptr_t high = ga_align_up((uintptr_t)slices[i].p + slices[i].nbytes, page);
        if (!os_map(m->os, (void *)low, high - low))
            return false;
        nbytes += slices[i].nbytes;
    }
    m->meta_bytes += nbytes;
    ha->linear = true;
    size_t mapped = ga_max(linear_mapped(w), ha->start + GA_ARENA_SIZE - w->start);
    atomic_store_explicit(&m->linear.mapped, mapped, memory_order_relaxed);
    ha->spans = &w->spans[page0];
    ha->pageclass = &w->pageclass[page0];
    ha->page_was = &w->page_was[page0];
    ha->bitmap_flip = -1;
    return true;
}

static void enter_arena(struct arena_map *m, size_t i, struct heap_arena *ha) {
    size_t per_page = os_page_size() / sizeof(uintptr_t), first = i / per_page * per_page;
    bool page_is_new = true;
    for (size_t k = first; k < first + per_page; k++)
        page_is_new &= arena_or_none(m, k) == m->none;
    m->map_bytes += page_is_new ? os_page_size() : 0;
    m->all[m->nall++] = ha;
    atomic_store_explicit(arena_distance(m->none, i), (uintptr_t)ha - (uintptr_t)m->none,
                          memory_order_release);
}

/* Makes the arena that starts at start, and enters it into the map. */
static struct heap_arena *new_arena(struct arena_map *m, uintptr_t start) {
    size_t nbytes = ga_align_up(sizeof(struct heap_arena), os_page_size());
    if (m->nall == GA_ARENA_MAP_LEN / 64)
        return NULL;
    struct heap_arena *ha = os_alloc(m->os, nbytes);
    if (ha == NULL)
        return NULL;
    ha->start = start;
    atomic_init(&ha->huge, m->huge_unasked ? UINT32_MAX : 0);
    if (start - m->linear.start < m->linear.size) {
        if (!linear_map_tables(m, ha)) {
            os_free(m->os, ha, nbytes);
            return NULL;
        }
        nbytes = offsetof(struct heap_arena, own_pageclass);
    } else {
        ha->pageclass = ha->own_pageclass;
        ha->page_was = ha->own_page_was;
        ha->spans = ha->own_spans;
        ha->bitmap[0] = ha->own_bitmap[0];
        ha->bitmap[1] = ha->own_bitmap[1];
    }
    m->meta_bytes += nbytes;
    enter_arena(m, start >> GA_ARENA_SHIFT, ha);
    return ha;
}

/* Sees to it that [base, base + nbytes), which is reserved, has heap_arenas. */
static bool ensure_arenas(struct arena_map *m, uintptr_t base, size_t nbytes) {
    uintptr_t end = base + nbytes;
    for (uintptr_t a = ga_align_down(base, GA_ARENA_SIZE); a < end; a += GA_ARENA_SIZE) {
        struct heap_arena *ha = arena_of(m, a);
        if (ha == NULL && (ha = new_arena(m, a)) == NULL)
            return false;
        ha->reserved = ga_max(ha->reserved, ga_min(end - a, GA_ARENA_SIZE));
    }
    return true;
}

static bool in_address_space(uintptr_t base, size_t nbytes) {
    uintptr_t limit = (uintptr_t)1 << GA_HEAP_ADDR_BITS;
    return base < limit && nbytes <= limit - base;
}

/* Reserves nbytes, at the start of an arena, where the hints say.  A hint whose place is taken is
 * dropped. */
static uintptr_t reserve_at_hints(struct arena_map *m, size_t nbytes) {
    for (struct arena_hint **at = &m->hints; *at != NULL;) {
        struct arena_hint *hint = *at;
        uintptr_t p = hint->down ? ga_align_down(hint->addr - nbytes, GA_ARENA_SIZE) : hint->addr;
        void *v = in_address_space(p, nbytes) ? os_reserve(m->os, (void *)p, nbytes) : NULL;
        if (v == (void *)p && v != NULL) {
            hint->addr = hint->down ? p : ga_align_up(p + nbytes, GA_ARENA_SIZE);
            return p;
        }
        if (v == NULL) { /* no memory, or taken: the next hint may still do */
            at = &hint->next;
            continue;
        }
        os_free(m->os, v, nbytes);
        *at = hint->next;
        fixalloc_free(&m->hintalloc, hint);
    }
    return 0;
}

/* Reserves at least nbytes: [*base, *end).  Whole arenas if they can be had; under RLIMIT_AS only
 * what is asked for, at the start of an arena or behind the current one. */
static bool reserve(struct arena_map *m, size_t nbytes, uintptr_t *base, uintptr_t *end) {
    uintptr_t tail = m->cur_end;
    if (tail != 0 && (tail & GA_ARENA_MASK) != 0) { /* the current arena is a partial one */
        size_t more = ga_align_up(nbytes - (tail - m->cur_base), GA_HEAP_GROW_MIN);
        void *v = os_reserve(m->os, (void *)tail, more);
        if (v == (void *)tail) {
            *base = m->cur_base;
            *end = tail + more;
            return true;
        }
        if (v != NULL)
            os_free(m->os, v, more);
    }
    size_t whole = ga_align_up(nbytes, GA_ARENA_SIZE);
    uintptr_t v = reserve_at_hints(m, whole);
    if (v == 0) {
        v = (uintptr_t)os_reserve_aligned(m->os, whole, GA_ARENA_SIZE);
        if (v != 0) { /* as Go: go on from here, in both directions */
            add_hint(m, v, true);
            add_hint(m, v + whole, false);
        } else {
            whole = ga_align_up(nbytes, GA_HEAP_GROW_MIN);
            v = reserve_at_hints(m, whole); /* aligned as they are: no arena on top for a moment */
            if (v == 0)
                v = (uintptr_t)os_reserve_aligned(m->os, whole, GA_ARENA_SIZE);
        }
    }
    if (v == 0)
        return false;
    if (!in_address_space(v, whole)) {
        os_free(m->os, (void *)v, whole);
        return false;
    }
    *base = v;
    *end = v + whole;
    return true;
}

static bool map_piece(struct arena_map *m, uintptr_t base, size_t nbytes) {
    if (!ensure_arenas(m, base, nbytes) || !os_map(m->os, (void *)base, nbytes))
        return false;
    for (uintptr_t a = base; a < base + nbytes;) {
        struct heap_arena *ha = arena_of(m, a);
        size_t here = ga_min(ha->start + GA_ARENA_SIZE, base + nbytes) - a;
        ha->mapped += here;
        a += here;
    }
    return true;
}

/* Frees what of a fresh reservation has no heap_arena; what has one stays ours, and described. */
static void give_up_reservation(struct arena_map *m, uintptr_t base, uintptr_t end) {
    while (base < end && arena_of(m, base) != NULL)
        base = ga_align_down(base, GA_ARENA_SIZE) + GA_ARENA_SIZE;
    if (base < end)
        os_free(m->os, (void *)base, end - base);
}

bool arena_map_grow(struct arena_map *m, size_t nbytes, struct arena_piece pieces[2]) {
    pieces[0] = pieces[1] = (struct arena_piece){0, 0};
    if (m->cur_end - m->cur_base < nbytes) {
        uintptr_t base, end;
        /* Refuse here what would use up all that can be described, and then fail. */
        if (nbytes >> GA_ARENA_SHIFT >= GA_ARENA_MAP_LEN / 64 - m->nall)
            return false;
        if (!reserve(m, nbytes, &base, &end))
            return false;
        if (!ensure_arenas(m, base, end - base)) {
            uintptr_t fresh = base == m->cur_base ? m->cur_end : base;
            give_up_reservation(m, fresh, end);
            return false;
        }
        size_t rest = base == m->cur_base || base == m->cur_end ? 0 : m->cur_end - m->cur_base;
        if (base == m->cur_end && m->cur_end != 0)
            base = m->cur_base;
        if (rest != 0 && map_piece(m, m->cur_base, rest))
            pieces[1] = (struct arena_piece){m->cur_base, rest};
        m->cur_base = base;
        m->cur_end = end;
    }
    if (!map_piece(m, m->cur_base, nbytes))
        return false;
    pieces[0] = (struct arena_piece){m->cur_base, nbytes};
    m->cur_base += nbytes;
    return true;
}

/* ---- asking and describing ------------------------------------------------------------------ */

bool arena_is_ours(const struct arena_map *m, uintptr_t addr) {
    const struct heap_arena *ha = arena_of(m, addr);
    return ha != NULL &&
           addr - ha->start < atomic_load_explicit(&ha->reserved, memory_order_relaxed);
}

void arena_set_span(struct arena_map *m, struct mspan *s, uint8_t class) {
    arena_extend_span(m, s, s->start_addr, class);
}

void arena_extend_span(struct arena_map *m, struct mspan *s, uintptr_t from, uint8_t class) {
    for (uintptr_t a = from; a < mspan_end(s);) {
        struct heap_arena *ha = arena_of(m, a);
        size_t page = arena_page(a);
        size_t n = ga_min(GA_PAGES_PER_ARENA - page, (mspan_end(s) - a) >> GA_PAGE_SHIFT);
        for (size_t i = page; i < page + n; i++)
            ha->spans[i] = s;
        memset(&ha->pageclass[page], class, n);
        a += n << GA_PAGE_SHIFT;
    }
}

void arena_set_free_span(struct arena_map *m, struct mspan *s) {
    uintptr_t last = mspan_end(s) - GA_PAGE_SIZE;
    arena_of(m, s->start_addr)->spans[arena_page(s->start_addr)] = s;
    arena_of(m, last)->spans[arena_page(last)] = s;
}

void arena_mark_freed(struct arena_map *m, const struct mspan *s, uint8_t was, uint8_t was_tail) {
    for (uintptr_t a = s->start_addr; a < mspan_end(s);) {
        struct heap_arena *ha = arena_of(m, a);
        size_t page = arena_page(a);
        size_t n = ga_min(GA_PAGES_PER_ARENA - page, (mspan_end(s) - a) >> GA_PAGE_SHIFT);
        memset(&ha->pageclass[page], 0, n);
        memset(&ha->page_was[page], was_tail, n);
        if (a == s->start_addr)
            ha->page_was[page] = was;
        a += n << GA_PAGE_SHIFT;
    }
}

/* One step of a walk over the words of a bitmap of pages that npages pages from addr touch. */
struct bits_walk {
    uint64_t *word;
    uint64_t mask;
};

/* The word of released or seam bits, by the offset of its array. */
static bool bits_next(const struct arena_map *m, size_t array, uintptr_t *addr, size_t *npages,
                      struct bits_walk *at) {
    if (*npages == 0)
        return false;
    size_t page = arena_page(*addr), bit = page & 63, n = ga_min(64 - bit, *npages);
    at->word = (uint64_t *)((char *)arena_of(m, *addr) + array) + (page >> 6);
    at->mask = (n == 64 ? ~(uint64_t)0 : ((uint64_t)1 << n) - 1) << bit;
    *addr += n << GA_PAGE_SHIFT;
    *npages -= n;
    return true;
}

size_t arena_count_released(const struct arena_map *m, uintptr_t addr, size_t npages) {
    size_t count = 0, array = offsetof(struct heap_arena, released);
    for (struct bits_walk at; bits_next(m, array, &addr, &npages, &at);)
        if ((*at.word & at.mask) != 0) /* mostly none are */
            count += ga_popcount64(*at.word & at.mask);
    return count;
}

size_t arena_released_from(const struct arena_map *m, uintptr_t addr, size_t npages) {
    size_t n = 0, array = offsetof(struct heap_arena, released);
    for (struct bits_walk at; bits_next(m, array, &addr, &npages, &at);) {
        uint64_t kept = ~*at.word & at.mask;
        if (kept != 0)
            return n + ga_ctz64(kept) - ga_ctz64(at.mask);
        n += ga_popcount64(at.mask);
    }
    return n;
}

static bool is_released(const struct arena_map *m, uintptr_t addr) {
    return arena_of(m, addr)->released[arena_page(addr) >> 6] >> (arena_page(addr) & 63) & 1;
}

/* Is the page the last of a word of 64 that are all released, none of them before addr? */
static bool whole_word_released(const struct arena_map *m, uintptr_t addr, uintptr_t page) {
    return (arena_page(page) & 63) == 63 && page - addr >= (uintptr_t)63 << GA_PAGE_SHIFT &&
           arena_of(m, page)->released[arena_page(page) >> 6] == UINT64_MAX;
}

bool arena_highest_kept(const struct arena_map *m, uintptr_t addr, uintptr_t end, size_t max_pages,
                        uintptr_t *low, uintptr_t *high) {
    uintptr_t at = end;
    while (at > addr && is_released(m, at - GA_PAGE_SIZE))
        at -= (uintptr_t)(whole_word_released(m, addr, at - GA_PAGE_SIZE) ? 64 : 1)
              << GA_PAGE_SHIFT;
    *high = at;
    while (at > addr && max_pages-- != 0 && !is_released(m, at - GA_PAGE_SIZE))
        at -= GA_PAGE_SIZE;
    *low = at;
    return *low < *high;
}

void arena_set_released(struct arena_map *m, uintptr_t addr, size_t npages, bool released) {
    size_t array = offsetof(struct heap_arena, released);
    for (struct bits_walk at; bits_next(m, array, &addr, &npages, &at);)
        *at.word = released ? *at.word | at.mask : *at.word & ~at.mask;
}

size_t arena_unseamed(const struct arena_map *m, uintptr_t addr, size_t npages) {
    npages = ga_min(npages, GA_PAGES_PER_ARENA - arena_page(addr));
    size_t n = 1, left = npages - 1, array = offsetof(struct heap_arena, seam);
    addr += GA_PAGE_SIZE; /* a seam at the very start is no matter */
    for (struct bits_walk at; bits_next(m, array, &addr, &left, &at);) {
        if ((*at.word & at.mask) != 0)
            return n + ga_ctz64(*at.word & at.mask) - ga_ctz64(at.mask);
        n += ga_popcount64(at.mask);
    }
    return n;
}

bool arena_has_seams(const struct arena_map *m, uintptr_t addr, size_t npages) {
    size_t array = offsetof(struct heap_arena, seam);
    if (m->nseams == 0)
        return false;
    for (struct bits_walk at; bits_next(m, array, &addr, &npages, &at);)
        if ((*at.word & at.mask) != 0)
            return true;
    return false;
}

void arena_set_seam(struct arena_map *m, uintptr_t addr) {
    struct heap_arena *ha = arena_of(m, addr);
    if (ha == NULL || arena_page(addr) == 0)
        return;
    uint64_t *w = &ha->seam[arena_page(addr) >> 6], bit = (uint64_t)1 << (arena_page(addr) & 63);
    m->nseams += (*w & bit) == 0;
    *w |= bit;
}

void arena_set_mapping(struct arena_map *m, uintptr_t addr, size_t npages) {
    size_t array = offsetof(struct heap_arena, seam), left = npages;
    uintptr_t a = addr;
    for (struct bits_walk at; bits_next(m, array, &a, &left, &at);) {
        m->nseams -= ga_popcount64(*at.word & at.mask);
        *at.word &= ~at.mask;
    }
    arena_set_seam(m, addr);
    arena_set_seam(m, addr + (npages << GA_PAGE_SHIFT));
}

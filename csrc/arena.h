/* arena: the address space of a heap, 64 MiB at a time, and what is known about an address.
 *
 * The arena map is one flat array, indexed by address / 64 MiB (Go's L1 bits 0, L2 bits 22 on
 * 64-bit Linux): address space only, the system backs the few pages that are used.  An entry points
 * to a heap_arena, the metadata of that arena, or to `none`: then the address is not ours.  That is
 * a heap_arena of zeros, in which the hot path finds no class that it serves, so it need not ask;
 * the map lies behind it, and an entry is a distance from it, 0 for none.
 *
 * Per arena:
 *   pageclass   a byte per page: the span class of the small-object span on it, GA_PAGE_TINY, or 0
 *               (large object, free, manual, never used).  Two loads take free() from a pointer to
 *               its class.
 *   bitmap      the heap bitmap, a bit per 16 bytes: set on the first granule of each live block
 *               but those that have a special (special.h).
 *               No division finds it, an interior pointer never finds a set bit.  Of the two halves
 *               bitmap[1] is for blocks that start 8 bytes into a granule: every other of class 1.
 *   spans       a pointer per page.  Go's rule: a span in use or manual, every page; a free span,
 *               its first and last page only (inner entries are stale); never used, NULL.
 *   released    a bit per page: free, and given back to the system.
 *   seam        a bit per page: a mapping of the kernel's may begin here, other than at the start
 *               of an arena.  os_move makes them, os_renew removes them, and os_move wants to know
 *               them.
 *   huge        a bit per GA_HUGE_SIZE: the kernel may make it a huge page (huge.h).
 *   page_in_use a bit on the first page of each span in use.
 *   page_was    a byte per page of a freed span: what it was, to name a misuse exactly.
 *
 * Layouts.  Sparse (Go 1.11+): arenas wherever hints find room, the arrays inside heap_arena.
 * Linear (Go <= 1.10): one reservation `spans | pageclass | page_was | bitmap[1] | bitmap[0]
 * | gap | arena`; the arrays of all arenas are slices of it, one subtraction finds an entry, the
 * bitmap grows down from the gap.  When the reservation can't be had or is full, sparse arenas take
 * over.
 *
 * Lock: mheap.lock to change the map; reading needs none (entries are published with release and
 * never taken back while the heap lives). */
#ifndef GA_ARENA_H
#define GA_ARENA_H

#include <stdatomic.h>

#include "fixalloc.h"
#include "mspan.h"

#define GA_PAGE_TINY ((uint8_t)GA_NUM_SPAN_CLASSES) /* pageclass of a tiny span */
#define GA_NUM_PAGE_CLASSES (GA_PAGE_TINY + 1)
#define GA_WAS_LARGE 255                            /* page_was: first page of a large object */
#define GA_WAS_LARGE_TAIL 254

enum arena_layout { LAYOUT_SPARSE, LAYOUT_LINEAR };
enum huge_pages { HUGE_OFF, HUGE_DENSE, HUGE_ALL }; /* what is asked for; see huge.h */

struct heap_arena {
    uintptr_t start;
    _Atomic size_t reserved; /* bytes from start that are ours: not all of it under RLIMIT_AS */
    size_t mapped;           /* bytes that have become Ready */
    bool linear;
    uint8_t *pageclass;
    uint8_t *page_was;
    struct mspan **spans;
    uint64_t *bitmap[2];  /* word i of the arena is bitmap[][i ^ bitmap_flip] */
    intptr_t bitmap_flip; /* 0 upwards, -1 downwards */
    uint64_t page_in_use[GA_PAGES_PER_ARENA / 64];
    uint64_t released[GA_PAGES_PER_ARENA / 64];
    uint64_t seam[GA_PAGES_PER_ARENA / 64];
    _Atomic uint32_t huge; /* changed with the lock, read without */
    /* A sparse arena's own arrays; never touched, so never backed, in a linear one. */
    uint8_t own_pageclass[GA_PAGES_PER_ARENA];
    uint8_t own_page_was[GA_PAGES_PER_ARENA];
    struct mspan *own_spans[GA_PAGES_PER_ARENA];
    /* Aligned, so that threads at work in different pages never write to one line. */
    uint64_t own_bitmap[2][GA_BITMAP_WORDS] GA_ALIGNED(GA_CACHE_LINE);
};

struct arena_hint {
    uintptr_t addr;
    bool down; /* grow downwards from addr */
    struct arena_hint *next;
};

/* The one reservation of the linear layout; size 0: there is none. */
struct linear_window {
    uintptr_t start; /* of the arena part, 64 MiB aligned */
    size_t size;     /* of the arena part */
    _Atomic size_t mapped; /* bytes from start whose tables are there; read without the lock */
    uint8_t *pageclass, *page_was;
    struct mspan **spans;
    /* word i of the window is bitmap_end[][-1 - i]; nothing of ours, and no access, is in the
     * GA_LINEAR_GAP bytes between [0] and start */
    uint64_t *bitmap_end[2];
    void *memory;
    size_t nbytes;
};

GA_INLINE size_t linear_mapped(const struct linear_window *w) {
    return atomic_load_explicit(&w->mapped, memory_order_relaxed);
}

struct arena_map {
    struct heap_arena *none; /* never written to; the map is behind it */
    struct linear_window linear;
    struct os *os;
    struct fixalloc hintalloc;
    struct arena_hint *hints;
    uintptr_t cur_base, cur_end; /* curArena: reserved, not yet mapped */
    struct heap_arena **all;     /* in the order they were made */
    size_t nall;
    uint64_t meta_bytes; /* Ready bytes of heap_arenas and linear tables */
    size_t nseams;       /* bits */
    enum huge_pages huge;
    bool huge_unasked;   /* the system makes huge pages of whatever it can */
    uint64_t map_bytes;  /* bytes of the map that hold entries, by whole pages of the system */
};

/* Of none: whole pages of any system (GA_LINEAR_GAP is one), so that those of the map behind it can
 * be counted. */
#define GA_ARENA_NONE_BYTES ((sizeof(struct heap_arena) + GA_LINEAR_GAP - 1) & ~(GA_LINEAR_GAP - 1))

/* False: out of memory.  A linear window that can't be had is not an error. */
bool arena_map_init(struct arena_map *m, struct os *os, struct persistentalloc *persistent,
                    enum arena_layout layout, size_t linear_bytes);
/* Sparse arenas to come are at random places.  Before there is one. */
void arena_map_scatter(struct arena_map *m, uint64_t seed);
void arena_map_destroy(struct arena_map *m);

/* A piece of address space that has just become Ready. */
struct arena_piece {
    uintptr_t base;
    size_t nbytes;
};
/* Makes nbytes (a multiple of the page) contiguous bytes Ready: pieces[0].  If that left a rest of
 * the former arena behind, it is pieces[1] (else 0 bytes).  False: out of memory, and pieces[0] has
 * 0 bytes; the former arena's rest may be there all the same. */
bool arena_map_grow(struct arena_map *m, size_t nbytes, struct arena_piece pieces[2]);

GA_INLINE _Atomic(uintptr_t) *arena_distance(struct heap_arena *none, uintptr_t i) {
    return (_Atomic(uintptr_t) *)((uintptr_t)none + GA_ARENA_NONE_BYTES) + i;
}
/* By its place in the map; none where there is none. */
GA_INLINE struct heap_arena *arena_or_none(const struct arena_map *m, uintptr_t i) {
    struct heap_arena *none = m->none; /* read once: the map is read with acquire */
    uintptr_t distance = atomic_load_explicit(arena_distance(none, i), memory_order_acquire);
    return (struct heap_arena *)((uintptr_t)none + distance);
}
GA_INLINE struct heap_arena *arena_of(const struct arena_map *m, uintptr_t addr) {
    uintptr_t i = addr >> GA_ARENA_SHIFT;
    if (GA_UNLIKELY(i >= GA_ARENA_MAP_LEN))
        return NULL;
    struct heap_arena *ha = arena_or_none(m, i);
    return GA_LIKELY(ha != m->none) ? ha : NULL;
}
/* Page of an address within its arena. */
GA_INLINE size_t arena_page(uintptr_t addr) { return (addr & GA_ARENA_MASK) >> GA_PAGE_SHIFT; }

/* Which word of its half an address belongs to, in an arena whose bitmap grows up. */
GA_INLINE intptr_t heap_bits_index(uintptr_t addr) {
    return (intptr_t)((addr & GA_ARENA_MASK) >> (GA_GRANULE_SHIFT + 6));
}
GA_INLINE uint64_t *heap_bits_word(const struct heap_arena *ha, uintptr_t addr) {
    return &ha->bitmap[addr >> 3 & 1][heap_bits_index(addr) ^ ha->bitmap_flip];
}
GA_INLINE uint64_t heap_bits_mask(uintptr_t addr) {
    return (uint64_t)1 << (addr >> GA_GRANULE_SHIFT & 63);
}
GA_INLINE bool heap_bits_live(const struct heap_arena *ha, uintptr_t addr) {
    return __atomic_load_n(heap_bits_word(ha, addr), __ATOMIC_RELAXED) & heap_bits_mask(addr);
}
/* One bit of a word of the heap bitmap, the one of `granule`, an address / 16 of which only the low
 * six bits count.  shared: others may be changing other bits of the word right now. */
GA_INLINE void heap_word_set(uint64_t *w, uintptr_t granule, bool shared) {
    if (shared) {
        __atomic_fetch_or(w, (uint64_t)1 << (granule & 63), __ATOMIC_RELAXED);
        return;
    }
    uint64_t word = *w;
    ga_set_bit(&word, granule);
    *w = word;
}
/* Returns whether it was set. */
GA_INLINE bool heap_word_clear(uint64_t *w, uintptr_t granule, bool shared) {
    if (shared) {
        uint64_t bit = (uint64_t)1 << (granule & 63);
        return __atomic_fetch_and(w, ~bit, __ATOMIC_RELAXED) & bit;
    }
    uint64_t word = *w;
    if (GA_UNLIKELY(!ga_test_and_clear(&word, granule)))
        return false;
    *w = word;
    return true;
}
GA_INLINE void heap_bits_set(const struct heap_arena *ha, uintptr_t addr, bool shared) {
    heap_word_set(heap_bits_word(ha, addr), addr >> GA_GRANULE_SHIFT, shared);
}
GA_INLINE bool heap_bits_clear(const struct heap_arena *ha, uintptr_t addr, bool shared) {
    return heap_word_clear(heap_bits_word(ha, addr), addr >> GA_GRANULE_SHIFT, shared);
}

/* Where the span of a page stands, if the address is in an arena. */
GA_INLINE struct mspan **arena_span_entry(const struct heap_arena *ha, uintptr_t addr) {
    return &ha->spans[arena_page(addr)];
}
/* The span that a page belongs to, if addr's entry is valid (see the rule above); else NULL. */
GA_INLINE struct mspan *arena_span_of(const struct arena_map *m, uintptr_t addr) {
    const struct heap_arena *ha = arena_of(m, addr);
    return GA_LIKELY(ha != NULL) ? *arena_span_entry(ha, addr) : NULL;
}
/* Is addr in a range that was reserved for this map? */
bool arena_is_ours(const struct arena_map *m, uintptr_t addr);

/* Sets the entries that the rule asks for; class is written to pageclass of every page of a span in
 * use or manual, and what it was to page_was when it is freed. */
void arena_set_span(struct arena_map *m, struct mspan *s, uint8_t class);
/* The same for the pages of s from address `from` on, the others being set already. */
void arena_extend_span(struct arena_map *m, struct mspan *s, uintptr_t from, uint8_t class);
void arena_set_free_span(struct arena_map *m, struct mspan *s);
void arena_mark_freed(struct arena_map *m, const struct mspan *s, uint8_t was, uint8_t was_tail);

/* The released bits of npages pages from addr on. */
size_t arena_count_released(const struct arena_map *m, uintptr_t addr, size_t npages);
/* The highest stretch of pages in [addr, end) that are not released, the upper max_pages of it:
 * [*low, *high).  False: all are released. */
bool arena_highest_kept(const struct arena_map *m, uintptr_t addr, uintptr_t end, size_t max_pages,
                        uintptr_t *low, uintptr_t *high);
void arena_set_released(struct arena_map *m, uintptr_t addr, size_t npages, bool released);

/* Pages from addr on that are released, up to the first that is not, npages at most. */
size_t arena_released_from(const struct arena_map *m, uintptr_t addr, size_t npages);

/* Pages from addr on that are in one mapping for sure, npages at most. */
size_t arena_unseamed(const struct arena_map *m, uintptr_t addr, size_t npages);
bool arena_has_seams(const struct arena_map *m, uintptr_t addr, size_t npages);
void arena_set_seam(struct arena_map *m, uintptr_t addr);
/* npages pages from addr on are one mapping, whatever is beside them. */
void arena_set_mapping(struct arena_map *m, uintptr_t addr, size_t npages);

#endif

/* goalloc: Go's memory allocator (1.11-1.13) in C, with an explicit free.
 *
 * The data structures, from the operating system up:
 *
 *   os          reserves, maps and gives back address space
 *   fixalloc    free lists of our own fixed-size structures, over persistentalloc
 *   arena       64 MiB of address space and what is known about each page of it and each block:
 *               span, size class, live bit; the arena map finds it by address
 *   mspan       a run of 8 KiB pages, free or cut into slots of one size class
 *   mheap       all pages: free runs in a treap by best fit
 *   mcentral    the spans of one span class (size class and noscan), shared; the fullest goes first
 *   mcache      free slots and a span per span class, owned by an interpreter or a thread: no locks
 *
 * Allocating a small block (up to 32 KiB) goes up this hierarchy only as far as it must:
 *
 *   1. Round the size up to its size class; pop a free slot from the store of that class in the
 *      mcache and set its bit in the heap bitmap.  No lock, no atomic, no search: store_pop.
 *   2. The store is empty: take a batch of free slots from the span that the mcache has of this
 *      class, by scanning its allocation bitmap 64 slots at a time.  One lock for the batch.
 *   3. The span is full: take another with room from the mcentral's nonempty list.
 *   4. There is none: get a run of pages from the mheap, the smallest that fits, and cut it.
 *   5. No run is large enough: make at least 1 MiB more of the current arena usable, or reserve
 *      another arena.
 *
 * Freeing it goes the other way:
 *
 *   1. The arena map and a byte per page lead from the pointer to its size class.  Its bit in the
 *      heap bitmap must be set, which proves that it is live; clear it and push the slot on the
 *      store of the class: store_push.
 *   2. The store is full: give the older half of it back to the spans, one lock for all.
 *   3. A span has all its slots back: the mcentral keeps a few of those; the next goes to the
 *      mheap.
 *   4. The mheap merges it with free neighbours.
 *
 * What was not needed for a while goes back to the system: a thread that the calls above know
 * nothing of ages caches and centrals, and scavenges free runs and vacant pages inside spans
 * (scavenger.h).
 *
 * Large blocks go straight to the mheap and back; they grow where they are, or move by page tables
 * (large.h).  Noscan blocks below 16 bytes share slots
 * (tiny.h).
 *
 * Sampling hangs on the slow half of step 1 of malloc: the store's countdown of blocks.  A sampled
 * block is in the profile (profile.h) and has a special (special.h); its bit in the heap bitmap is
 * clear while it lives, so free and realloc come to their slow halves with it and with no other
 * block.
 *
 * This file: the entry points, what a pointer is that is not a live block, and a heap as a
 * whole. */
#include "malloc.h"

#include <stdio.h>
#include <string.h>

#include "fatal.h"
#include "large.h"

/* ---- malloc --------------------------------------------------------------------------------- */

/* The largest power of two that a C object of size < 16 can need. */
static size_t natural_align(size_t size) { return size == 0 ? 1 : (size_t)1 << ga_log2(size); }

/* A sampled request shares no block: its special would end with the first part that is freed. */
static void *malloc_tiny_sampled(struct mcache *c) {
    void *p = mcache_pop_sampled(c, make_spanclass(size_to_class(GA_TINY_SIZE), true));
    if (p != NULL)
        mcache_count_bytes(c, GA_TINY_SIZE);
    return p;
}

static void *malloc_tiny(struct mheap *h, struct mcache *c, size_t size, size_t align) {
    void *own;
    mcache_count_guard(c);
    if (GA_UNLIKELY(c->next_sample < GA_TINY_SIZE) && (own = malloc_tiny_sampled(c)) != NULL)
        return own;
    uint64_t blocks = c->tiny.blocks;
    void *p = tiny_alloc(h, &c->tiny, &c->central[GA_TINY_CENTRAL], c, size, align);
    if (c->tiny.blocks != blocks) {
        mcache_count_bytes(c, GA_TINY_SIZE);
        mcache_obey(c);
    }
    return p;
}

static void *malloc_large(struct mheap *h, struct mcache *c, size_t size, size_t align, bool noscan,
                          bool *needzero) {
    struct mspan *s = large_alloc(h, size, align, noscan);
    if (s == NULL)
        return NULL;
    *needzero = s->needzero;
    void *p = (void *)s->start_addr;
    mcache_count_guard(c);
    if (!mcache_count_bytes(c, s->elemsize) || !mcache_sample(c, p, s->elemsize))
        heap_bits_set(arena_of(&h->map, s->start_addr), s->start_addr, true);
    return p;
}

static void *malloc_small(struct mcache *c, spanclass_t spc) {
    uintptr_t granule = store_pop(c, spc, c->shared);
    return GA_LIKELY(granule != 0) ? (void *)granule_addr(granule) : mcache_pop_slow(c, spc);
}

/* needzero: false only if the memory is known to be zero. */
static void *malloc_in(struct mheap *h, struct mcache *c, size_t size, bool noscan,
                       bool *needzero) {
    *needzero = true;
    if (GA_UNLIKELY(size > GA_MAX_SMALL_SIZE))
        return malloc_large(h, c, size, 1, noscan, needzero);
    if (noscan && size < GA_TINY_SIZE)
        return malloc_tiny(h, c, ga_max(size, 1), natural_align(size));
    return malloc_small(c, make_spanclass(size_to_class(size), noscan));
}

static void enter(struct mcache *c) {
    if (c->shared)
        mcache_enter(c);
}

static void leave(struct mcache *c) {
    if (c->shared)
        mcache_leave(c);
}

void *ga_malloc(struct mheap *h, struct mcache *c, size_t size, bool noscan) {
    bool needzero;
    enter(c);
    void *p = malloc_in(h, c, size, noscan, &needzero);
    leave(c);
    return p;
}

void *ga_calloc(struct mheap *h, struct mcache *c, size_t nmemb, size_t size, bool noscan) {
    size_t nbytes;
    if (__builtin_mul_overflow(nmemb, size, &nbytes))
        return NULL;
    bool needzero;
    enter(c);
    void *p = malloc_in(h, c, nbytes, noscan, &needzero);
    leave(c);
    if (p != NULL && needzero)
        memset(p, 0, nbytes);
    return p;
}

/* The first class for size whose slots all lie on multiples of align; 0: none. */
static unsigned aligned_class(size_t size, size_t align) {
    if (ga_max(size, align) > GA_MAX_SMALL_SIZE || align > GA_PAGE_SIZE)
        return 0;
    unsigned sizeclass = size_to_class(ga_max(size, align));
    while (sizeclass < GA_NUM_SIZE_CLASSES && class_to_size[sizeclass] % align != 0)
        sizeclass++;
    return sizeclass < GA_NUM_SIZE_CLASSES ? sizeclass : 0;
}

void *ga_memalign(struct mheap *h, struct mcache *c, size_t align, size_t size, bool noscan) {
    if (!ga_is_pow2(align))
        return NULL;
    bool needzero;
    void *p;
    enter(c);
    unsigned sizeclass = aligned_class(size, align);
    if (noscan && size < GA_TINY_SIZE && align <= 8)
        p = malloc_tiny(h, c, ga_max(size, 1), align);
    else if (sizeclass != 0)
        p = malloc_small(c, make_spanclass(sizeclass, noscan));
    else
        p = malloc_large(h, c, ga_max(size, 1), align, noscan, &needzero);
    leave(c);
    return p;
}

/* ---- blocks with specials ------------------------------------------------------------------- */

/* addr: where a block may start. */
static bool is_live(struct mheap *h, const struct heap_arena *ha, uintptr_t addr) {
    return heap_bits_live(ha, addr) || specials_has(&h->specials, addr);
}

/* The block at p, whose bit is clear, loses its special.  False: it has none, so it is not live. */
static bool end_special(struct mheap *h, void *p, uint32_t *record) {
    return h->profile != NULL &&
           profile_free(h->profile, &h->specials, (uintptr_t)p, SPECIAL_PROFILE, record);
}

/* The block lives on after all.  False: no memory; then it is one like any other. */
static bool renew_special(struct mheap *h, void *p, uint32_t record) {
    return profile_keep(h->profile, &h->specials, (uintptr_t)p, SPECIAL_PROFILE, record);
}

/* The block at p is live no more.  False: it was not. */
static bool end_block(struct mheap *h, const struct heap_arena *ha, void *p, bool shared) {
    uint32_t record;
    return heap_bits_clear(ha, (uintptr_t)p, shared) || end_special(h, p, &record);
}

/* ---- free ----------------------------------------------------------------------------------- */

static enum misuse free_large(struct mheap *h, const struct heap_arena *ha, void *p) {
    struct mspan *s = mheap_span_of_heap(h, (uintptr_t)p);
    if (s == NULL || spanclass_sizeclass(s->spanclass) != 0 || s->start_addr != (uintptr_t)p ||
        !end_block(h, ha, p, true))
        return MISUSE_UNALLOCATED;
    large_free(h, s);
    return MISUSE_NONE;
}

/* A block of a class that c has no open store for, or whose store keeps none: it goes straight to
 * its span. */
static enum misuse free_direct(struct mheap *h, struct mcache *c, const struct heap_arena *ha,
                               spanclass_t spc, void *p) {
    bool served = c->cold[spc].cap != 0;
    if (!served && !spanclass_noscan(spc))
        return MISUSE_DOMAIN; /* its bit belongs to a GIL that the caller need not have */
    if ((uintptr_t)p % 8 != 0 || !end_block(h, ha, p, !served || c->shared))
        return MISUSE_UNALLOCATED;
    CLIENT_FREED(p, store_elemsize(spc));
    mcentral_put(h, &p, 1);
    return MISUSE_NONE;
}

static bool push(struct mcache *c, const struct heap_arena *ha, uint8_t class, void *p) {
    uintptr_t addr = (uintptr_t)p;
    return addr % 8 == 0 &&
           store_push(c, class, heap_bits_word(ha, addr), granule_of(addr), c->shared);
}

/* A block with a special becomes one like any other, and goes the same way. */
static bool push_special(struct mheap *h, struct mcache *c, const struct heap_arena *ha,
                         uint8_t class, void *p) {
    uint32_t record;
    if (!end_special(h, p, &record))
        return false;
    heap_bits_set(ha, (uintptr_t)p, c->shared);
    return push(c, ha, class, p);
}

static GA_NOINLINE enum misuse free_slow(struct mheap *h, struct mcache *c,
                                         const struct heap_arena *ha, uint8_t class, void *p) {
    if (class == GA_PAGE_TINY) {
        mheap_mark_active(h);
        mcache_obey(c); /* before the look at the span: if p is not live, the span may go here */
        struct mspan *s = mheap_span_of_heap(h, (uintptr_t)p);
        return s != NULL && tiny_free(h, &c->tiny, s, (uintptr_t)p) ? MISUSE_NONE
                                                                    : MISUSE_UNALLOCATED;
    }
    if (class < 2)
        return free_large(h, ha, p);
    if (mcache_is_closed(c, class))
        return free_direct(h, c, ha, class, p);
    if (mcache_keeps_none(c, class)) {
        enum misuse why = free_direct(h, c, ha, class, p);
        c->cold[class].singles += why == MISUSE_NONE;
        return why;
    }
    if (c->top[class] == c->limit[class])
        mcache_overflow(c, class);
    return push(c, ha, class, p) || push_special(h, c, ha, class, p) ? MISUSE_NONE
                                                                    : MISUSE_UNALLOCATED;
}

/* Anything but MISUSE_NONE here only says that p is not a live block; misuse_of says what it is. */
static enum misuse free_in(struct mheap *h, struct mcache *c, void *p) {
    const struct heap_arena *ha = arena_of(&h->map, (uintptr_t)p);
    if (GA_UNLIKELY(ha == NULL))
        return MISUSE_FOREIGN;
    uint8_t class = ha->pageclass[arena_page((uintptr_t)p)];
    if (GA_LIKELY(push(c, ha, class, p)))
        return MISUSE_NONE;
    return free_slow(h, c, ha, class, p);
}

enum misuse ga_free(struct mheap *h, struct mcache *c, void *p) {
    enter(c);
    enum misuse why = free_in(h, c, p);
    leave(c);
    return why == MISUSE_NONE ? why : misuse_of(h, c, p);
}

/* ---- realloc -------------------------------------------------------------------------------- */

/* Bytes that p may use; 0: not a live block. */
static size_t live_size(struct mheap *h, struct mcache *c, void *p) {
    uintptr_t addr = (uintptr_t)p;
    const struct heap_arena *ha = arena_of(&h->map, addr);
    if (ha == NULL)
        return 0;
    uint8_t class = ha->pageclass[arena_page(addr)];
    if (class >= 2 && class != GA_PAGE_TINY) {
        if (addr % 8 != 0 || (!spanclass_noscan(class) && c->cold[class].cap == 0))
            return 0;
        if (!is_live(h, ha, addr))
            return 0;
        return store_elemsize(class);
    }
    struct mspan *s = mheap_span_of_heap(h, addr);
    if (s == NULL)
        return 0;
    if (class == GA_PAGE_TINY) /* a part ends where the next begins, which nobody wrote down */
        return tiny_is_live(s, addr) ? GA_TINY_SIZE - addr % GA_TINY_SIZE : 0;
    return addr == s->start_addr && is_live(h, ha, addr) ? s->elemsize : 0;
}

/* Of p in one of our arenas; below 2 it is a block of its own pages. */
static uint8_t class_of_page(struct mheap *h, const void *p) {
    return arena_of(&h->map, (uintptr_t)p)->pageclass[arena_page((uintptr_t)p)];
}

static bool is_tiny(struct mheap *h, const void *p) { return class_of_page(h, p) == GA_PAGE_TINY; }

size_t ga_usable_size(struct mheap *h, struct mcache *c, void *p, enum misuse *why) {
    enter(c);
    size_t size = live_size(h, c, p), part = 0;
    if (size != 0 && size <= GA_TINY_SIZE && is_tiny(h, p))
        part = tiny_part_size(&c->tiny, mheap_span_of_heap(h, (uintptr_t)p), (uintptr_t)p);
    leave(c);
    if (part != 0)
        size = part;
    *why = size != 0 ? MISUSE_NONE : misuse_of(h, c, p);
    return size;
}

static void *realloc_copy(struct mheap *h, struct mcache *c, void *p, size_t size, bool noscan,
                          size_t usable, bool tiny) {
    bool needzero;
    void *q = malloc_in(h, c, size, noscan, &needzero);
    if (q == NULL) /* to shrink needs no memory */
        return size <= usable && !tiny ? p : NULL;
    memmove(q, p, ga_min(usable, size)); /* two parts of a block: usable reaches into q */
    free_in(h, c, p);
    return q;
}

/* A block of its own pages, resized in place or moved to others.  A special must be gone before its
 * block is: the address may then be another's. */
static void *realloc_large(struct mheap *h, struct mcache *c, void *p, size_t size, bool noscan) {
    const struct heap_arena *ha = arena_of(&h->map, (uintptr_t)p);
    struct mspan *s = mheap_span_of_heap(h, (uintptr_t)p);
    size_t before = s->elemsize;
    uint32_t record;
    bool special = !heap_bits_live(ha, (uintptr_t)p) && end_special(h, p, &record);
    if (special)
        heap_bits_set(ha, (uintptr_t)p, true);
    bool done = large_resize(h, s, size, noscan) || (s = large_move(h, s, size, noscan)) != NULL;
    void *q = done ? (void *)s->start_addr : NULL;
    bool another = done && s->elemsize != before; /* a block of another size is another block */
    if (another) {
        mcache_count_guard(c);
        special = mcache_count_bytes(c, s->elemsize) && mcache_sample(c, q, s->elemsize);
    } else if (special) {
        special = renew_special(h, p, record);
    }
    if (special) {
        uintptr_t addr = (uintptr_t)(done ? q : p);
        heap_bits_clear(arena_of(&h->map, addr), addr, true);
    }
    return q;
}

void *ga_realloc(struct mheap *h, struct mcache *c, void *p, size_t size, bool noscan,
                 enum misuse *why) {
    *why = MISUSE_NONE;
    enter(c);
    size_t usable = live_size(h, c, p);
    /* What a part takes up is not known beyond its neighbour's start, so a part never grows. */
    bool tiny = usable != 0 && usable <= GA_TINY_SIZE && is_tiny(h, p);
    void *q;
    if (usable != 0 && size >= GA_CUT_MIN && class_of_page(h, p) < 2)
        q = realloc_large(h, c, p, size, noscan);
    else if (usable == 0 || (realloc_fits(usable, size) && !tiny))
        q = usable != 0 ? p : NULL;
    else
        q = realloc_copy(h, c, p, size, noscan, usable, tiny);
    leave(c);
    if (usable == 0)
        *why = misuse_of(h, c, p);
    return q;
}

/* ---- misuse --------------------------------------------------------------------------------- */

/* p lies in a span of small slots, in use. */
static enum misuse misuse_in_slots(struct mheap *h, const struct mspan *s, uintptr_t addr) {
    if (addr >= mspan_limit(s))
        return MISUSE_UNALLOCATED;
    unsigned i = mspan_objindex(s, addr - s->start_addr);
    uintptr_t slot = s->start_addr + (size_t)i * s->elemsize;
    const struct heap_arena *ha = arena_of(&h->map, slot); /* it may begin in the arena before */
    if (s->tiny_parts != NULL) {
        if (tiny_is_live(s, addr))
            return MISUSE_NONE;
        if (tiny_was_live(s, addr))
            return MISUSE_DOUBLE_FREE;
    } else if (addr == slot) {
        if (is_live(h, ha, addr))
            return MISUSE_NONE;
        return i < s->nfresh ? MISUSE_DOUBLE_FREE : MISUSE_UNALLOCATED;
    }
    return is_live(h, ha, slot) ? MISUSE_INTERIOR : MISUSE_UNALLOCATED;
}

/* p lies on a page that is in no span in use; page_was says what stood there last. */
static enum misuse misuse_on_free_page(const struct heap_arena *ha, uintptr_t addr) {
    uint8_t was = ha->page_was[arena_page(addr)];
    size_t offset = addr & (GA_PAGE_SIZE - 1);
    if (was == GA_WAS_LARGE)
        return offset == 0 ? MISUSE_DOUBLE_FREE : MISUSE_UNALLOCATED;
    if (was == GA_WAS_LARGE_TAIL || was == 0)
        return MISUSE_UNALLOCATED;
    unsigned sizeclass = was == GA_PAGE_TINY ? 2 : spanclass_sizeclass(was);
    /* Of a span of several pages the start is no longer known: any granule may have been a slot. */
    size_t step = class_to_allocnpages[sizeclass] == 1 ? class_to_size[sizeclass] : 8;
    bool slot = offset % step == 0 && offset + step <= GA_PAGE_SIZE; /* not the tail */
    return was == GA_PAGE_TINY || slot ? MISUSE_DOUBLE_FREE : MISUSE_UNALLOCATED;
}

static enum misuse misuse_found(struct mheap *h, struct mcache *c, void *p) {
    uintptr_t addr = (uintptr_t)p;
    const struct heap_arena *ha = arena_of(&h->map, addr);
    if (ha == NULL || !arena_is_ours(&h->map, addr))
        return MISUSE_FOREIGN;
    struct mspan *s = mheap_span_of_heap(h, addr);
    if (s == NULL) {
        s = arena_span_of(&h->map, addr); /* inside a free run perhaps a struct of elsewhere */
        bool manual = s != NULL && s->state == MSPAN_MANUAL &&
                      addr - s->start_addr < mspan_bytes(s);
        return manual ? MISUSE_UNALLOCATED : misuse_on_free_page(ha, addr);
    }
    if (spanclass_sizeclass(s->spanclass) != 0) {
        if (!spanclass_noscan(s->spanclass) && c->cold[s->spanclass].cap == 0)
            return MISUSE_DOMAIN;
        return misuse_in_slots(h, s, addr);
    }
    if (addr != s->start_addr)
        return MISUSE_INTERIOR;
    return is_live(h, ha, addr) ? MISUSE_NONE : MISUSE_DOUBLE_FREE;
}

/* While the world is stopped, free slots can be marked as if they were live (check.c). */
enum misuse misuse_of(struct mheap *h, struct mcache *c, void *p) {
    enter(c);
    enum misuse why = misuse_found(h, c, p);
    leave(c);
    return why;
}

int misuse_message(struct mheap *h, enum misuse why, const char *op, const void *p, char *buf,
                   size_t nbytes) {
    static const char *const what[] = {
        [MISUSE_NONE] = "live block",
        [MISUSE_DOUBLE_FREE] = "freed",
        [MISUSE_INTERIOR] = "interior pointer",
        [MISUSE_UNALLOCATED] = "unallocated pointer",
        [MISUSE_FOREIGN] = "foreign pointer",
        [MISUSE_DOMAIN] = "mem or obj block in the raw domain",
    };
    char head[96], tail[64] = "";
    if (why == MISUSE_DOUBLE_FREE && strcmp(op, "free") == 0)
        snprintf(head, sizeof head, "double free of 0x%zx", (size_t)(uintptr_t)p);
    else
        snprintf(head, sizeof head, "%s of %s 0x%zx", op, what[why], (size_t)(uintptr_t)p);
    struct mspan *s = why == MISUSE_FOREIGN ? NULL : mheap_span_of_heap(h, (uintptr_t)p);
    if (s != NULL)
        snprintf(tail, sizeof tail, " (block of %zu bytes, span class %u)", s->elemsize,
                 (unsigned)s->spanclass);
    return snprintf(buf, nbytes, "%s%s", head, tail);
}

void misuse_throw(struct mheap *h, enum misuse why, const char *op, const void *p) {
    char text[192];
    misuse_message(h, why, op, p, text, sizeof text);
    ga_throw("%s", text);
}

/* ---- a heap, all floors --------------------------------------------------------------------- */

bool heap_init(struct mheap *h, enum arena_layout layout, size_t linear_bytes) {
    if (!mheap_init(h, layout, linear_bytes != 0 ? linear_bytes : GA_LINEAR_SIZE_DEFAULT))
        return false;
    budget_init(&h->profile_budget, &h->persistent, GA_PROFILE_MEMORY_MAX);
    specials_init(&h->specials, &h->profile_budget);
    if ((h->central = mcentral_new_set(h)) != NULL && stack_init(h) && mcaches_init(h))
        return true;
    heap_destroy(h);
    return false;
}

void heap_destroy(struct mheap *h) {
    if (h->caches != NULL)
        mcaches_destroy(h);
    if (h->stacks != NULL)
        stack_destroy(h);
    mcentral_destroy_sets(h);
    specials_destroy(&h->specials);
    mheap_destroy(h);
}

static size_t heap_struct_bytes(void) { return ga_align_up(sizeof(struct mheap), os_page_size()); }

struct mheap *heap_new(enum arena_layout layout, size_t linear_bytes) {
    struct os os;
    os_init(&os);
    struct mheap *h = os_alloc(&os, heap_struct_bytes());
    if (h == NULL)
        return NULL;
    if (heap_init(h, layout, linear_bytes))
        return h;
    os_free(&os, h, heap_struct_bytes());
    return NULL;
}

void heap_delete(struct mheap *h) {
    heap_destroy(h);
    struct os os;
    os_init(&os);
    os_free(&os, h, heap_struct_bytes());
}

/* inspect: the state of a heap as flat arrays and sums, for displays, statistics and check().
 *
 * Every function stops the caches of the heap for its duration (mcache.h, world_stop), so what it
 * returns is one moment.  Nothing here allocates from the heap that it looks at. */
#ifndef GA_INSPECT_H
#define GA_INSPECT_H

#include "mheap.h"

/* Go's MemStats, and what the scavenger did.  sys = heap_sys + stack_sys + mspan_sys + mcache_sys +
 * buck_hash_sys + gc_sys + other_sys; heap_sys = heap_idle + heap_inuse; heap_objects = mallocs -
 * frees. */
struct memstats {
    uint64_t alloc, total_alloc, sys, mallocs, frees;
    uint64_t heap_alloc, heap_sys, heap_idle, heap_inuse, heap_released, heap_objects;
    uint64_t stack_inuse, stack_sys, mspan_inuse, mspan_sys, mcache_inuse, mcache_sys;
    uint64_t buck_hash_sys, gc_sys, other_sys;
    uint64_t inuse_released;  /* given back inside of spans in use: part of heap_inuse */
    uint64_t scavenged_bytes; /* given back so far without being asked for */
    uint64_t scavenge_ns;     /* how long the scavenger has worked */
    struct {
        uint64_t size, mallocs, frees;
    } by_size[GA_NUM_SIZE_CLASSES]; /* [0] is large objects: size 0 */
};

struct class_stats {
    uint32_t spanclass, sizeclass, noscan;
    uint64_t elem_size;  /* bytes per slot; class 0: 0 */
    uint64_t span_bytes; /* bytes per span; class 0: 0 */
    uint64_t spans;      /* spans in use */
    uint64_t capacity;   /* slots in them = live + free */
    uint64_t live;       /* slots that the program owns */
    uint64_t cached;     /* free slots waiting in stores of caches */
    uint64_t mallocs, frees;
    uint64_t live_bytes, free_bytes; /* elem_size * live, elem_size * free */
    uint64_t tail_bytes;             /* behind the last slot of each span */
};

struct span_info {
    uint64_t start, npages, elem_size;
    uint32_t state, spanclass, nelems, alloc_count /* live */, cached, free_index, needzero,
        scavenged;
    uint64_t bits; /* index of its first word in snapshot.bits: live slots, bit i = slot i */
    /* in use: which pages of the system in it are given back, from its start */
    uint32_t os_released;
    uint32_t os_page_size; /* bytes of such a page */
};

struct arena_info {
    uint64_t start, size, pages_in_use, pages_mapped;
    uint32_t linear;
};

struct snapshot {
    struct memstats memstats;
    struct class_stats classes[GA_NUM_SPAN_CLASSES];
    struct span_info *spans; /* by address: in use, manual and free */
    uint64_t nspans;
    uint64_t *bits;
    uint64_t nbits; /* words */
    struct arena_info *arenas;
    uint64_t narenas;
    uint64_t nanotime;
    void *memory; /* what holds the three arrays */
    size_t nbytes;
};

void inspect_memstats(struct mheap *h, struct memstats *out);
/* The same numbers by walking every span (Go's ReadMemStatsSlow). */
void inspect_memstats_slow(struct mheap *h, struct memstats *out);
void inspect_class_stats(struct mheap *h, struct class_stats out[GA_NUM_SPAN_CLASSES]);
/* False: out of memory. */
bool inspect_snapshot(struct mheap *h, struct snapshot *out);
/* Its heap may be gone by then. */
void inspect_snapshot_free(struct snapshot *s);
/* The span that an address lies in (in use, manual or free); false: none. */
bool inspect_span_of(struct mheap *h, uintptr_t addr, struct span_info *out,
                     uint64_t bits[GA_PAGE_SIZE / 8 / 64]);

/* The first span at or above addr, by address, in any state; wants the heap stopped and locked. */
struct mspan *inspect_next_span(struct mheap *h, uintptr_t addr);

/* Sets the bits of all blocks with specials in the heap bitmap, so that it says what is live, or
 * clears them again; wants the heap stopped and locked. */
void inspect_show_specials(struct mheap *h, bool show);

/* Walks the whole heap and proves every invariant.  Returns 0, or -1 with the first that does not
 * hold described in buf. */
int inspect_check(struct mheap *h, char *buf, size_t nbytes);

#endif

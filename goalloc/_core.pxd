"""Twins of the C headers: what _core.pyx uses of each, under the same names."""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t

cdef extern from "config.h" nogil:
    const uint64_t GA_GUARD_RATE_MAX
    const size_t GA_PAGE_SIZE
    const size_t GA_MAX_SMALL_SIZE
    const uint64_t GA_SAMPLE_RATE_MAX

cdef extern from "sizeclass.h" nogil:
    const unsigned GA_NUM_SIZE_CLASSES
    const unsigned GA_NUM_SPAN_CLASSES
    const uint16_t *class_to_size
    const uint8_t *class_to_allocnpages
    unsigned size_to_class(size_t n)

cdef extern from "os.h" nogil:
    struct os:
        uint64_t ncalls
        uint64_t fail_at
        bint fail_all
    uint64_t os_cgroup_memory_limit(const char *root)

cdef extern from "locations.h" nogil:
    struct text:
        const char *bytes
        uint32_t nbytes
    struct function:
        uint32_t name, file
        int32_t first_line
    struct location:
        uint32_t function
        int32_t line
    struct thread:
        uint64_t native_id
        uint32_t name
    struct locations:
        pass
    const text *locations_text(const locations *l, uint32_t id)
    const function *locations_function(const locations *l, uint32_t id)
    const location *locations_get(const locations *l, uint32_t id)
    const thread *locations_thread(const locations *l, uint32_t id)

cdef extern from "profile.h" nogil:
    struct profile:
        locations locations
    struct profile_stack:
        uint32_t n
        const uint32_t *locs
    struct profile_sample:
        uint64_t size, rate, allocs, frees, peak
        uint32_t stack, thread, domain
    struct profile_copy:
        uint64_t rate, time_ns, mark_ns, memory, dropped, dropped_locations
        uint32_t truncated, nsamples, nstacks, nlocations, nfunctions, nthreads
        profile_sample *samples
        size_t nblocks
        uintptr_t *blocks
        uint32_t *block_sample
    uint64_t profile_rate_now(const profile *p)
    # renamed: Python's own functions have these names
    void profile_reset_mark "profile_reset_peak" (profile *p)
    bint profile_read_all "profile_read" (profile *p, specials *t, bint blocks, profile_copy *out)
    const profile_stack *profile_stack_at(const profile *p, uint32_t number)
    void profile_copy_free(profile *p, profile_copy *c)

cdef extern from "mheap.h" nogil:
    enum arena_layout:
        LAYOUT_SPARSE
        LAYOUT_LINEAR
    struct mcentral:
        pass
    struct mcaches:
        uint64_t guard_rate
    struct scavenger:
        uint64_t delay
    struct specials:
        pass
    struct mheap:
        os os
        mcentral *central
        mcaches *caches
        scavenger *scavenger
        profile *profile
        specials specials
        uint64_t memory_limit
    uint64_t mheap_set_memory_limit(mheap *h, uint64_t nbytes)

cdef extern from "mcache.h" nogil:
    struct mcache:
        pass
    enum mcache_kind:
        MCACHE_HEAP
    mcache *mcache_new(mheap *h, mcache_kind kind, mcentral *central)
    uint64_t mcaches_set_sample_rate(mheap *h, uint64_t rate)

cdef extern from "malloc.h" nogil:
    enum misuse:
        MISUSE_NONE
    mheap *heap_new(arena_layout layout, size_t linear_bytes)
    void heap_delete(mheap *h)
    void *ga_malloc(mheap *h, mcache *c, size_t size, bint noscan)
    void *ga_calloc(mheap *h, mcache *c, size_t nmemb, size_t size, bint noscan)
    void *ga_memalign(mheap *h, mcache *c, size_t align, size_t size, bint noscan)
    void *ga_realloc(mheap *h, mcache *c, void *p, size_t size, bint noscan, misuse *why)
    misuse ga_free(mheap *h, mcache *c, void *p)
    size_t ga_usable_size(mheap *h, mcache *c, void *p, misuse *why)
    int misuse_message(mheap *h, misuse why, const char *op, const void *p, char *buf,
                       size_t nbytes)

cdef extern from "scavenger.h" nogil:
    const uint64_t GA_SCAVENGE_NEVER
    uint64_t scavenger_set_delay(mheap *h, uint64_t delay)
    size_t heap_free_os_memory(mheap *h)

cdef extern from "background.h" nogil:
    void background_poke()

cdef extern from "inspect.h" nogil:
    struct by_size_row: # has no name in C: only to be reached through memstats.by_size[i]
        uint64_t size, mallocs, frees
    struct memstats:
        uint64_t alloc, total_alloc, sys, mallocs, frees
        uint64_t heap_alloc, heap_sys, heap_idle, heap_inuse, heap_released, heap_objects
        uint64_t stack_inuse, stack_sys, mspan_inuse, mspan_sys, mcache_inuse, mcache_sys
        uint64_t buck_hash_sys, gc_sys, other_sys
        uint64_t inuse_released, scavenged_bytes, scavenge_ns
        by_size_row by_size[1]
    struct class_stats:
        uint32_t spanclass, sizeclass, noscan
        uint64_t elem_size, span_bytes, spans, capacity, live, cached, mallocs, frees
        uint64_t live_bytes, free_bytes, tail_bytes
    struct span_info:
        uint64_t bits
        uint32_t nelems
    struct arena_info:
        uint64_t start, size, pages_in_use, pages_mapped
        uint32_t linear
    struct snapshot:
        memstats memstats
        class_stats *classes
        span_info *spans
        uint64_t nspans
        uint64_t *bits
        uint64_t nbits
        arena_info *arenas
        uint64_t narenas
        uint64_t nanotime
    void inspect_memstats(mheap *h, memstats *out)
    void inspect_memstats_slow(mheap *h, memstats *out)
    void inspect_class_stats(mheap *h, class_stats *out)
    bint inspect_snapshot(mheap *h, snapshot *out)
    void inspect_snapshot_free(snapshot *s)
    bint inspect_span_of(mheap *h, uintptr_t addr, span_info *out, uint64_t *bits)
    int inspect_check(mheap *h, char *buf, size_t nbytes)

cdef extern from "settings.h" nogil:
    # renamed: Python's own functions have these names
    bint c_parse_bytes "parse_bytes" (const char *text, uint64_t *nbytes)
    bint c_parse_memory_limit "parse_memory_limit" (const char *text, uint64_t *nbytes)

cdef extern from "wrap.h" nogil:
    struct tally_sums: # arrays of one element for each span class
        uint64_t mallocs[1]
        uint64_t bytes[1]
        uint64_t frees
    void wrap_sums(tally_sums *out)

cdef extern from "pyhook.h" nogil:
    enum:
        PYHOOK_NONE
        PYHOOK_LAUNCH
        PYHOOK_IMPORT
        PYHOOK_WRAP
    mheap *pyhook_heap()
    int pyhook_mode()
    const char *pyhook_install(int wanted)
    void pyhook_uninstall()
    const char *pyhook_obstacle()
    const char *pyhook_set_guard_rate(mheap *h, uint64_t rate, uint64_t *before)

cdef extern from "goalloc_api.h" nogil:
    struct goalloc_api:
        pass
    const char *GOALLOC_CAPSULE
    const goalloc_api *goalloc_api_table()

/* See goalloc.h, which other extensions include, and goalloc_api.h.
 *
 * Callers are as those of the raw domain: any thread, GIL or not.  So they use the cache of the
 * thread, whose classes are all noscan: an ordinary block differs from a noscan one by never being
 * a part of a tiny block.  Caches are closed while Python is not served by goalloc after an
 * uninstall; the orphan cache, which is under a lock, serves then.
 *
 * Lock: that of the orphan cache, where it is used. */
#include "goalloc_api.h"

#include "pyhook_table.h"

#include <string.h>

static struct mheap *heap; /* set before anybody has the table */

static size_t least(size_t size, int noscan) { return ga_max(size, noscan ? 1 : GA_TINY_SIZE); }

/* What is ours and in no arena is guarded. */
static bool in_arena(const void *p) { return arena_is_ours(&heap->map, (uintptr_t)p); }

static bool is_noscan(const void *p) {
    struct mspan *s = mheap_span_of_heap(heap, (uintptr_t)p);
    return s != NULL && spanclass_noscan(s->spanclass);
}

/* Blocks of ours that are not noscan are Python's. */
static void expect_noscan(const void *p, enum ga_call call) {
    struct mspan *s = mheap_span_of_heap(heap, (uintptr_t)p);
    if (GA_UNLIKELY(s != NULL && !spanclass_noscan(s->spanclass) && pyhook.debug == NULL))
        domain_throw("mem or obj", p, DOMAIN_API, call);
}

/* ---- the functions -------------------------------------------------------------------------- */

GA_INLINE void *alloc_from(struct mcache *c, size_t align, size_t size, bool zero) {
    if (GA_UNLIKELY(pyhook.debug != NULL))
        return zero         ? debug_calloc(pyhook.debug, c, 1, size, DOMAIN_API)
               : align == 1 ? debug_malloc(pyhook.debug, c, size, DOMAIN_API)
                            : debug_memalign(pyhook.debug, c, align, size, DOMAIN_API);
    return zero         ? ga_calloc(heap, c, 1, size, true)
           : align == 1 ? ga_malloc(heap, c, size, true)
                        : ga_memalign(heap, c, align, size, true);
}

GA_INLINE void *alloc(size_t align, size_t size, bool zero) {
    struct mcache *c = thread_enter_slow();
    void *p = alloc_from(c, align, size, zero);
    bool guarded = mcache_take_guard(c);
    thread_leave_slow(c);
    if (GA_UNLIKELY(p == NULL)) { /* closed, or out of memory */
        c = orphan_enter();
        p = alloc_from(c, align, size, zero);
        guarded = mcache_take_guard(c);
        thread_leave_slow(c);
    }
    if (GA_UNLIKELY(guarded) && align <= GA_TINY_SIZE)
        p = pyhook_guard(DOMAIN_API, p, size, 0);
    return p;
}

static void *api_malloc(size_t size, int noscan) { return alloc(1, least(size, noscan), false); }

static void *api_calloc(size_t nmemb, size_t size, int noscan) {
    size_t nbytes;
    if (__builtin_mul_overflow(nmemb, size, &nbytes))
        return NULL;
    return alloc(1, least(nbytes, noscan), true);
}

static void *api_aligned_alloc(size_t align, size_t size) {
    return alloc(align == 1 ? 8 : align, least(size, 0), false);
}

static void *realloc_in(struct mcache *c, void *p, size_t size, enum misuse *why) {
    *why = MISUSE_NONE;
    return pyhook.debug != NULL ? debug_realloc(pyhook.debug, c, p, size, DOMAIN_API, RING_RAW)
                                : ga_realloc(heap, c, p, size, true, why);
}

static void *api_realloc(void *p, size_t size, int noscan) {
    if (p == NULL)
        return api_malloc(size, noscan);
    if (!pyhook_owns(p))
        misuse_throw(heap, MISUSE_FOREIGN, "realloc", p);
    if (GA_UNLIKELY(!in_arena(p))) {
        size_t had = pyhook_guard_size(DOMAIN_API, p, CALL_REALLOC);
        void *q = api_malloc(size, noscan);
        if (q != NULL) {
            memcpy(q, p, ga_min(had, size));
            pyhook_guard_free(DOMAIN_API, p, CALL_REALLOC);
        }
        return q;
    }
    expect_noscan(p, CALL_REALLOC);
    enum misuse why;
    struct mcache *c = thread_enter_slow();
    void *q = realloc_in(c, p, least(size, noscan), &why);
    bool guarded = mcache_take_guard(c);
    thread_leave_slow(c);
    if (GA_UNLIKELY(q == NULL && why == MISUSE_NONE)) {
        c = orphan_enter();
        q = realloc_in(c, p, least(size, noscan), &why);
        guarded = mcache_take_guard(c);
        thread_leave_slow(c);
    }
    if (GA_UNLIKELY(why != MISUSE_NONE))
        misuse_throw(heap, why, "realloc", p);
    return GA_UNLIKELY(guarded) ? pyhook_guard(DOMAIN_API, q, size, size) : q;
}

static void api_free(void *p) {
    if (p == NULL)
        return;
    if (!pyhook_owns(p))
        misuse_throw(heap, MISUSE_FOREIGN, "free", p);
    if (GA_UNLIKELY(!in_arena(p))) {
        pyhook_guard_free(DOMAIN_API, p, CALL_FREE);
        return;
    }
    expect_noscan(p, CALL_FREE);
    if (GA_UNLIKELY(pyhook.debug != NULL)) {
        struct mcache *c = thread_enter_slow();
        debug_free(pyhook.debug, c, p, DOMAIN_API, RING_RAW);
        thread_leave_slow(c);
    } else {
        pyhook_free_raw(p);
    }
}

/* A part of a block that another thread's cache goes on cutting, or 0: the caches are stopped for a
 * look. */
static size_t stopped_part_size(const struct mspan *s, const void *p) {
    size_t size = 0;
    world_stop(heap);
    for (struct mcache *c = heap->caches->first; c != NULL && size == 0; c = c->next)
        size = tiny_part_size(&c->tiny, s, (uintptr_t)p);
    world_start(heap);
    return size;
}

static size_t api_usable_size(const void *p) {
    enum ga_domain domain;
    if (guards_own(atomic_load(&heap->guards), p)) {
        size_t n = guard_peek(atomic_load(&heap->guards), p, &domain);
        return n != SIZE_MAX && domain == DOMAIN_API ? n : 0;
    }
    if (!is_noscan(p))
        return 0;
    if (GA_UNLIKELY(pyhook.debug != NULL))
        return debug_peek(pyhook.debug, (void *)p, DOMAIN_API);
    const struct mspan *s = mheap_span_of_heap(heap, (uintptr_t)p);
    enum misuse why;
    struct mcache *c = thread_enter_slow();
    size_t size = ga_usable_size(heap, c, (void *)p, &why);
    bool told =
        size == 0 || s->tiny_parts == NULL || tiny_part_size(&c->tiny, s, (uintptr_t)p) != 0;
    thread_leave_slow(c);
    return told ? size : stopped_part_size(s, p);
}

static int api_is_ours(const void *p) { return pyhook_owns(p); }

/* ---- the table ------------------------------------------------------------------------------ */

static const struct goalloc_api table = {
    .abi_version = GOALLOC_ABI_VERSION,
    .nbytes = sizeof(struct goalloc_api),
    .malloc = api_malloc,
    .calloc = api_calloc,
    .realloc = api_realloc,
    .free = api_free,
    .aligned_alloc = api_aligned_alloc,
    .usable_size = api_usable_size,
    .is_ours = api_is_ours,
};

const struct goalloc_api *goalloc_api_table(void) {
    heap = pyhook_heap();
    return heap == NULL ? NULL : &table;
}

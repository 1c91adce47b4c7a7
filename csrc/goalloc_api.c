/* See goalloc.h, which other extensions include, and goalloc_api.h.
 *
 * Callers are as those of the raw domain: any thread, GIL or not.  So they use the cache of the thread,
 * whose classes are all noscan: an ordinary block differs from a noscan one by never being a part of
 * a tiny block.  Caches are closed while Python is not served by goalloc after an uninstall; the orphan
 * cache, which is under a lock, serves then.
 *
 * Lock: that of the orphan cache, where it is used. */
#include "goalloc_api.h"

#include "pyhook_table.h"

static struct mheap *heap; /* set before anybody has the table */

static size_t least(size_t size, int noscan) { return ga_max(size, noscan ? 1 : GA_TINY_SIZE); }

static bool is_noscan(const void *p) {
    struct mspan *s = mheap_span_of_heap(heap, (uintptr_t)p);
    return s != NULL && spanclass_noscan(s->spanclass);
}

/* ---- the functions -------------------------------------------------------------------------- */

static void *api_malloc(size_t size, int noscan) {
    struct mcache *c = thread_enter_slow();
    void *p = ga_malloc(heap, c, least(size, noscan), true);
    thread_leave_slow(c);
    if (GA_UNLIKELY(p == NULL)) { /* closed, or out of memory */
        c = orphan_enter();
        p = ga_malloc(heap, c, least(size, noscan), true);
        thread_leave_slow(c);
    }
    return p;
}

static void *api_calloc(size_t nmemb, size_t size, int noscan) {
    size_t nbytes;
    if (__builtin_mul_overflow(nmemb, size, &nbytes))
        return NULL;
    struct mcache *c = thread_enter_slow();
    void *p = ga_calloc(heap, c, 1, least(nbytes, noscan), true);
    thread_leave_slow(c);
    if (GA_UNLIKELY(p == NULL)) {
        c = orphan_enter();
        p = ga_calloc(heap, c, 1, least(nbytes, noscan), true);
        thread_leave_slow(c);
    }
    return p;
}

static void *api_aligned_alloc(size_t align, size_t size) {
    struct mcache *c = thread_enter_slow();
    void *p = ga_memalign(heap, c, align, least(size, 0), true);
    thread_leave_slow(c);
    if (GA_UNLIKELY(p == NULL)) {
        c = orphan_enter();
        p = ga_memalign(heap, c, align, least(size, 0), true);
        thread_leave_slow(c);
    }
    return p;
}

static void *api_realloc(void *p, size_t size, int noscan) {
    if (p == NULL)
        return api_malloc(size, noscan);
    if (!pyhook_owns(p))
        misuse_throw(heap, MISUSE_FOREIGN, "realloc", p);
    enum misuse why;
    struct mcache *c = thread_enter_slow();
    void *q = ga_realloc(heap, c, p, least(size, noscan), true, &why);
    thread_leave_slow(c);
    if (GA_UNLIKELY(q == NULL && why == MISUSE_NONE)) {
        c = orphan_enter();
        q = ga_realloc(heap, c, p, least(size, noscan), true, &why);
        thread_leave_slow(c);
    }
    if (GA_UNLIKELY(why != MISUSE_NONE))
        misuse_throw(heap, why, "realloc", p);
    return q;
}

static void api_free(void *p) {
    if (p == NULL)
        return;
    if (!pyhook_owns(p))
        misuse_throw(heap, MISUSE_FOREIGN, "free", p);
    pyhook_free_raw(p);
}

static size_t api_usable_size(const void *p) {
    if (!is_noscan(p))
        return 0;
    enum misuse why;
    struct mcache *c = thread_enter_slow();
    size_t size = ga_usable_size(heap, c, (void *)p, &why);
    thread_leave_slow(c);
    return size;
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

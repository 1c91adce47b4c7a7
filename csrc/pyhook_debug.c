/* pyhook_debug: what stands in CPython's table instead of the functions of pyhook.c when
 * GOALLOC_DEBUG is set: the same by way of debug.c.  So those of pyhook.c know nothing of it, and
 * cost nothing.
 *
 * Lock: see debug.c and pyhook_install.c. */
#include "pyhook_table.h"

#include <string.h>

#include "inspect.h"

/* The ring of who has entered c. */
static enum debug_ring ring_of(PyMemAllocatorDomain domain, const struct mcache *c) {
    return domain == RAW ? RING_RAW : c == main_cache ? RING_MAIN : RING_NONE;
}

/* After each operation.  A check is for who holds the main GIL: he is where mem and obj are at
 * rest. */
static void count(PyMemAllocatorDomain domain) {
    if (!debug_count(pyhook.debug) || domain == RAW || !only_main_interpreter())
        return;
    char why[256];
    if (inspect_check(pyhook_heap(), why, sizeof why) != 0)
        ga_throw("the heap is damaged: %s", why);
    debug_check(pyhook.debug);
}

static void *previous_malloc(PyMemAllocatorDomain domain, size_t size) {
    pyhook_saw(domain);
    return pyhook.previous[domain].malloc(pyhook.previous[domain].ctx, size);
}

static void *checked_malloc(PyMemAllocatorDomain domain, size_t size) {
    if (!pyhook_is_serving(&pyhook))
        return previous_malloc(domain, size);
    struct mcache *c = pyhook_enter(domain);
    void *p = debug_malloc(pyhook.debug, c, size, (enum ga_domain)domain);
    pyhook_leave(domain, c);
    if (p == NULL && !pyhook_is_serving(&pyhook))
        return previous_malloc(domain, size);
    count(domain);
    return p;
}

static void *checked_calloc(PyMemAllocatorDomain domain, size_t nelem, size_t elsize) {
    pyhook_gap_announce(domain, nelem * elsize); /* an interpreter's does not overflow */
    void *p = NULL;
    if (pyhook_is_serving(&pyhook)) {
        struct mcache *c = pyhook_enter(domain);
        p = debug_calloc(pyhook.debug, c, nelem, elsize, (enum ga_domain)domain);
        pyhook_leave(domain, c);
        count(domain);
    }
    if (p == NULL && !pyhook_is_serving(&pyhook))
        p = pyhook.previous[domain].calloc(pyhook.previous[domain].ctx, nelem, elsize);
    return p;
}

/* Whose p rightly is, which is ours and came to the functions of a domain. */
static PyMemAllocatorDomain owner(PyMemAllocatorDomain domain, void *p) {
    bool large_of_pymalloc = domain != RAW && !pyhook_raw_is_raw(&pyhook) &&
                             debug_peek(pyhook.debug, p, DOMAIN_RAW) != 0;
    return large_of_pymalloc ? RAW : domain;
}

static void checked_free(PyMemAllocatorDomain domain, void *p) {
    if (p == NULL)
        return;
    if (!pyhook_owns(p)) {
        pyhook_expect_foreign(domain, "free", p);
        pyhook.previous[domain].free(pyhook.previous[domain].ctx, p);
        return;
    }
    pyhook_forget_interp(domain, p);
    domain = owner(domain, p);
    struct mcache *c = pyhook_enter(domain);
    debug_free(pyhook.debug, c, p, (enum ga_domain)domain, ring_of(domain, c));
    pyhook_leave(domain, c);
    count(domain);
}

/* A block of ours that moves to the previous allocator, or to another domain. */
static void *move(PyMemAllocatorDomain domain, void *p, size_t size) {
    PyMemAllocatorDomain from = owner(domain, p);
    struct mcache *c = pyhook_enter(from);
    size_t had = debug_size(pyhook.debug, c, p, (enum ga_domain)from, CALL_REALLOC);
    pyhook_leave(from, c);
    void *q = checked_malloc(domain, size);
    if (q != NULL) {
        memcpy(q, p, ga_min(had, size));
        checked_free(domain, p);
    }
    return q;
}

static void *checked_realloc(PyMemAllocatorDomain domain, void *p, size_t size) {
    if (p == NULL)
        return checked_malloc(domain, size);
    if (!pyhook_owns(p)) {
        pyhook_expect_foreign(domain, "realloc", p);
        return pyhook.previous[domain].realloc(pyhook.previous[domain].ctx, p, size);
    }
    if (!pyhook_is_serving(&pyhook) || owner(domain, p) != domain)
        return move(domain, p, size);
    struct mcache *c = pyhook_enter(domain);
    void *q = debug_realloc(pyhook.debug, c, p, size, (enum ga_domain)domain, ring_of(domain, c));
    pyhook_leave(domain, c);
    count(domain);
    return q;
}

/* ---- the functions in the table ------------------------------------------------------------- */

#define CHECKED(name, domain)                                                                      \
    static void *name##_malloc(void *ctx, size_t size) {                                           \
        (void)ctx;                                                                                 \
        return checked_malloc(domain, size);                                                       \
    }                                                                                              \
    static void *name##_calloc(void *ctx, size_t nelem, size_t elsize) {                           \
        (void)ctx;                                                                                 \
        return checked_calloc(domain, nelem, elsize);                                              \
    }                                                                                              \
    static void *name##_realloc(void *ctx, void *p, size_t size) {                                 \
        (void)ctx;                                                                                 \
        return checked_realloc(domain, p, size);                                                   \
    }                                                                                              \
    static void name##_free(void *ctx, void *p) {                                                  \
        (void)ctx;                                                                                 \
        checked_free(domain, p);                                                                   \
    }

CHECKED(pyraw, RAW)
CHECKED(pymem, MEM)
CHECKED(pyobj, OBJ)

const PyMemAllocatorEx pyhook_debug_hooks[DOMAINS] = {
    [RAW] = {NULL, pyraw_malloc, pyraw_calloc, pyraw_realloc, pyraw_free},
    [MEM] = {NULL, pymem_malloc, pymem_calloc, pymem_realloc, pymem_free},
    [OBJ] = {NULL, pyobj_malloc, pyobj_calloc, pyobj_realloc, pyobj_free},
};

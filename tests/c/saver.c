/* A tool as profilers are: saves CPython's allocators, stands on top of them, and when it stops
 * restores what it saved, whoever came meanwhile.  And one as they must not be: it keeps large raw
 * blocks to itself.  Loaded by test_wrap.py; has nothing of goalloc. */
#include <Python.h>

#include <stdlib.h>

static PyMemAllocatorEx saved[3];

static void *pass_malloc(void *ctx, size_t n) {
    PyMemAllocatorEx *a = ctx;
    return a->malloc(a->ctx, n);
}

static void *pass_calloc(void *ctx, size_t n, size_t size) {
    PyMemAllocatorEx *a = ctx;
    return a->calloc(a->ctx, n, size);
}

static void *pass_realloc(void *ctx, void *p, size_t n) {
    PyMemAllocatorEx *a = ctx;
    return a->realloc(a->ctx, p, n);
}

static void pass_free(void *ctx, void *p) {
    PyMemAllocatorEx *a = ctx;
    a->free(a->ctx, p);
}

void saver_start(void) {
    for (int domain = 0; domain < 3; domain++) {
        PyMemAllocatorEx hook = {&saved[domain], pass_malloc, pass_calloc, pass_realloc, pass_free};
        PyMem_GetAllocator(domain, &saved[domain]);
        PyMem_SetAllocator(domain, &hook);
    }
}

void saver_stop(void) {
    for (int domain = 0; domain < 3; domain++)
        PyMem_SetAllocator(domain, &saved[domain]);
}

#define KEEP_FROM (100 << 10) /* bytes; an interpreter is larger */

static void *kept[64]; /* under the GIL: the test makes one interpreter at a time */

static void **kept_at(const void *p) {
    for (int i = 0; i < 64; i++)
        if (kept[i] == p)
            return &kept[i];
    return NULL;
}

static void *keep_calloc(void *ctx, size_t n, size_t size) {
    void **free_place = n * size >= KEEP_FROM ? kept_at(NULL) : NULL;
    return free_place != NULL ? *free_place = calloc(n, size) : pass_calloc(ctx, n, size);
}

static void keep_free(void *ctx, void *p) {
    void **place = p != NULL ? kept_at(p) : NULL;
    if (place == NULL) {
        pass_free(ctx, p);
        return;
    }
    *place = NULL;
    free(p);
}

void saver_keep_raw(void) {
    PyMemAllocatorEx hook = {&saved[0], pass_malloc, keep_calloc, pass_realloc, keep_free};
    PyMem_GetAllocator(PYMEM_DOMAIN_RAW, &saved[0]);
    PyMem_SetAllocator(PYMEM_DOMAIN_RAW, &hook);
}

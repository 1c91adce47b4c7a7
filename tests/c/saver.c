/* A tool as profilers are: saves CPython's allocators, stands on top of them, and when it stops
 * restores what it saved, whoever came meanwhile.  Loaded by test_wrap.py; has nothing of
 * goalloc. */
#include <Python.h>

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

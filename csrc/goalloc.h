/* goalloc for other extensions: memory from the heap of the process that imports goalloc.
 *
 *     #include <goalloc/goalloc.h>             -I of goalloc.get_include()
 *     if (goalloc_import() < 0) return NULL;   in the module's init, in each C file that uses it
 *     double *x = goalloc_malloc_noscan(n * sizeof *x);
 *     ...
 *     goalloc_free(x);
 *
 * Nothing is linked: the functions come through a capsule, so there is one heap, whoever uses it.
 * It serves whether goalloc is installed under Python or not; a block may outlive both install and
 * uninstall.
 *
 * Rules
 *   - Any thread may call anything but goalloc_import at any time, with or without the GIL, and
 *     free or resize what another thread made.  Only goalloc_import needs a thread state.
 *   - A size of 0 is served as 1.  Sizes above PTRDIFF_MAX, products that overflow and an exhausted
 *     system give NULL; no exception is set, and the block that was to be resized is as it was.
 *   - A block is aligned to 16, or if it is noscan and smaller than that, to the largest power of
 *     two that is not above its size.
 *   - Blocks go back by goalloc_free or goalloc_realloc only.  A pointer that is no live block ends
 *     the process with one line that says what it is (docs/security.md).
 *   - noscan: you promise that the block holds no pointers; requests below 16 bytes may then share
 *     a slot.  goalloc_realloc makes an ordinary block of it, goalloc_realloc_noscan a noscan one.
 *
 * The ABI has a version.  goalloc_import compares it and raises ImportError when this header and
 * the goalloc at hand don't fit; functions added at the end of the table keep the version. */
#ifndef GOALLOC_H
#define GOALLOC_H

#include <Python.h>

#include <stddef.h>

#define GOALLOC_ABI_VERSION 1
#define GOALLOC_CAPSULE "goalloc._C_API"

/* What the capsule holds; constant, the same for all interpreters of a process. */
struct goalloc_api {
    unsigned abi_version;
    unsigned nbytes; /* of this structure, as goalloc has it */
    void *(*malloc)(size_t size, int noscan);
    void *(*calloc)(size_t nmemb, size_t size, int noscan);
    void *(*realloc)(void *p, size_t size, int noscan);
    void (*free)(void *p);
    void *(*aligned_alloc)(size_t align, size_t size);
    size_t (*usable_size)(const void *p);
    int (*is_ours)(const void *p);
};

#if defined(__GNUC__)
__attribute__((unused))
#endif
static const struct goalloc_api *goalloc_api = NULL;

/* 0, or -1 with ImportError set (or what importing goalloc raised). */
static inline int goalloc_import(void) {
    const struct goalloc_api *api =
        (const struct goalloc_api *)PyCapsule_Import(GOALLOC_CAPSULE, 0);
    if (api == NULL)
        return -1;
    if (api->abi_version != GOALLOC_ABI_VERSION) {
        PyErr_Format(
            PyExc_ImportError,
            "this module was built for version %u of goalloc's C API, and the goalloc that "
            "is installed has version %u: build it again with that one",
            (unsigned)GOALLOC_ABI_VERSION, api->abi_version);
        return -1;
    }
    if (api->nbytes < sizeof *api) {
        PyErr_SetString(PyExc_ImportError, "this module needs a newer goalloc than the one that is "
                                           "installed: its C API lacks functions");
        return -1;
    }
    goalloc_api = api;
    return 0;
}

static inline void *goalloc_malloc(size_t size) { return goalloc_api->malloc(size, 0); }
static inline void *goalloc_malloc_noscan(size_t size) { return goalloc_api->malloc(size, 1); }
/* The memory is zero. */
static inline void *goalloc_calloc(size_t nmemb, size_t size) {
    return goalloc_api->calloc(nmemb, size, 0);
}
static inline void *goalloc_calloc_noscan(size_t nmemb, size_t size) {
    return goalloc_api->calloc(nmemb, size, 1);
}
/* p may be NULL. */
static inline void *goalloc_realloc(void *p, size_t size) {
    return goalloc_api->realloc(p, size, 0);
}
static inline void *goalloc_realloc_noscan(void *p, size_t size) {
    return goalloc_api->realloc(p, size, 1);
}
/* p may be NULL. */
static inline void goalloc_free(void *p) { goalloc_api->free(p); }
/* align: a power of two, else NULL.  goalloc_realloc keeps no alignment above 16. */
static inline void *goalloc_aligned_alloc(size_t align, size_t size) {
    return goalloc_api->aligned_alloc(align, size);
}
/* Bytes that may be used from p on, at least what was asked for; 0: p is no live block of this
 * API. */
static inline size_t goalloc_usable_size(const void *p) { return goalloc_api->usable_size(p); }
/* Does p point into goalloc's heap, wherever in it, and whosever that memory is? */
static inline int goalloc_is_ours(const void *p) { return goalloc_api->is_ours(p); }

#endif

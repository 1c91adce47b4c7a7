/* floor: the least that can be done behind CPython's functions for mem and obj, as a lower bound of
 * what any allocator costs there.  Not one to use: nothing is checked, counted, sampled or ever
 * given back, and only blocks of the same class reuse a block.
 *
 * With FLOOR_CHECKED it does one thing more: a bit for each 16 bytes is set while a block that begins
 * there is live, and a free without it ends the process.  That is the least that can be done about
 * double, interior and wild frees at the moment they happen.
 *
 * Size classes as goalloc's, roughly.  A free list per class runs through the blocks; a byte per
 * 64 KiB of one reservation says the class of the blocks there.  What is larger than 32 KiB, and all
 * of raw, is the C library's.
 *
 * A shared object for LD_PRELOAD; its constructor puts it in place before main(), as goalloc's does.
 * Lock: the GIL. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base.h" /* the core's words for bits */

#define RESERVED ((size_t)1 << 33) /* bytes; with more, callgrind refuses */
#define SLAB_SHIFT 16
#define FINE_MAX 1024 /* bytes: up to here a class for each 16 */
#define SIZE_MAX_HERE 32768
#define NCLASSES 128

struct allocator { /* PyMemAllocatorEx */
    void *ctx;
    void *(*malloc)(void *ctx, size_t size);
    void *(*calloc)(void *ctx, size_t nmemb, size_t size);
    void *(*realloc)(void *ctx, void *p, size_t size);
    void (*free)(void *ctx, void *p);
};

static uintptr_t base, unused; /* of the reservation: its start, and what no class has yet */
static uint8_t class_of[RESERVED >> SLAB_SHIFT];
static void *first_free[NCLASSES];
static uint32_t elemsize[NCLASSES];
static uint8_t coarse_class[SIZE_MAX_HERE / 128 + 1]; /* by (size + 127) / 128 */
static uintptr_t fresh[NCLASSES], fresh_end[NCLASSES];

/* ---- the check ------------------------------------------------------------------------------ */

/* Where p is from base, in units of 1 << UNIT_SHIFT bytes; beyond LIMIT: not one of ours. */
#ifdef FLOOR_CHECKED
#define UNIT_SHIFT 4
static uint64_t live[RESERVED >> (UNIT_SHIFT + 6)];

/* What is not on a multiple of 16 lies beyond the limit, too. */
static uintptr_t unit_of(const void *p) {
    uintptr_t offset = (uintptr_t)p - base;
    return offset >> UNIT_SHIFT | offset << (64 - UNIT_SHIFT);
}

static void *made(void *p) {
    uintptr_t unit = ((uintptr_t)p - base) >> UNIT_SHIFT;
    uint64_t word = live[unit >> 6];
    ga_set_bit(&word, unit);
    live[unit >> 6] = word;
    return p;
}

static void freed(uintptr_t unit) {
    uint64_t word = live[unit >> 6];
    if (GA_UNLIKELY(!ga_test_and_clear(&word, unit)))
        abort();
    live[unit >> 6] = word;
}
#else
#define UNIT_SHIFT 0
static uintptr_t unit_of(const void *p) { return (uintptr_t)p - base; }
static void *made(void *p) { return p; }
static void freed(uintptr_t unit) { (void)unit; }
#endif
#define LIMIT (RESERVED >> UNIT_SHIFT)

static unsigned class_at(uintptr_t unit) { return class_of[unit >> (SLAB_SHIFT - UNIT_SHIFT)]; }

/* ---- malloc, free, realloc ------------------------------------------------------------------ */

static GA_NOINLINE void *make(unsigned class) {
    if (fresh_end[class] - fresh[class] < elemsize[class]) {
        size_t nbytes = (size_t)(elemsize[class] > 8192 ? 4 : 1) << SLAB_SHIFT;
        if (unused + nbytes > base + RESERVED)
            return NULL;
        memset(&class_of[(unused - base) >> SLAB_SHIFT], (int)class, nbytes >> SLAB_SHIFT);
        fresh[class] = unused;
        fresh_end[class] = unused += nbytes;
    }
    fresh[class] += elemsize[class];
    return made((void *)(fresh[class] - elemsize[class]));
}

GA_INLINE void *take(unsigned class) {
    void *p = first_free[class];
    if (GA_UNLIKELY(p == NULL))
        return make(class);
    first_free[class] = *(void **)p;
    return made(p);
}

static GA_NOINLINE void *malloc_coarse(size_t size) {
    return size <= SIZE_MAX_HERE ? take(coarse_class[(size + 127) / 128]) : malloc(size);
}

static void *floor_malloc(void *ctx, size_t size) {
    (void)ctx;
    return GA_LIKELY(size <= FINE_MAX) ? take((unsigned)((size + 15) / 16)) : malloc_coarse(size);
}

static void floor_free(void *ctx, void *p) {
    (void)ctx;
    uintptr_t unit = unit_of(p);
    if (GA_UNLIKELY(unit >= LIMIT)) {
        free(p);
        return;
    }
    unsigned class = class_at(unit);
    freed(unit);
    *(void **)p = first_free[class];
    first_free[class] = p;
}

static void *floor_calloc(void *ctx, size_t nmemb, size_t size) {
    size_t nbytes;
    if (__builtin_mul_overflow(nmemb, size, &nbytes))
        return NULL;
    void *p = floor_malloc(ctx, nbytes);
    return p != NULL ? memset(p, 0, nbytes) : NULL;
}

/* The C library keeps what it has, however small it becomes: it knows how large it was. */
static void *floor_realloc(void *ctx, void *p, size_t size) {
    if (p == NULL)
        return floor_malloc(ctx, size);
    if (unit_of(p) >= LIMIT)
        return realloc(p, size != 0 ? size : 1);
    size_t usable = elemsize[class_at(unit_of(p))];
    if (size <= usable && size > usable / 4 * 3)
        return p;
    void *q = floor_malloc(ctx, size);
    if (q == NULL)
        return NULL;
    memcpy(q, p, size < usable ? size : usable);
    floor_free(ctx, p);
    return q;
}

/* ---- start ---------------------------------------------------------------------------------- */

static void make_classes(void) {
    unsigned class = 0;
    elemsize[class++] = 16; /* of size 0 */
    for (; class <= FINE_MAX / 16; class++)
        elemsize[class] = class * 16;
    for (size_t size = FINE_MAX, from = 0; size < SIZE_MAX_HERE; class++) {
        size_t power = (size_t)1 << (63 - __builtin_clzll(size));
        size += power / 8; /* eight classes for each doubling */
        elemsize[class] = (uint32_t)size;
        for (; from * 128 <= size; from++)
            coarse_class[from] = (uint8_t)class;
    }
}

static __attribute__((constructor)) void put_in_place(void) {
    void (*set_allocator)(int domain, struct allocator *allocator);
    void *symbol = dlsym(RTLD_DEFAULT, "PyMem_SetAllocator");
    void *memory = mmap(NULL, RESERVED + ((size_t)1 << SLAB_SHIFT), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (symbol == NULL || memory == MAP_FAILED)
        return;
    memcpy(&set_allocator, &symbol, sizeof symbol);
    base = unused = (((uintptr_t)memory >> SLAB_SHIFT) + 1) << SLAB_SHIFT;
    make_classes();
    struct allocator ours = {NULL, floor_malloc, floor_calloc, floor_realloc, floor_free};
    set_allocator(1, &ours); /* PYMEM_DOMAIN_MEM */
    set_allocator(2, &ours); /* PYMEM_DOMAIN_OBJ */
}

/* floor: the least that can be done behind CPython's functions for mem and obj, as a lower bound of
 * what any allocator costs there.  Not one to use: nothing is checked, counted, sampled or ever
 * given back, and only blocks of the same class reuse a block.
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

static __attribute__((noinline)) void *make(unsigned class) {
    if (fresh_end[class] - fresh[class] < elemsize[class]) {
        size_t nbytes = (size_t)(elemsize[class] > 8192 ? 4 : 1) << SLAB_SHIFT;
        if (unused + nbytes > base + RESERVED)
            return NULL;
        memset(&class_of[(unused - base) >> SLAB_SHIFT], (int)class, nbytes >> SLAB_SHIFT);
        fresh[class] = unused;
        fresh_end[class] = unused += nbytes;
    }
    fresh[class] += elemsize[class];
    return (void *)(fresh[class] - elemsize[class]);
}

static inline __attribute__((always_inline)) void *take(unsigned class) {
    void *p = first_free[class];
    if (__builtin_expect(p == NULL, 0))
        return make(class);
    first_free[class] = *(void **)p;
    return p;
}

static __attribute__((noinline)) void *malloc_coarse(size_t size) {
    return size <= SIZE_MAX_HERE ? take(coarse_class[(size + 127) / 128]) : malloc(size);
}

static void *floor_malloc(void *ctx, size_t size) {
    (void)ctx;
    return __builtin_expect(size <= FINE_MAX, 1) ? take((unsigned)((size + 15) / 16))
                                                 : malloc_coarse(size);
}

static void floor_free(void *ctx, void *p) {
    (void)ctx;
    uintptr_t offset = (uintptr_t)p - base;
    if (__builtin_expect(offset >= RESERVED, 0)) {
        free(p);
        return;
    }
    unsigned class = class_of[offset >> SLAB_SHIFT];
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
    uintptr_t offset = (uintptr_t)p - base;
    if (offset >= RESERVED)
        return realloc(p, size != 0 ? size : 1);
    size_t usable = elemsize[class_of[offset >> SLAB_SHIFT]];
    if (size <= usable && size > usable / 4 * 3)
        return p;
    void *q = floor_malloc(ctx, size);
    if (q == NULL)
        return NULL;
    memcpy(q, p, size < usable ? size : usable);
    floor_free(ctx, p);
    return q;
}

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

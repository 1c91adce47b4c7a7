/* malloc, calloc, realloc, free on a heap through a cache: the floor that the hooks, goalloc.Heap
 * and the tests stand on.  malloc.c has the overview of the whole allocator. */
#ifndef GA_MALLOC_H
#define GA_MALLOC_H

#include "mcache.h"

/* What is wrong with a pointer that was given to free or realloc. */
enum misuse {
    MISUSE_NONE,
    MISUSE_DOUBLE_FREE,
    MISUSE_INTERIOR,
    MISUSE_UNALLOCATED,
    MISUSE_FOREIGN, /* not in any arena of this heap: import mode passes it on */
    MISUSE_DOMAIN,  /* a scan block given to a cache that serves noscan only */
};

/* All floors of a heap.  False: out of memory, and h holds nothing.  linear_bytes: size of the
 * reservation if layout asks for one; 0 is the default. */
bool heap_init(struct mheap *h, enum arena_layout layout, size_t linear_bytes);
void heap_destroy(struct mheap *h);
/* The same with the struct in pages of its own. */
struct mheap *heap_new(enum arena_layout layout, size_t linear_bytes);
void heap_delete(struct mheap *h);

/* NULL: out of memory, nothing has changed.  size 0 is served as 1.  noscan: the program promises
 * that the block holds no pointers; requests below 16 bytes then share blocks, aligned to the
 * largest power of two <= size. */
void *ga_malloc(struct mheap *h, struct mcache *c, size_t size, bool noscan);
/* NULL also when nmemb * size overflows. */
void *ga_calloc(struct mheap *h, struct mcache *c, size_t nmemb, size_t size, bool noscan);
/* align: a power of two.  A tiny request keeps Go's rule for the alignment that is asked for. */
void *ga_memalign(struct mheap *h, struct mcache *c, size_t align, size_t size, bool noscan);
/* p must not be NULL.  NULL with *why == MISUSE_NONE: out of memory, p as it was. */
void *ga_realloc(struct mheap *h, struct mcache *c, void *p, size_t size, bool noscan,
                 enum misuse *why);
/* p must not be NULL. */
enum misuse ga_free(struct mheap *h, struct mcache *c, void *p);
/* Does a small block of usable bytes stay where it is for a request of size?  It shrinks in place
 * unless more than a quarter would be lost (pymalloc's rule).  A large one gives back what it
 * can. */
GA_INLINE bool realloc_fits(size_t usable, size_t size) {
    return size <= usable && (usable <= GA_TINY_SIZE || size >= usable - usable / 4);
}
/* Bytes from p to the end of its slot; 0 and *why set if p is not a live block.  Of a tiny part
 * those that are its own, or if only another cache knows how many, what is left of its slot. */
size_t ga_usable_size(struct mheap *h, struct mcache *c, void *p, enum misuse *why);

/* What p is, to this cache: MISUSE_NONE is a live block. */
enum misuse misuse_of(struct mheap *h, struct mcache *c, void *p);
/* The exact line for a misuse (without "goalloc: fatal: " and newline); op is "free" or "realloc".
 * Returns its length, as snprintf. */
int misuse_message(struct mheap *h, enum misuse why, const char *op, const void *p, char *buf,
                   size_t nbytes);
_Noreturn void misuse_throw(struct mheap *h, enum misuse why, const char *op, const void *p);

#endif

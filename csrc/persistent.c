/* persistentalloc: bump allocation for structures that live as long as their heap.
 *
 * Each mapping carries its own record at its end, where it cannot spoil the alignment of what it
 * holds; the records form the list that destroy walks.
 * Invariant: sum of the callers' stats + other = bytes of all mappings.
 * Lock: p->lock, a leaf, around everything but init and destroy. */
#include "persistent.h"

#include "config.h"
#include "fatal.h"

struct persistent_chunk {
    struct persistent_chunk *next;
    size_t nbytes; /* of the whole mapping, this record included */
};

_Static_assert(GA_PERSISTENT_DIRECT <= GA_PERSISTENT_CHUNK - sizeof(struct persistent_chunk),
               "what is not direct fits a fresh chunk");

static void *chunk_base(struct persistent_chunk *c) { return (char *)(c + 1) - c->nbytes; }

void persistentalloc_init(struct persistentalloc *p, struct os *os) {
    p->os = os;
    mutex_init(&p->lock, GA_RANK_LEAF, "persistentalloc.lock");
    p->chunks = NULL;
    p->next = p->end = 0;
    atomic_init(&p->other, 0);
}

/* A new mapping of nbytes (whole pages), all of it counted in `other`. */
static struct persistent_chunk *chunk_new(struct persistentalloc *p, size_t nbytes) {
    char *base = os_alloc(p->os, nbytes);
    if (base == NULL)
        return NULL;
    struct persistent_chunk *c = (struct persistent_chunk *)(base + nbytes) - 1;
    c->nbytes = nbytes;
    c->next = p->chunks;
    p->chunks = c;
    atomic_fetch_add_explicit(&p->other, nbytes, memory_order_relaxed);
    return c;
}

static void *alloc_direct(struct persistentalloc *p, size_t nbytes) {
    size_t page = os_page_size();
    if (nbytes > SIZE_MAX - sizeof(struct persistent_chunk) - page)
        return NULL;
    struct persistent_chunk *c =
        chunk_new(p, ga_align_up(nbytes + sizeof(struct persistent_chunk), page));
    return c ? chunk_base(c) : NULL;
}

static void *alloc_bump(struct persistentalloc *p, size_t nbytes, size_t align) {
    uintptr_t start = ga_align_up(p->next, align);
    /* start may lie behind end, by padding: compare without subtracting */
    if (p->next == 0 || start + nbytes > p->end) {
        struct persistent_chunk *c = chunk_new(p, GA_PERSISTENT_CHUNK);
        if (c == NULL)
            return NULL;
        start = (uintptr_t)chunk_base(c); /* page aligned, so aligned for everyone */
        p->end = (uintptr_t)c;
    }
    p->next = start + nbytes;
    return (void *)start;
}

void *persistentalloc(struct persistentalloc *p, size_t nbytes, size_t align,
                      _Atomic uint64_t *stat) {
    align = align ? align : 8;
    GA_CHECK(nbytes > 0 && ga_is_pow2(align) && align <= os_page_size());
    mutex_lock(&p->lock);
    void *v = nbytes >= GA_PERSISTENT_DIRECT ? alloc_direct(p, nbytes)
                                             : alloc_bump(p, nbytes, align);
    if (v != NULL && stat != NULL) {
        atomic_fetch_sub_explicit(&p->other, nbytes, memory_order_relaxed);
        atomic_fetch_add_explicit(stat, nbytes, memory_order_relaxed);
    }
    mutex_unlock(&p->lock);
    return v;
}

void persistentalloc_destroy(struct persistentalloc *p) {
    struct persistent_chunk *c = p->chunks;
    while (c != NULL) {
        struct persistent_chunk *next = c->next;
        os_free(p->os, chunk_base(c), c->nbytes);
        c = next;
    }
    p->chunks = NULL;
    p->next = p->end = 0;
    mutex_destroy(&p->lock);
}

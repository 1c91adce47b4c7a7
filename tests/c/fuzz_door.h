/* How blocks are asked for and given back: of the heap itself, in a debugging run by way of its
 * seals (debug.h), and where the heap says that one is due, between guard pages (guard.h).  Each as
 * the hooks under Python do it.
 *
 * The lane of the moment is locked. */
#ifndef GA_TEST_FUZZ_DOOR_H
#define GA_TEST_FUZZ_DOOR_H

#include "fuzz_field.h"

enum how { BY_MALLOC, BY_CALLOC, BY_MEMALIGN };
enum { SEALED_BYTES = 24 }; /* what a debugging run adds to a request */

static inline bool is_raw(enum ga_domain domain) {
    return domain == DOMAIN_RAW || domain == DOMAIN_API;
}

static inline struct guards *guards_of(const struct field *f) { return atomic_load(&f->h->guards); }

/* Only who owns all small scan blocks in a ring may use it. */
static inline enum debug_ring ring_of(const struct lane *l, enum ga_domain domain) {
    if (is_raw(domain))
        return RING_RAW;
    return l->kind != MCACHE_THREAD && l->set == 0 ? RING_MAIN : RING_NONE;
}

/* n is nmemb for BY_CALLOC, the alignment for BY_MEMALIGN. */
static inline void *door_malloc(struct driver *d, enum how how, size_t n, size_t size,
                                enum ga_domain domain) {
    struct mheap *h = d->f->h;
    struct mcache *c = lane_of(d)->c;
    struct debugger *g = d->f->debug;
    c->domain = (uint8_t)domain;
    if (how == BY_CALLOC)
        return g != NULL ? debug_calloc(g, c, n, size, domain)
                         : ga_calloc(h, c, n, size, is_raw(domain));
    if (how == BY_MEMALIGN)
        return g != NULL ? debug_memalign(g, c, n, size, domain)
                         : ga_memalign(h, c, n, size, is_raw(domain));
    return g != NULL ? debug_malloc(g, c, size, domain) : ga_malloc(h, c, size, is_raw(domain));
}

static inline void door_free(struct driver *d, const struct block *b, enum ga_call call) {
    struct mcache *c = lane_of(d)->c;
    if (b->guarded)
        guard_free(guards_of(d->f), b->p, b->domain, call);
    else if (d->f->debug != NULL)
        debug_free(d->f->debug, c, b->p, b->domain, ring_of(lane_of(d), b->domain));
    else
        EXPECT(ga_free(d->f->h, c, b->p) == MISUSE_NONE);
}

/* b, of which the first `keep` bytes matter, has just been made or resized: if one is due it gives
 * way to a block between guard pages. */
static inline void door_guard(struct driver *d, struct block *b, size_t keep) {
    struct guards *g = guards_of(d->f);
    bool due = mcache_take_guard(lane_of(d)->c);
    unsigned char *q =
        due && g != NULL && guard_wants(g, b->size) ? guard_malloc(g, b->size, b->domain) : NULL;
    if (q == NULL)
        return;
    EXPECT(d->f->debug == NULL && all_zero(q, b->size, true));
    memcpy(q, b->p, keep);
    door_free(d, b, CALL_FREE);
    b->p = q;
    b->guarded = true;
}

/* A block between guard pages becomes one of the heap's. */
static inline void *door_unguard(struct driver *d, const struct block *b, size_t size,
                                 enum ga_domain domain) {
    size_t had = guard_size(guards_of(d->f), b->p, b->domain, CALL_REALLOC);
    EXPECT(had == b->size);
    void *q = door_malloc(d, BY_MALLOC, 0, size, domain);
    if (q == NULL)
        return NULL;
    memcpy(q, b->p, ga_min(had, size));
    door_free(d, b, CALL_REALLOC);
    return q;
}

/* NULL: b is as it was. */
static inline void *door_realloc(struct driver *d, const struct block *b, size_t size,
                                 enum ga_domain domain) {
    struct lane *l = lane_of(d);
    enum misuse why;
    l->c->domain = (uint8_t)domain;
    if (b->guarded)
        return door_unguard(d, b, size, domain);
    if (d->f->debug != NULL)
        return debug_realloc(d->f->debug, l->c, b->p, size, domain, ring_of(l, domain));
    void *q = ga_realloc(d->f->h, l->c, b->p, size, is_raw(domain), &why);
    EXPECT(why == MISUSE_NONE);
    return q;
}

/* Bytes that b has; all that is known of it must say the same. */
static inline size_t door_usable(struct driver *d, const struct block *b) {
    enum misuse why;
    if (b->guarded) {
        EXPECT(guard_size(guards_of(d->f), b->p, b->domain, CALL_FREE) == b->size);
        return b->size;
    }
    if (d->f->debug != NULL)
        EXPECT(debug_size(d->f->debug, lane_of(d)->c, b->p, b->domain, CALL_FREE) == b->size);
    size_t usable = ga_usable_size(d->f->h, lane_of(d)->c, b->p, &why);
    EXPECT(why == MISUSE_NONE && usable != 0);
    return usable;
}

#endif

/* mcache: what its owner allocates from without a lock.
 *
 * The owner is an interpreter for mem and obj (its GIL makes it Go's P), a thread for raw.  Per span
 * class a cache has a store, a stack of free slots, and the span it refills that store from.
 *
 * A store is an array with NULL on both ends:
 *
 *     base[-1]   base ......... top ............ high ........... limit ... base[cap]
 *      NULL    | free slots    | handed out     | NULL           |         | NULL
 *              |               | not yet marked |                |
 *
 * malloc pops below top and leaves the pointer where it stood.  So when the next free is that of the
 * last malloc, the pointer is found at top, and putting it back is to move top: the heap bitmap is
 * not touched at all.  Any other free first settles: it marks the blocks from top up to the NULL as
 * live in the heap bitmap and clears those entries; then the bit of its own block must be set, or the
 * block is not live: double, interior or wild free.
 * Invariant: a slot is free in exactly one place, its span's alloc_bits or one store; a live block
 * has its bit set or stands between top and high of the store it came from.
 *
 * In a shared cache (raw) blocks may be freed by any thread at any moment: there malloc marks at
 * once, with an atomic, and high == top always.
 *
 * Refill takes a batch from the central, overflow gives back the lower half.  Batches start small
 * and grow; a store's limit grows only when slots that it gave back were asked for again.
 *
 * Stopping.  inspect and fork need all caches at rest.  An owner that is not known to be at rest (the
 * caller of world_stop holds its GIL) brackets its use with mcache_enter and mcache_leave: busy and
 * gate are a Dekker handshake whose fence on the owner's side is replaced by membarrier on the other
 * (where the system has it).
 * Locks: caches.lock guards the list of caches and is held while the world is stopped. */
#ifndef GA_MCACHE_H
#define GA_MCACHE_H

#include "sampler.h"
#include "stack.h"
#include "tiny.h"

enum mcache_kind {
    MCACHE_INTERP, /* scan classes, one GIL */
    MCACHE_THREAD, /* noscan classes; frees of its blocks come from any thread */
    MCACHE_HEAP,   /* all classes, one owner: goalloc.Heap and tests */
    MCACHE_ORPHAN, /* all classes, under caches.orphan_lock: callers that have no cache */
    MCACHE_KINDS
};

struct store {
    void **top;
    void **limit;
    uint64_t nmalloc;   /* blocks handed out */
    uint32_t elemsize;  /* bytes */
    uint32_t gave_back; /* slots were given back since the last refill */
};

/* The part of a store that only slow paths need. */
struct store_cold {
    void **base;
    uint32_t cap;         /* 0: this cache does not serve the class */
    uint32_t batch;       /* slots of the next refill */
    struct mspan *cached; /* the span that refills come from */
};

#define GA_GATE_FENCE 1u /* no membarrier: the owner must fence */
#define GA_GATE_STOP 2u  /* wait until the world is started */

struct mcache {
    /* ---- every malloc and free ---- */
    int64_t next_sample; /* bytes to the next sample */
    _Atomic uint32_t busy;
    _Atomic uint32_t gate;
    struct store store[GA_NUM_SPAN_CLASSES + 2]; /* by pageclass; 0, 1 and tiny are never open */
    /* ---- the rest ---- */
    void *closed[2]; /* the array of a store that is not open: full, empty, and all NULL */
    struct store_cold cold[GA_NUM_SPAN_CLASSES];
    struct mheap *heap;
    struct mcentral *central; /* the set it refills from */
    enum mcache_kind kind;
    bool shared; /* blocks are freed by others at any moment: atomic bits */
    struct sampler sampler;
    struct stackcache stackcache;
    struct tiny tiny;
    struct mcache *next, *prev; /* caches.first */
    void **slots;               /* memory of all stores */
};

/* All caches of a heap. */
struct mcaches {
    struct mutex lock;
    struct mcache *first;
    size_t ncaches;
    struct fixalloc cachealloc;
    struct fixalloc slotsalloc[MCACHE_KINDS];
    struct mutex orphan_lock;
    struct mcache *orphan;
    uint64_t retired_nmalloc[GA_NUM_SPAN_CLASSES]; /* of caches that are gone */
    uint64_t retired_tiny_blocks, retired_tiny_allocs;
    uint64_t sample_rate;
    bool have_barrier;
    bool closed; /* new caches start closed */
};

/* Fills in h->caches.  False: out of memory. */
bool mcaches_init(struct mheap *h);
void mcaches_destroy(struct mheap *h);

/* central: the set it refills from.  NULL: out of memory. */
struct mcache *mcache_new(struct mheap *h, enum mcache_kind kind, struct mcentral *central);
/* Gives all it holds back and ends it; its owner must not use it any more. */
void mcache_free(struct mcache *c);
/* Empties the stores and gives up the cached spans; the cache stays usable. */
void mcache_release_all(struct mcache *c);
/* A closed cache hands out nothing and keeps nothing: what is freed goes straight to its span. */
void mcache_close(struct mcache *c);
void mcache_open(struct mcache *c);

/* All caches of the heap, and those to come. */
void mcaches_set_open(struct mheap *h, bool open);

/* Marks every block that was handed out and not yet marked. */
void mcache_settle_all(struct mcache *c);
/* next_sample has run out: counts the hit and draws the next distance. */
void mcache_sample(struct mcache *c);
/* Slow half of pop: samples, refills, pops.  NULL: out of memory or closed. */
void *mcache_pop_slow(struct mcache *c, spanclass_t spc);
/* Makes room in a full open store. */
void mcache_overflow(struct mcache *c, spanclass_t spc);

/* Stops all caches of the heap, the caller's own included, until world_start. */
void world_stop(struct mheap *h);
void world_start(struct mheap *h);

void mcache_enter_slow(struct mcache *c);

GA_INLINE void mcache_enter(struct mcache *c) {
#if defined(__SANITIZE_THREAD__)
    atomic_store(&c->busy, 1);
    if (GA_UNLIKELY(atomic_load(&c->gate) & GA_GATE_STOP))
        mcache_enter_slow(c);
#else
    atomic_store_explicit(&c->busy, 1, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    if (GA_UNLIKELY(atomic_load_explicit(&c->gate, memory_order_acquire) != 0))
        mcache_enter_slow(c);
#endif
}
GA_INLINE void mcache_leave(struct mcache *c) {
    atomic_store_explicit(&c->busy, 0, memory_order_release);
}

GA_INLINE bool mcache_is_closed(const struct mcache *c, uint8_t pageclass) {
    return c->store[pageclass].limit == &c->closed[1];
}

GA_INLINE void store_settle(struct mcache *c, struct store *st) {
    for (void **q = st->top; *q != NULL; *q++ = NULL)
        heap_bits_set(arena_of(&c->heap->map, (uintptr_t)*q), (uintptr_t)*q, false);
}

/* A free slot of spc, or NULL: then mcache_pop_slow. */
GA_INLINE void *mcache_pop(struct mcache *c, spanclass_t spc, bool shared) {
    struct store *st = &c->store[spc];
    void *p = st->top[-1];
    if (GA_UNLIKELY(p == NULL))
        return NULL;
    if (GA_UNLIKELY((c->next_sample -= st->elemsize) < 0))
        return NULL;
    st->top--;
    st->nmalloc++;
    if (shared) {
        *st->top = NULL;
        heap_bits_set(arena_of(&c->heap->map, (uintptr_t)p), (uintptr_t)p, true);
    }
    return p;
}

/* Takes p back, of a page of class pageclass; its bit is in bits.  False: nothing is done, and the
 * slow path finds out why (full, closed, or not a live block). */
GA_INLINE bool mcache_push(struct mcache *c, uint64_t *bits, uint8_t pageclass, void *p,
                           bool shared) {
    struct store *st = &c->store[pageclass];
    void **top = st->top;
    if (!shared && GA_LIKELY(*top == p)) {
        st->top = top + 1;
        return true;
    }
    if (GA_UNLIKELY(top == st->limit || (uintptr_t)p % 8 != 0))
        return false;
    if (!shared && *top != NULL)
        store_settle(c, st);
    if (GA_UNLIKELY(!heap_bits_clear_in(bits, (uintptr_t)p, shared)))
        return false;
    *top = p;
    st->top = top + 1;
    return true;
}

#endif

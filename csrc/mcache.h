/* mcache: what its owner allocates from without a lock.
 *
 * The owner is an interpreter for mem and obj (its GIL makes it Go's P), a thread for raw.  Per
 * span class a cache has a store, a stack of free slots, and the span it refills that store from.
 *
 * A store is an array of free slots, each with the word of the heap bitmap that its bit is in:
 *
 *     base[-1]   base ......... top .......... limit ....... base[cap]
 *       0      | free slots    | room         | not yet used
 *
 * malloc pops below top and sets the slot's bit, which the word beside it finds without a search;
 * free finds class and word through the arena map, and the bit must be set, or the block is not
 * live: double, interior or wild free.
 * Invariant: a slot is free in exactly one place, its span's alloc_bits or one store; its bit is
 * set exactly while the program owns it and it has no special (special.h).
 *
 * The blocks of a shared cache (raw) may be freed by any thread at any moment: there the bits, of
 * which 64 share a word, are changed by atomics.
 *
 * Refill takes a batch from the central, overflow gives back the lower half.  Batches start small
 * and grow; a store's limit grows only when slots that it gave back were asked for again.
 *
 * Aging (mcache_age.c).  At each tick of the scavenger a store gives back the slots beyond those
 * that were handed out since the last one; a store that was not used at all is shut: it has no
 * slots and no room, so its next use takes the slow path, which makes it some.  New stores are
 * shut, too: their arrays cost no memory until they are used, and the short ones that stores begin
 * with share pages.
 *
 * Of coarse classes a span has few slots, and most programs want few of their blocks.  Their stores
 * stay shut at first: slots come one by one and go straight back to their spans, which are soon
 * empty, so that the same pages serve all these classes.
 *
 * Stopping.  inspect and fork need all caches at rest.  An owner that is not known to be at rest
 * (the caller of world_stop holds its GIL) brackets its use with mcache_enter and mcache_leave:
 * busy and gate are a Dekker handshake whose fence on the owner's side is replaced by membarrier on
 * the other (where the system has it).
 * Locks: mcaches.lock guards the list of caches and is held while the world is stopped. */
#ifndef GA_MCACHE_H
#define GA_MCACHE_H

#include "client.h"
#include "profile.h"
#include "sampler.h"
#include "stack.h"
#include "tiny.h"

enum mcache_kind {
    MCACHE_INTERP, /* scan classes, one GIL */
    MCACHE_THREAD, /* noscan classes; frees of its blocks come from any thread */
    MCACHE_HEAP,   /* all classes, one owner: goalloc.Heap and tests */
    MCACHE_ORPHAN, /* all classes, under mcaches.orphan_lock: callers that have no cache */
    MCACHE_KINDS
};

/* The part of a store that only slow paths need; struct mcache has the rest. */
struct store_cold {
    struct free_slot *base;         /* of the array that it uses now, which is one of these: */
    struct free_slot *first, *grown; /* a short one, and one for all that it can grow to */
    uint32_t cap;         /* 0: this cache does not serve the class */
    uint32_t batch;       /* slots of the next refill */
    uint64_t granted;     /* what left was ever raised by: granted - left were handed out */
    uint64_t seen;        /* how many had been handed out when the cache last aged */
    bool gave_back;       /* slots, since the last refill */
    bool to_guard;        /* left runs to a block that is to be guarded, not sampled */
    uint8_t singles;      /* coarse slots that came or went one by one since it was shut */
    uint32_t aged;        /* pass of mcaches_age that aged it from outside */
    struct mspan *cached; /* the span that refills come from */
};

#define GA_GATE_FENCE 1u /* no membarrier: the owner must fence */
#define GA_GATE_STOP 2u  /* wait until the world is started */

struct mcache {
    /* ---- every malloc and free ---- */
    _Atomic uint32_t busy;
    _Atomic uint32_t gate;
    /* The stores, by pageclass; 0, 1 and tiny are never open.  An array of each field: its elements
     * are found without arithmetic. */
    struct free_slot *top[GA_NUM_PAGE_CLASSES];
    struct free_slot *limit[GA_NUM_PAGE_CLASSES];
    int64_t left[GA_NUM_PAGE_CLASSES]; /* blocks to hand out before the next sampled one */
    uint8_t scan_class[GA_SCAN_STORE_MAX + 1]; /* mcache_scan_class, by bytes */
    /* ---- the rest ---- */
    struct free_slot closed[2]; /* the array of a store that is not open: full and empty */
    struct free_slot shut[2];   /* the same of one that is open, and was not used lately */
    struct store_cold cold[GA_NUM_SPAN_CLASSES];
    struct mheap *heap;
    struct mcentral *central; /* the set it refills from */
    enum mcache_kind kind;
    bool shared;    /* blocks are freed by others at any moment: atomic bits */
    bool bracketed; /* the owner enters and leaves at every call, so that it can be stopped */
    struct sampler sampler;
    struct sampler guard; /* of blocks, not bytes */
    int64_t next_guard;   /* tiny and large blocks before the next guarded one */
    bool guard_due;
    /* of the allocation that goes on: 0 raw, 1 mem, 2 obj; a label for the profile */
    uint8_t domain;
    int64_t next_sample; /* bytes to the next sample among tiny and large blocks */
    struct stackcache stackcache;
    struct tiny tiny;
    uint64_t seen_tiny;         /* tiny blocks and parts made, when the cache last aged */
    size_t seen_stacks;         /* bytes of stacks kept, then */
    uint32_t rest_aged;         /* pass of mcaches_age that aged all but the stores from outside */
    bool was_tight;             /* when the heap became tight, this cache was emptied */
    _Atomic bool used;          /* it may hold something */
    _Atomic bool age_wanted;    /* the owner is to age it: nobody else could */
    struct mcache *next, *prev; /* caches.first */
    struct free_slot *slots;    /* memory of all stores */
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
    _Atomic uint64_t guard_rate;
    bool have_barrier;
    bool closed; /* new caches start closed */
    _Atomic bool owner_unseen; /* a cache may have had two owners at once: see interp_alone.c */
    _Atomic uint32_t age_pass; /* of mcaches_age, so far */
    /* How the scavenger may use a cache of an interpreter that is not bracketed, if its owner is at
     * rest.  Set once; NULL: it may not. */
    bool (*hold_interp)(struct mcache *c);
    void (*let_go_interp)(struct mcache *c);
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
/* A closed cache hands out no slot and keeps none: what is freed goes straight to its span. */
void mcache_close(struct mcache *c);
void mcache_open(struct mcache *c);

/* Makes c, which is zeroed and in no heap, a cache that is closed for ever and has no more than the
 * hot path looks at. */
void mcache_init_closed(struct mcache *c);

/* All caches of the heap, and those to come; but the orphan cache stays open. */
void mcaches_set_open(struct mheap *h, bool open);

/* Slow half of pop: samples, refills, pops.  NULL: out of memory or closed. */
void *mcache_pop_slow(struct mcache *c, spanclass_t spc);
/* A block that is sampled whatever the countdown of its store says. */
void *mcache_pop_sampled(struct mcache *c, spanclass_t spc);
/* Makes room in a full open store. */
void mcache_overflow(struct mcache *c, spanclass_t spc);
/* Takes the room of a store without slots away, or gives a closed one none. */
void mcache_shut_store(struct mcache *c, unsigned spc);
/* Gives the n coldest slots of a store back. */
void mcache_give_back(struct mcache *c, unsigned spc, size_t n);

/* ---- mcache_sample.c ------------------------------------------------------------------------- */

/* Counts bytes of a tiny or large block.  True: it is to be sampled. */
bool mcache_count_bytes(struct mcache *c, size_t nbytes);
/* Raises left to the blocks before the next sampled one. */
void mcache_draw_left(struct mcache *c, unsigned spc);
/* Draws all countdowns anew. */
void mcache_draw_again(struct mcache *c, uint64_t rate);
/* In a child after fork: its samples must not be those of its parent and of all other children. */
void mcache_sample_apart(struct mcache *c);
/* Left has gone below zero: a block of spc is to be sampled (true), or guarded (then it is due). */
bool mcache_count_hit(struct mcache *c, unsigned spc);
/* Counts a tiny or large block. */
void mcache_count_guard(struct mcache *c);
/* Has a block that was just made come to be guarded?  Asked once, by who made it. */
GA_INLINE bool mcache_take_guard(struct mcache *c) {
    bool due = c->guard_due;
    c->guard_due = false;
    return due;
}
/* Tells the profile of a block that its caller is about to hand out.  True: it has a special now,
 * and its bit must stay clear. */
bool mcache_sample(struct mcache *c, void *p, size_t size);
/* Of all caches of the heap, and those to come; returns the former one. */
uint64_t mcaches_set_sample_rate(struct mheap *h, uint64_t rate);
/* Mean number of blocks between two that are guarded; 0: none, 1: all. */
uint64_t mcaches_set_guard_rate(struct mheap *h, uint64_t rate);

/* ---- mcache_age.c: by the owner, or while it is stopped -------------------------------------- */

/* Ages one store, or all that the cache has. */
void mcache_age_store(struct mcache *c, unsigned spc);
void mcache_age(struct mcache *c);
/* Ages all caches of the heap: those whose owner can't be stopped are asked to do it themselves.
 * Returns whether any may still hold something. */
bool mcaches_age(struct mheap *h);
/* Slow paths call it: what others want of this cache.  Throws nothing away but what is spare. */
void mcache_obey(struct mcache *c);

/* Stops one bracketed cache until mcache_start, unless its owner is at work for longer than a
 * moment: false.  mcaches.lock must be held. */
bool mcache_try_stop(struct mcache *c);
void mcache_start(struct mcache *c);
/* Stops all caches of the heap, the caller's own included, until world_start. */
void world_stop(struct mheap *h);
void world_start(struct mheap *h);
/* In the child, after world_start: no thread but the caller's, whose cache is mine, exists any
 * more.  The caches of the others are given back, or (of interpreters) are at rest. */
void mcaches_after_fork(struct mheap *h, const struct mcache *mine);

void mcache_enter_slow(struct mcache *c);

GA_INLINE void mcache_enter(struct mcache *c) {
#ifdef GA_THREAD_SANITIZER
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

/* Blocks of spc that c has handed out. */
GA_INLINE uint64_t mcache_nmalloc(const struct mcache *c, unsigned spc) {
    return c->cold[spc].granted - (uint64_t)c->left[spc];
}
/* The scan class for a request of size <= GA_SCAN_STORE_MAX; of the cache of an interpreter, which
 * gets 16 bytes at least: half of all slots of 8 are no multiple of 16, and its free is fast for
 * those only. */
GA_INLINE uint8_t mcache_scan_class(const struct mcache *c, size_t size) {
    return c->scan_class[size];
}

GA_INLINE bool mcache_is_closed(const struct mcache *c, unsigned pageclass) {
    return c->limit[pageclass] == &c->closed[1];
}
GA_INLINE bool mcache_is_shut(const struct mcache *c, unsigned spc) {
    return c->limit[spc] == &c->shut[1];
}
/* Bytes of a slot; not of the tiny class, whose stores are never open. */
GA_INLINE size_t store_elemsize(size_t spc) {
    return class_to_size[spanclass_sizeclass((unsigned)spc)];
}
/* A store of coarse slots that was not asked for many since it was shut keeps none. */
GA_INLINE bool mcache_keeps_none(const struct mcache *c, unsigned spc) {
    return mcache_is_shut(c, spc) && store_elemsize(spc) > GA_COARSE_BYTES &&
           c->cold[spc].singles < GA_COARSE_SINGLES;
}
/* Slots that wait in a store. */
GA_INLINE size_t mcache_waiting(const struct mcache *c, unsigned spc) {
    bool none = mcache_is_closed(c, spc) || mcache_is_shut(c, spc);
    return none ? 0 : (size_t)(c->top[spc] - c->cold[spc].base);
}

/* The granule of a free slot, now live, or 0: then mcache_pop_slow. */
GA_INLINE uintptr_t store_pop(struct mcache *c, unsigned spc, bool shared) {
    struct free_slot *slot = c->top[spc] - 1;
    uintptr_t granule = slot->granule;
    if (GA_UNLIKELY(granule == 0))
        return 0;
    if (GA_UNLIKELY(--c->left[spc] < 0))
        return 0;
    c->top[spc] = slot;
    heap_word_set(slot->bits, granule, shared);
    CLIENT_MADE((void *)granule_addr(granule), store_elemsize(spc), false);
    return granule;
}

/* Takes a block back, by its granule, whose bit is in *bits.  False: nothing is done, and the slow
 * path finds out why (full, closed, or not a live block). */
GA_INLINE bool store_push(struct mcache *c, size_t spc, uint64_t *bits, uintptr_t granule,
                          bool shared) {
    struct free_slot *top = c->top[spc];
    if (GA_UNLIKELY(top == c->limit[spc]))
        return false;
    if (GA_UNLIKELY(!heap_word_clear(bits, granule, shared)))
        return false;
    CLIENT_FREED((void *)granule_addr(granule), store_elemsize(spc));
    top->granule = granule;
    top->bits = bits;
    c->top[spc] = top + 1;
    return true;
}

#endif

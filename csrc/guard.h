/* guard: few blocks, each alone between inaccessible pages (as GWP-ASan's).
 *
 * A pool is a stretch of reserved address space, outside of all arenas, cut into slots:
 *
 *     | slot 0                  | guard page | slot 1                  | guard page | ...
 *       block ....... no access                no access ....... block
 *
 * It has two areas: slots of a page, for what fits, and behind them larger ones.  A block stands,
 * in turn, at the end of its slot, so that what runs over its end faults, or at the start, so that
 * what comes before it does.  What is left of its pages is filled, and looked at when it is freed.
 * Only the pages of a live block are accessible.
 *
 * Freed, they are inaccessible at once, and the slot goes to the end of a queue: whoever touches
 * the block faults until the slot is used again.  That is late.  Who looks for a bug has every
 * slot used before a freed one is used again, their pages withdrawn, and all that is left of them
 * filled.
 *
 * In production it is the cost that counts, and most of that is the kernel's, and memory that is
 * in no cache.  So few slots are used by turns; the page of each stays, and is a mapping of its
 * own, as the pages next to it do not have its advice (os_hugepage).  Then the kernel need neither
 * make nor join mappings, nor find and clear memory.  Freed slots beyond those few retire: they
 * are withdrawn, and used when no other is to be had.  And only a margin is filled.  What is left
 * of the cost is bounded: in so much processor time (GA_GUARD_PACE) one comes in, what else is due
 * does not.
 *
 * A live block cannot leave its slot, and programs begin with many that stay.  So the fuller the
 * pool, the fewer come in: with each of its GA_GUARD_STEPS parts that is taken, half as many.  A
 * pool that the first blocks of a program could fill would guard none of the later ones.
 *
 * free and realloc know the blocks of a pool by their address.  A fault in it is told by the block,
 * and by where it was made and freed (guard_fault.c).
 *
 * Lock: guards.lock for the queues and the slots; a fault is told without. */
#ifndef GA_GUARD_H
#define GA_GUARD_H

#include <stdatomic.h>

#include "config.h"
#include "domain.h"
#include "lock.h"
#include "os.h"
#include "rng.h"

#define GUARD_FILL 0xFD

/* Where a block was made or freed: what the pool's tracer says. */
struct guard_trace {
    uint32_t n;
    uint32_t thread;
    uint32_t locs[GA_GUARD_FRAMES]; /* leaf first */
};

/* How the calling thread's stack is found, and written to stderr from a signal handler. */
struct guard_tracer {
    void (*take)(void *ctx, enum ga_domain domain, struct guard_trace *out);
    void (*write)(void *ctx, const struct guard_trace *trace, const char *title);
    void *ctx;
};

enum guard_state { GUARD_UNUSED, GUARD_LIVE, GUARD_FREED };

struct guard_slot {
    uintptr_t p; /* the block, or the last one */
    size_t size; /* that was asked for */
    uint8_t state;
    uint8_t domain;
    bool apart;      /* its page is a mapping of its own; if freed, it is kept */
    uint32_t margin; /* bytes at most that are filled on either side of the block */
    uint32_t next; /* in a list, if freed */
    struct guard_trace made, freed;
};

/* Slots of one size. */
struct guard_area {
    uintptr_t base; /* of the first */
    size_t stride;  /* a slot and its guard page */
    struct guard_slot *slots;
    uint32_t nslots;
    uint32_t nused; /* slots from here on have never been used */
    uint32_t nfreed, first, last; /* the queue of those that wait */
    uint32_t retired;             /* a list */
    _Atomic uint32_t keeps; /* freed ones wait with their pages, so many; 0: all, without */
    _Atomic uint64_t nlive;
};

#define GUARD_NONE UINT32_MAX

struct guards {
    struct os *os;
    struct guard_tracer tracer;
    uintptr_t base;
    size_t nbytes; /* of the reservation */
    size_t page;   /* of the system */
    struct mutex lock;
    bool at_start; /* where the next block stands */
    bool told;     /* that it is half full */
    struct rng rng;
    uint64_t next_at; /* ns: none comes in before, */
    _Atomic uint64_t pace; /* and then none for so long; 0: whenever one is due */
    _Atomic uint32_t looks;  /* calls of guard_watch_on */
    _Atomic uint64_t mapped; /* bytes of live blocks' pages */
    _Atomic uint64_t kept;   /* and of freed ones that stay */
    struct guard_area small, large;
    struct guard_slot slots[GA_GUARD_SLOTS + GA_GUARD_LARGE_SLOTS]; /* by address */
};

/* tracer may be NULL.  NULL: out of memory. */
struct guards *guards_new(struct os *os, const struct guard_tracer *tracer);
void guards_delete(struct guards *g);
/* Bytes of ours that a pool takes. */
size_t guards_bytes(const struct guards *g);
/* One in `rate` blocks is to be guarded: for how long a freed one waits. */
void guards_expect(struct guards *g, uint64_t rate);
uint64_t guards_live(const struct guards *g);

/* Whether a block that is due comes in.  Says once, on stderr, that the pool is half full. */
bool guard_wants(struct guards *g, size_t size);
/* A block, zero, aligned to 16.  NULL: too large, the pool is full, or out of memory. */
void *guard_malloc(struct guards *g, size_t size, enum ga_domain domain);
/* p is in the pool.  Throws what is wrong. */
void guard_free(struct guards *g, void *p, enum ga_domain domain, enum ga_call call);
/* What was asked for; throws as guard_free does. */
size_t guard_size(struct guards *g, void *p, enum ga_domain domain, enum ga_call call);
/* The same; UINT64_MAX: p is no live block.  *domain: whose it is. */
size_t guard_peek(struct guards *g, const void *p, enum ga_domain *domain);

GA_INLINE bool guards_own(const struct guards *g, const void *p) {
    return g != NULL && (uintptr_t)p - g->base < g->nbytes;
}

/* Of an address in the pool. */
GA_INLINE const struct guard_area *guard_area_of(const struct guards *g, uintptr_t addr) {
    return addr < g->large.base ? &g->small : &g->large;
}

/* The slot at an address, or before the guard page there. */
GA_INLINE uint32_t guard_slot_index(const struct guards *g, uintptr_t addr) {
    const struct guard_area *a = guard_area_of(g, addr);
    size_t i = addr < a->base ? 0 : (addr - a->base) / a->stride;
    return (uint32_t)(a->slots + i - g->slots);
}

/* ---- guard_fault.c -------------------------------------------------------------------------- */

/* Ends the process with a line, and the stacks of slot s (NULL: none). */
_Noreturn void guard_throw(const struct guards *g, const struct guard_slot *s, const char *fmt, ...)
    __attribute__((format(printf, 3, 4), cold));
/* Faults in the pool are told from now on; others go to who handled SIGSEGV before.  One pool in a
 * process. */
void guard_watch(struct guards *g);
/* To be called whenever a block is made: others set handlers, too.  Each GA_GUARD_WATCH_EVERY-th
 * call looks, as each look is a call of the system. */
void guard_watch_on(struct guards *g);

#endif

/* scavenger: gives back, by the clock, what the program no longer needs.
 *
 * A delay is the time that memory must have been spare for; it is seen in ticks, GA_SCAVENGE_TICKS
 * to a delay.  At each tick caches and centrals age (mcache_age.c, mcentral_scavenge.c), which
 * makes free runs of what they kept; what the heap then has beyond its goal (mheap_scavenge.c) goes
 * back bit by bit.  Every few ticks all spans with room are swept for vacant pages.
 *
 * Nothing here waits or reads a clock: who calls scavenger_step says what time it is, and when to
 * come again is the answer.  background.c is who calls it for the heap of the process.
 * Lock: scavenger_step has one caller at a time; the floors below lock what they touch.  The
 * counters are atomic. */
#ifndef GA_SCAVENGER_H
#define GA_SCAVENGER_H

#include "malloc.h"

#define GA_SCAVENGE_NEVER UINT64_MAX /* of a delay, or of a time to come again */

struct scavenger {
    _Atomic uint64_t delay; /* ns */
    uint64_t tick_at;       /* when the next tick is due; 0: there was none */
    bool ticked;            /* in the last step */
    unsigned tick;          /* ticks so far */
    unsigned quiet;         /* ticks in a row in which nothing was freed and no cache was used */
    struct mcentral *sweep_set; /* the central that is swept; NULL: no sweep goes on */
    unsigned sweep_index;
    uint64_t swept; /* bytes given back inside of spans so far; mcaches.lock */
    _Atomic uint64_t nanotime; /* ns of processor time so far */
};

/* Fills in h->scavenger.  False: out of memory. */
bool scavenger_init(struct mheap *h);

/* Does what is due at time now (ns, monotonic): a tick, or a chunk or a few spans given back.
 * Returns in how many ns to come again: 0, there is more to do at once (as pacing allows);
 * GA_SCAVENGE_NEVER, nothing is left to do until something is freed (mheap.active). */
uint64_t scavenger_step(struct mheap *h, uint64_t now);

/* ns, GA_SCAVENGE_NEVER for never; returns the former delay. */
uint64_t scavenger_set_delay(struct mheap *h, uint64_t delay);

/* Gives everything back that can be, at once: what caches hold too, vacant pages inside spans, all
 * free runs.  Returns the bytes.  As with world_stop, the caller holds the GIL of its
 * interpreter. */
size_t heap_free_os_memory(struct mheap *h);

#endif

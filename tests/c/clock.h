/* A heap with a scavenger and a clock that the test turns.  It comes and goes as the thread in the
 * background does: woken when something is freed, gone when nothing is left to do. */
#ifndef GA_TEST_CLOCK_H
#define GA_TEST_CLOCK_H

#include "blocks.h"
#include "scavenger.h"

#define CLOCK_DELAY 80000000u /* ns */
#define CLOCK_TICK (CLOCK_DELAY / GA_SCAVENGE_TICKS)

struct clocked {
    struct rig rig;
    uint64_t now;
    bool running, unchecked;
};

static struct clocked *clock_of_wake; /* wake is told of the heap only */

static inline void clock_wake(struct mheap *h) {
    CHECK_EQ(h, clock_of_wake->rig.h);
    if (atomic_load(&h->scavenger->delay) != GA_SCAVENGE_NEVER)
        clock_of_wake->running = true;
}

static inline void clock_open(struct clocked *t, enum arena_layout layout, enum mcache_kind kind) {
    *t = (struct clocked){.rig = rig_open(layout, kind), .now = 12345};
    clock_of_wake = t;
    CHECK(scavenger_init(t->rig.h));
    atomic_store(&t->rig.h->active, false);
    t->rig.h->wake = clock_wake;
    scavenger_set_delay(t->rig.h, CLOCK_DELAY);
}

static inline void clock_close(struct clocked *t) { rig_close(&t->rig); }

static inline uint64_t clock_step(struct clocked *t) {
    struct mheap *h = t->rig.h;
    uint64_t wait = scavenger_step(h, t->now);
    if (!t->unchecked) {
        CHECK_HEAP(h);
        check_memstats(h);
        check_memstats_slow(h);
    }
    return wait;
}

/* Lets ns pass.  What there is to do at one moment must come to an end. */
static inline void clock_pass(struct clocked *t, uint64_t ns) {
    uint64_t end = t->now + ns;
    for (unsigned steps = 0; t->running;) {
        uint64_t wait = clock_step(t);
        CHECK(++steps < 1000000);
        if (wait == GA_SCAVENGE_NEVER) {
            t->running = atomic_load(&t->rig.h->active) &&
                         atomic_load(&t->rig.h->scavenger->delay) != GA_SCAVENGE_NEVER;
            continue;
        }
        if (wait > end - t->now)
            break;
        t->now += wait;
    }
    t->now = end;
}

/* Until the scavenger has gone by itself, which must not take long. */
static inline void clock_run_out(struct clocked *t) {
    for (unsigned ticks = 0; t->running; ticks++) {
        CHECK(ticks < 100);
        if (ticks == 100)
            return;
        clock_pass(t, CLOCK_TICK);
    }
}

/* Nothing is in use, and the system has everything. */
static inline void check_all_is_back(const struct mheap *h) {
    CHECK_EQ(h->pages_in_use, 0);
    CHECK_EQ(h->pages_manual, 0);
    CHECK_EQ(h->released, h->mapped);
    CHECK_EQ(atomic_load(&h->inuse_released), 0);
}

static inline uint64_t os_calls(const struct mheap *h) { return atomic_load(&h->os.ncalls); }

#endif

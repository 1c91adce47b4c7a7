/* The scavenger, on a clock that the test turns: what goes back when, and that it ends. */
#include "clock.h"

#include <string.h>

enum { NBLOCKS = 2000 };

static unsigned char *block[NBLOCKS];

static void alloc_all(struct clocked *t, int n, size_t size) {
    for (int i = 0; i < n; i++)
        CHECK((block[i] = ga_malloc(t->rig.h, t->rig.c, size, true)) != NULL);
}

static void free_all(struct clocked *t, int n) {
    for (int i = 0; i < n; i++)
        CHECK_EQ(ga_free(t->rig.h, t->rig.c, block[i]), MISUSE_NONE);
}

/* ---- when ----------------------------------------------------------------------------------- */

/* What is freed is kept for a delay, and then goes. */
static void test_a_delay_later(enum arena_layout layout) {
    struct clocked t;
    clock_open(&t, layout, MCACHE_THREAD);
    alloc_all(&t, 20, 300 * GA_KIB);
    clock_pass(&t, 20 * CLOCK_TICK);
    uint64_t never_used = t.rig.h->released;
    free_all(&t, 20);
    CHECK(t.running);
    uint64_t kept = rig_kept(t.rig.h);
    CHECK(kept >= 20 * 300 * GA_KIB);
    clock_pass(&t, CLOCK_DELAY - 1);
    CHECK_EQ(t.rig.h->released, never_used);
    CHECK_EQ(t.rig.h->scavenge.bytes, 0);
    clock_pass(&t, 3 * CLOCK_TICK);
    check_all_is_back(t.rig.h);
    CHECK_EQ(t.rig.h->scavenge.bytes, kept);
    clock_run_out(&t);
    CHECK_EQ(scavenger_step(t.rig.h, t.now), CLOCK_TICK); /* as if it had just begun */
    clock_close(&t);
}

/* Half stays in use: as much as is beyond it goes, no more. */
static void test_the_surplus_only(void) {
    struct clocked t;
    const size_t each = 128 * GA_KIB; /* whole pages of any system */
    clock_open(&t, LAYOUT_SPARSE, MCACHE_THREAD);
    alloc_all(&t, 40, each);
    for (int i = 0; i < 40; i += 2)
        CHECK_EQ(ga_free(t.rig.h, t.rig.c, block[i]), MISUSE_NONE);
    for (int turn = 0; turn < 30; turn++) { /* a quarter comes and goes, again and again */
        for (int i = 0; i < 20; i += 2)
            block[i] = ga_malloc(t.rig.h, t.rig.c, each, true);
        clock_pass(&t, CLOCK_DELAY / 3);
        for (int i = 0; i < 20; i += 2)
            CHECK_EQ(ga_free(t.rig.h, t.rig.c, block[i]), MISUSE_NONE);
        clock_pass(&t, CLOCK_DELAY / 3);
    }
    CHECK_EQ(t.rig.h->pages_in_use << GA_PAGE_SHIFT, 20 * each);
    CHECK_EQ(rig_kept(t.rig.h), 10 * each);
    clock_run_out(&t);
    CHECK_EQ(rig_kept(t.rig.h), 0);
    clock_close(&t);
}

/* A program that needs the same again within a delay hardly meets the scavenger: another order of
 * frees may leave holes, so that a little more than the peak is touched.  Whole runs are left
 * alone. */
static void test_a_loop_is_left_alone(size_t size, int n, unsigned parts) {
    enum { TURNS = 60, WARM = 20 };
    struct clocked t;
    clock_open(&t, LAYOUT_SPARSE, MCACHE_THREAD);
    t.unchecked = true;
    uint64_t calls = 0, given = 0;
    for (int turn = 0; turn < TURNS; turn++) {
        if (turn == WARM) { /* from here on nothing new is needed */
            calls = os_calls(t.rig.h);
            given = t.rig.h->scavenge.bytes;
        }
        alloc_all(&t, n, size);
        clock_pass(&t, CLOCK_DELAY / parts);
        free_all(&t, n);
        clock_pass(&t, CLOCK_DELAY / parts);
    }
    given = t.rig.h->scavenge.bytes - given;
    CHECK(given <= (TURNS - WARM) * ga_max(n * size / 20, os_page_size()));
    if (size > GA_MAX_SMALL_SIZE)
        CHECK_EQ(os_calls(t.rig.h), calls);
    clock_run_out(&t);
    check_all_is_back(t.rig.h);
    clock_close(&t);
}

static void test_never(void) {
    struct clocked t;
    clock_open(&t, LAYOUT_SPARSE, MCACHE_THREAD);
    CHECK_EQ(scavenger_set_delay(t.rig.h, GA_SCAVENGE_NEVER), CLOCK_DELAY);
    alloc_all(&t, 10, 100 * GA_KIB);
    free_all(&t, 10);
    uint64_t calls = os_calls(t.rig.h);
    for (int i = 0; i < 100; i++, t.now += CLOCK_TICK)
        CHECK_EQ(clock_step(&t), GA_SCAVENGE_NEVER);
    clock_run_out(&t);
    CHECK_EQ(os_calls(t.rig.h), calls);
    CHECK_EQ(scavenger_set_delay(t.rig.h, CLOCK_DELAY), GA_SCAVENGE_NEVER);
    CHECK(t.running); /* it is told */
    clock_run_out(&t);
    check_all_is_back(t.rig.h);
    clock_close(&t);
}

/* A new delay counts at once, whichever is longer, and 0 is one too. */
static void test_changed_delay(void) {
    const uint64_t other[] = {0, CLOCK_TICK, 100u * CLOCK_DELAY};
    for (unsigned i = 0; i < 3; i++) {
        struct clocked t;
        clock_open(&t, LAYOUT_SPARSE, MCACHE_THREAD);
        scavenger_set_delay(t.rig.h, other[i]);
        alloc_all(&t, 10, 100 * GA_KIB);
        clock_pass(&t, 2 * CLOCK_TICK);
        free_all(&t, 10);
        clock_pass(&t, other[i] == 0 ? 20 * GA_SCAVENGE_TICK_MIN : other[i] - 1);
        CHECK_EQ(rig_kept(t.rig.h) == 0, other[i] == 0);
        CHECK_EQ(scavenger_set_delay(t.rig.h, CLOCK_DELAY), other[i]);
        clock_pass(&t, CLOCK_DELAY + 3 * CLOCK_TICK);
        CHECK_EQ(rig_kept(t.rig.h), 0);
        clock_close(&t);
    }
}

/* Gone for long, it takes no old peak for a need, and comes back for what is new. */
static void test_comes_again(void) {
    struct clocked t;
    clock_open(&t, LAYOUT_SPARSE, MCACHE_THREAD);
    for (int turn = 0; turn < 3; turn++) {
        alloc_all(&t, 10, 100 * GA_KIB);
        clock_pass(&t, 1000u * CLOCK_DELAY);
        CHECK(!t.running);
        free_all(&t, 10);
        CHECK(t.running);
        clock_pass(&t, CLOCK_DELAY - 1);
        CHECK(rig_kept(t.rig.h) != 0);
        clock_run_out(&t);
        check_all_is_back(t.rig.h);
    }
    clock_close(&t);
}

/* A thread that is kept from its processor comes late for each tick: all goes back even so. */
static void test_always_late(void) {
    struct clocked t;
    clock_open(&t, LAYOUT_SPARSE, MCACHE_THREAD);
    alloc_all(&t, 20, 300 * GA_KIB);
    free_all(&t, 20);
    alloc_all(&t, NBLOCKS, 640);
    for (int i = 0; i < NBLOCKS; i++)
        if (i % 100 != 50)
            CHECK_EQ(ga_free(t.rig.h, t.rig.c, block[i]), MISUSE_NONE);
    for (unsigned steps = 0; steps < 2000 && clock_step(&t) != GA_SCAVENGE_NEVER; steps++)
        t.now += 2 * CLOCK_TICK;
    CHECK_EQ(rig_kept(t.rig.h), 0);
    CHECK_EQ(atomic_load(&t.rig.h->inuse_released) != 0, os_page_size() <= GA_PAGE_SIZE);
    for (int i = 50; i < NBLOCKS; i += 100)
        CHECK_EQ(ga_free(t.rig.h, t.rig.c, block[i]), MISUSE_NONE);
    clock_close(&t);
}

/* ---- what ----------------------------------------------------------------------------------- */

static size_t size_of(int i) {
    return i % 50 == 49 ? 40000 + (size_t)i * 50 : i % 3 == 0 ? 1 + (size_t)i % 15
                                                               : 16 + (size_t)i * 13 % 4000;
}

/* Small, tiny and large blocks, stacks, whichever cache has them: all of it. */
static void test_everything_goes_back(enum arena_layout layout, enum mcache_kind kind) {
    struct clocked t;
    void *stack[20];
    clock_open(&t, layout, kind);
    for (int turn = 0; turn < 3; turn++) {
        for (int i = 0; i < NBLOCKS; i++)
            block[i] = ga_malloc(t.rig.h, t.rig.c, size_of(i), true);
        for (unsigned i = 0; i < 20; i++)
            stack[i] = stack_alloc(t.rig.h, &t.rig.c->stackcache, GA_STACK_MIN << i % 6);
        clock_pass(&t, 3 * CLOCK_TICK);
        for (int i = 0; i < NBLOCKS; i++)
            CHECK_EQ(ga_free(t.rig.h, t.rig.c, block[i]), MISUSE_NONE);
        for (unsigned i = 0; i < 20; i++)
            CHECK(stack_free(t.rig.h, &t.rig.c->stackcache, stack[i], GA_STACK_MIN << i % 6));
        clock_run_out(&t);
        check_all_is_back(t.rig.h);
    }
    clock_close(&t);
}

/* Stores that were opened while the scavenger was away, and then filled without a slow path. */
static void test_opened_while_it_was_away(void) {
    struct clocked t;
    clock_open(&t, LAYOUT_SPARSE, MCACHE_THREAD);
    clock_run_out(&t);
    for (size_t size = 16; size <= 4096; size += 48) {
        void *p = ga_malloc(t.rig.h, t.rig.c, size, true);
        clock_run_out(&t);
        CHECK_EQ(ga_free(t.rig.h, t.rig.c, p), MISUSE_NONE);
    }
    alloc_all(&t, 60, 512);
    free_all(&t, 60);
    clock_run_out(&t);
    check_all_is_back(t.rig.h);
    clock_close(&t);
}

/* A program that works from its stores alone frees nothing that anybody hears of, until it
 * stops. */
static void test_quiet_work(void) {
    struct clocked t;
    clock_open(&t, LAYOUT_SPARSE, MCACHE_THREAD);
    alloc_all(&t, 60, 512);
    free_all(&t, 60);
    for (int turn = 0; turn < 300; turn++) {
        alloc_all(&t, 20, 512);
        free_all(&t, 20);
        clock_pass(&t, CLOCK_TICK / 3);
    }
    clock_run_out(&t);
    check_all_is_back(t.rig.h);
    clock_close(&t);
}

/* One block of a hundred stays: the vacant pages of their spans go back as well. */
static void test_inside_spans(enum arena_layout layout) {
    struct clocked t;
    clock_open(&t, layout, MCACHE_THREAD);
    alloc_all(&t, NBLOCKS, 640);
    for (int i = 0; i < NBLOCKS; i++)
        memset(block[i], i % 251, 640);
    for (int i = 0; i < NBLOCKS; i++)
        if (i % 100 != 50)
            CHECK_EQ(ga_free(t.rig.h, t.rig.c, block[i]), MISUSE_NONE);
    clock_run_out(&t);
    uint64_t in_use = t.rig.h->pages_in_use << GA_PAGE_SHIFT;
    uint64_t back = atomic_load(&t.rig.h->inuse_released);
    /* two pages of the system are the most that a block of this size can lie on */
    CHECK(in_use - back <= NBLOCKS / 100 * 2 * os_page_size());
    CHECK_EQ(t.rig.h->scavenger->swept, back);
    for (int i = 50; i < NBLOCKS; i += 100) {
        for (int at = 0; at < 640; at++)
            CHECK_EQ(block[i][at], i % 251);
        CHECK_EQ(ga_free(t.rig.h, t.rig.c, block[i]), MISUSE_NONE);
    }
    clock_run_out(&t);
    check_all_is_back(t.rig.h);
    clock_close(&t);
}

/* heap_free_os_memory does at once what the clock does in time. */
static void test_at_once(void) {
    struct clocked t;
    clock_open(&t, LAYOUT_SPARSE, MCACHE_HEAP);
    alloc_all(&t, NBLOCKS, 640);
    for (int i = 0; i < NBLOCKS; i++)
        if (i % 100 != 50)
            CHECK_EQ(ga_free(t.rig.h, t.rig.c, block[i]), MISUSE_NONE);
    uint64_t before = t.rig.h->released;
    size_t given = heap_free_os_memory(t.rig.h);
    CHECK_EQ(given, t.rig.h->released - before + atomic_load(&t.rig.h->inuse_released));
    CHECK(given > 0 && rig_kept(t.rig.h) == 0);
    CHECK_EQ(heap_free_os_memory(t.rig.h), 0);
    check_memstats_slow(t.rig.h);
    CHECK_HEAP(t.rig.h);
    for (int i = 50; i < NBLOCKS; i += 100)
        CHECK_EQ(ga_free(t.rig.h, t.rig.c, block[i]), MISUSE_NONE);
    CHECK(heap_free_os_memory(t.rig.h) > 0);
    check_all_is_back(t.rig.h);
    clock_close(&t);
}

/* ---- interpreters, whose cache is not always to be had --------------------------------------- */

static bool at_rest;
static unsigned held;

static bool hold(struct mcache *c) {
    (void)c;
    held += at_rest;
    return at_rest;
}
static void let_go(struct mcache *c) {
    (void)c;
    held--;
}

static void test_an_interpreter(void) {
    struct clocked t;
    clock_open(&t, LAYOUT_SPARSE, MCACHE_INTERP);
    t.rig.h->caches->hold_interp = hold;
    t.rig.h->caches->let_go_interp = let_go;
    at_rest = false;
    for (int i = 0; i < NBLOCKS; i++)
        block[i] = ga_malloc(t.rig.h, t.rig.c, 640, false);
    free_all(&t, NBLOCKS);
    clock_pass(&t, 10u * CLOCK_DELAY); /* it computes all the while, and allocates nothing */
    CHECK(t.rig.h->pages_in_use != 0);
    CHECK(atomic_load(&t.rig.c->age_wanted));
    CHECK(t.running); /* there is still something to get */
    at_rest = true;
    clock_run_out(&t);
    CHECK_EQ(held, 0);
    check_all_is_back(t.rig.h);
    CHECK(!atomic_load(&t.rig.c->age_wanted)); /* it is as it should be now */
    clock_close(&t);
}

int main(void) {
    for (int layout = LAYOUT_SPARSE; layout <= LAYOUT_LINEAR; layout++) {
        test_a_delay_later((enum arena_layout)layout);
        test_everything_goes_back((enum arena_layout)layout, MCACHE_THREAD);
        test_everything_goes_back((enum arena_layout)layout, MCACHE_ORPHAN);
        test_inside_spans((enum arena_layout)layout);
    }
    test_the_surplus_only();
    for (unsigned parts = 3; parts <= 12; parts *= 2) {
        test_a_loop_is_left_alone(300 * GA_KIB, 20, parts);
        test_a_loop_is_left_alone(20000, 200, parts);
        test_a_loop_is_left_alone(500, NBLOCKS, parts);
    }
    test_never();
    test_changed_delay();
    test_comes_again();
    test_always_late();
    test_opened_while_it_was_away();
    test_quiet_work();
    test_at_once();
    test_an_interpreter();
    return check_summary();
}

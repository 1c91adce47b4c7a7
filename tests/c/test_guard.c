/* Blocks between guard pages: where they stand, that pools are bounded, which slot is used again
 * when, and that faults elsewhere are handed on.  threads: several at once make blocks and free
 * each other's. */
#include "guard.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

static struct os os;

static bool is_filled(const unsigned char *p, size_t n, int byte) {
    for (size_t i = 0; i < n; i++)
        if (p[i] != byte)
            return false;
    return true;
}

static void test_placement(void) {
    struct guards *g = guards_new(&os, NULL);
    static const size_t sizes[] = {0, 1, 15, 16, 17, 100, 4096, 4097, 100000, GA_GUARD_BYTES};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t n = sizes[i];
        unsigned char *at_start = guard_malloc(g, n, DOMAIN_RAW),
                      *at_end = guard_malloc(g, n, DOMAIN_MEM);
        enum ga_domain domain;
        CHECK(guards_own(g, at_start) && guards_own(g, at_end));
        CHECK_EQ((uintptr_t)at_start % g->page, 0);
        CHECK_EQ((uintptr_t)at_end % 16, 0);
        CHECK_EQ(((uintptr_t)at_end + ga_align_up(ga_max(n, 1), 16)) % g->page, 0);
        CHECK(is_filled(at_start, n, 0) && is_filled(at_end, n, 0));
        CHECK_EQ(guard_size(g, at_start, DOMAIN_RAW, CALL_FREE), n);
        CHECK_EQ(guard_peek(g, at_end, &domain), n);
        CHECK_EQ(domain, DOMAIN_MEM);
        CHECK_EQ(guard_peek(g, at_end + 16, &domain), SIZE_MAX);
        memset(at_start, 0xAB, n);
        memset(at_end, 0xAB, n);
        guard_free(g, at_start, DOMAIN_RAW, CALL_FREE);
        guard_free(g, at_end, DOMAIN_MEM, CALL_FREE);
        CHECK_EQ(guard_peek(g, at_end, &domain), SIZE_MAX);
    }
    CHECK(guard_malloc(g, GA_GUARD_BYTES + 1, DOMAIN_RAW) == NULL);
    CHECK(guard_malloc(g, SIZE_MAX, DOMAIN_RAW) == NULL);
    CHECK(!guards_own(g, &g) && !guards_own(NULL, &g));
    CHECK_EQ(g->mapped, 0);
    guards_delete(g);
}

static uint32_t slot_of(const struct guards *g, const void *p) {
    return guard_slot_index(g, (uintptr_t)p);
}

/* With pages of 64 KiB even small blocks take up what may be mapped before all slots are taken. */
static bool all_slots_fit(void) { return GA_GUARD_SLOTS * os_page_size() <= GA_GUARD_MAPPED; }

/* All slots, then none; a freed one is used again when all others have been. */
static void test_queue(void) {
    if (!all_slots_fit())
        return;
    struct guards *g = guards_new(&os, NULL);
    char *blocks[GA_GUARD_SLOTS];
    for (unsigned i = 0; i < GA_GUARD_SLOTS; i++)
        CHECK((blocks[i] = guard_malloc(g, 64, DOMAIN_OBJ)) != NULL);
    CHECK_EQ(guards_live(g), GA_GUARD_SLOTS);
    CHECK(guard_malloc(g, 64, DOMAIN_OBJ) == NULL);
    guard_free(g, blocks[7], DOMAIN_OBJ, CALL_FREE);
    guard_free(g, blocks[3], DOMAIN_OBJ, CALL_FREE);
    char *first = guard_malloc(g, 64, DOMAIN_OBJ), *second = guard_malloc(g, 64, DOMAIN_OBJ);
    CHECK_EQ(slot_of(g, first), slot_of(g, blocks[7]));
    CHECK_EQ(slot_of(g, second), slot_of(g, blocks[3]));
    blocks[7] = first;
    blocks[3] = second;
    for (unsigned i = 0; i < GA_GUARD_SLOTS; i++)
        guard_free(g, blocks[i], DOMAIN_OBJ, CALL_FREE);
    CHECK_EQ(guards_live(g), 0);
    char *p = guard_malloc(g, 64, DOMAIN_OBJ);
    guard_free(g, p, DOMAIN_OBJ, CALL_FREE);
    for (unsigned i = 1; i < GA_GUARD_SLOTS; i++) {
        char *q = guard_malloc(g, 64, DOMAIN_OBJ);
        CHECK(slot_of(g, q) != slot_of(g, p));
        guard_free(g, q, DOMAIN_OBJ, CALL_FREE);
    }
    guards_delete(g);
}

static unsigned wanted_of(struct guards *g, size_t size, unsigned n) {
    unsigned wanted = 0;
    for (unsigned i = 0; i < n; i++)
        wanted += guard_wants(g, size);
    return wanted;
}

/* With each part of the pool that is taken half as many come in, by number or by size, and never
 * none while there is room. */
static void test_fewer_come_in_as_it_fills(void) {
    static const size_t sizes[] = {64, GA_GUARD_BYTES};
    for (size_t k = all_slots_fit() ? 0 : 1; k < 2; k++) {
        struct guards *g = guards_new(&os, NULL);
        size_t room = k == 0 ? GA_GUARD_SLOTS : GA_GUARD_MAPPED / GA_GUARD_BYTES, n = 0;
        char *blocks[GA_GUARD_SLOTS];
        for (unsigned step = 0; step < GA_GUARD_STEPS; step++) {
            while (n < (step * room + room / 2) / GA_GUARD_STEPS)
                CHECK((blocks[n++] = guard_malloc(g, sizes[k], DOMAIN_OBJ)) != NULL);
            unsigned wanted = wanted_of(g, sizes[k], 64u << step); /* 64 in the mean */
            CHECK(step == 0 ? wanted == 64 : 12 <= wanted && wanted <= 140);
            CHECK_EQ(g->told, step >= GA_GUARD_STEPS / 2);
        }
        while (n < room)
            CHECK((blocks[n++] = guard_malloc(g, sizes[k], DOMAIN_OBJ)) != NULL);
        CHECK_EQ(wanted_of(g, sizes[k], 1000), 0);
        CHECK(guard_malloc(g, sizes[k], DOMAIN_OBJ) == NULL);
        while (n > 0)
            guard_free(g, blocks[--n], DOMAIN_OBJ, CALL_FREE);
        CHECK_EQ(wanted_of(g, sizes[k], 1000), 1000);
        guards_delete(g);
    }
}

/* Asks the system, which does not fault. */
static bool is_accessible(const void *p) {
    int ends[2];
    CHECK_EQ(pipe(ends), 0);
    bool accessible = write(ends[1], p, 1) == 1;
    close(ends[0]);
    close(ends[1]);
    return accessible;
}

/* Each call of the system fails in turn; what could not be made is no loss, and what is freed is
 * inaccessible: there are two ways. */
static void test_failing_system(uint64_t rate) {
    for (uint64_t k = 1; k < (rate == 1 ? 30 : 700); k += k < 30 ? 1 : 29) {
        struct os failing;
        os_init(&failing);
        atomic_store(&failing.fail_at, k);
        struct guards *g = guards_new(&failing, NULL);
        if (g == NULL) {
            CHECK(k <= 2);
            continue;
        }
        guards_expect(g, rate);
        size_t nfailed = 0, n = rate == 1 ? 10 : GA_GUARD_KEPT / g->page + 10;
        for (size_t i = 0; i < n; i++) {
            char *p = guard_malloc(g, 100, DOMAIN_OBJ);
            nfailed += p == NULL;
            if (p == NULL)
                continue;
            CHECK(is_filled((unsigned char *)p, 100, 0));
            memset(p, 1, 100);
            CHECK(is_accessible(p));
            guard_free(g, p, DOMAIN_OBJ, CALL_FREE);
            CHECK(!is_accessible(p));
        }
        CHECK(nfailed <= 1);
        CHECK_EQ(guards_live(g), 0);
        CHECK_EQ(g->mapped, 0);
        CHECK(g->kept <= GA_GUARD_KEPT);
        guards_delete(g);
    }
}

/* ---- in production -------------------------------------------------------------------------- */

/* How many blocks are made before the slot of a freed one is used again; each is as fresh ones are,
 * whatever was in its slot. */
static unsigned turns(struct guards *g, size_t size) {
    unsigned char *p = guard_malloc(g, size, DOMAIN_OBJ);
    uint32_t slot = slot_of(g, p), n = 0, other = slot + 1;
    guard_free(g, p, DOMAIN_OBJ, CALL_FREE);
    for (; other != slot; n++) {
        p = guard_malloc(g, size, DOMAIN_OBJ);
        CHECK(is_filled(p, size, 0));
        memset(p, 0xAB, size);
        other = slot_of(g, p);
        guard_free(g, p, DOMAIN_OBJ, CALL_FREE);
    }
    return n;
}

/* Few slots by turns, whose pages stay; those of more go when their blocks do. */
static void test_kept_pages(void) {
    struct guards *g = guards_new(&os, NULL);
    size_t keeps = GA_GUARD_KEPT / g->page, bare = guards_bytes(g);
    guards_expect(g, GA_GUARD_SEARCH_RATE + 1);
    for (size_t i = 0; i < 30; i++)
        CHECK(turns(g, i * g->page / 30) >= keeps / 2 && g->small.nused <= keeps);
    CHECK(guards_bytes(g) - bare >= GA_GUARD_KEPT / 2);
    char *blocks[GA_GUARD_SLOTS];
    size_t n = ga_min(GA_GUARD_SLOTS, GA_GUARD_MAPPED / g->page / 2);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < n; i++) {
            CHECK((blocks[i] = guard_malloc(g, 64, DOMAIN_OBJ)) != NULL);
            CHECK(is_filled((unsigned char *)blocks[i], 64, 0));
            memset(blocks[i], 0xAB, 64);
        }
        for (size_t i = 0; i < n; i++)
            guard_free(g, blocks[i], DOMAIN_OBJ, CALL_FREE);
        CHECK_EQ(g->mapped, 0);
        CHECK(turns(g, 100) <= keeps && g->kept <= GA_GUARD_KEPT);
    }
    guards_expect(g, GA_GUARD_SEARCH_RATE); /* and now somebody looks for a bug */
    CHECK(turns(g, 100) > n - 2);
    guards_expect(g, GA_GUARD_SEARCH_RATE + 1);
    CHECK(turns(g, 100) <= keeps && g->kept <= GA_GUARD_KEPT);
    guards_delete(g);
}

/* By processor time, and a few at once when none was due for long; who looks for a bug gets all
 * that are due. */
static void test_pace(void) {
    enum { DUE = 20000 };
    struct guards *g = guards_new(&os, NULL);
    guards_expect(g, GA_GUARD_SEARCH_RATE + 1);
    while (os_cputime_of_all() < (GA_GUARD_BURST + 1) * (uint64_t)GA_GUARD_PACE)
        continue;
    uint64_t begin = os_cputime_of_all();
    unsigned wanted = wanted_of(g, 64, DUE);
    uint64_t ns = os_cputime_of_all() - begin;
    CHECK(wanted >= GA_GUARD_BURST);
    CHECK(wanted <= GA_GUARD_BURST + 1 + ns / GA_GUARD_PACE);
    guards_expect(g, GA_GUARD_SEARCH_RATE);
    CHECK_EQ(wanted_of(g, 64, DUE), DUE);
    guards_delete(g);
}

/* ---- faults elsewhere ----------------------------------------------------------------------- */

static sigjmp_buf back;
static volatile sig_atomic_t seen;

static void their_handler(int number) {
    seen++;
    siglongjmp(back, number);
}

static void test_other_faults_are_passed_on(void) {
    struct guards *g = guards_new(&os, NULL);
    char *nowhere = os_reserve(&os, NULL, os_page_size());
    struct sigaction theirs, now;
    memset(&theirs, 0, sizeof theirs);
    theirs.sa_handler = their_handler;
    theirs.sa_flags = SA_NODEFER;
    sigaction(SIGSEGV, &theirs, NULL);
    guard_watch(g);
    sigaction(SIGSEGV, NULL, &now);
    CHECK(now.sa_handler != their_handler);
    for (unsigned i = 0; i < 3; i++) /* and again, whoever jumps out of it */
        if (sigsetjmp(back, 1) == 0)
            *(volatile char *)nowhere = 1;
    CHECK_EQ(seen, 3);
    sigaction(SIGSEGV, &theirs, NULL); /* they come again, on top of ours */
    guard_watch(g);
    sigaction(SIGSEGV, NULL, &now);
    CHECK(now.sa_handler != their_handler);
    sigaction(SIGSEGV, &theirs, NULL);
    for (unsigned i = 0; i < GA_GUARD_WATCH_EVERY; i++)
        guard_watch_on(g);
    sigaction(SIGSEGV, NULL, &now);
    CHECK(now.sa_handler != their_handler);
    signal(SIGSEGV, SIG_DFL);
    os_free(&os, nowhere, os_page_size());
    guards_delete(g);
}

static _Thread_local sigjmp_buf own_back;
static _Atomic int inside;

/* Comes back when two threads are in it. */
static void meeting_handler(int number) {
    atomic_fetch_add(&inside, 1);
    while (atomic_load(&inside) < 2)
        os_yield();
    siglongjmp(own_back, number);
}

static void *touch(void *nowhere) {
    if (sigsetjmp(own_back, 1) == 0)
        (void)*(volatile char *)nowhere;
    return NULL;
}

/* Runtimes that live on faults have them in several threads at once. */
static void test_faults_of_two_threads_are_passed_on(void) {
    struct guards *g = guards_new(&os, NULL);
    void *nowhere = os_reserve(&os, NULL, os_page_size());
    struct sigaction theirs;
    pthread_t thread[2];
    memset(&theirs, 0, sizeof theirs);
    theirs.sa_handler = meeting_handler;
    theirs.sa_flags = SA_NODEFER;
    sigaction(SIGSEGV, &theirs, NULL);
    guard_watch(g);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(pthread_create(&thread[i], NULL, touch, nowhere), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    CHECK_EQ(atomic_load(&inside), 2);
    signal(SIGSEGV, SIG_DFL);
    os_free(&os, nowhere, os_page_size());
    guards_delete(g);
}

/* ---- threads -------------------------------------------------------------------------------- */

#define PLACES 32
static _Atomic(char *) places[PLACES];

static void *churn(void *pool) {
    struct guards *g = pool;
    for (unsigned i = 0; i < 2000; i++) {
        char *p = guard_malloc(g, 1 + i % 5000, DOMAIN_RAW);
        if (p != NULL)
            memset(p, (int)i, 1 + i % 5000);
        char *other = atomic_exchange(&places[i % PLACES], p);
        if (other != NULL)
            guard_free(g, other, DOMAIN_RAW, CALL_FREE);
    }
    return NULL;
}

static void test_threads(uint64_t rate) {
    struct guards *g = guards_new(&os, NULL);
    guards_expect(g, rate);
    pthread_t threads[4];
    for (unsigned i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, churn, g);
    for (unsigned i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < PLACES; i++) {
        char *left = atomic_exchange(&places[i], NULL);
        if (left != NULL)
            guard_free(g, left, DOMAIN_RAW, CALL_FREE);
    }
    CHECK_EQ(guards_live(g), 0);
    guards_delete(g);
}

int main(void) {
    os_init(&os);
    test_placement();
    test_queue();
    test_fewer_come_in_as_it_fills();
    test_failing_system(1);
    test_failing_system(GA_GUARD_RATE_MAX);
    test_kept_pages();
    test_pace();
    test_other_faults_are_passed_on();
    test_faults_of_two_threads_are_passed_on();
    test_threads(1);
    test_threads(GA_GUARD_RATE_MAX);
    return check_summary();
}

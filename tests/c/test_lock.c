/* Mutexes exclude, and ranks may rise and be given back in any order; death_lock_order.c has the
 * orders that die.
 * threads: two locks around plain counters, from four threads. */
#include "lock.h"

#include <errno.h>

#include "check.h"

enum { NTHREADS = 4, ROUNDS = 20000 };

static struct shared {
    struct mutex central, heap;
    uint64_t under_both, under_heap;
} shared;

static void *count(void *arg) {
    struct shared *s = arg;
    for (int i = 0; i < ROUNDS; i++) {
        mutex_lock(&s->central);
        mutex_lock(&s->heap);
        s->under_both++;
        mutex_unlock(i % 2 ? &s->central : &s->heap);
        mutex_unlock(i % 2 ? &s->heap : &s->central);

        mutex_lock(&s->heap);
        s->under_heap++;
        mutex_unlock(&s->heap);
    }
    return NULL;
}

static void test_exclusion(void) {
    pthread_t threads[NTHREADS];
    mutex_init(&shared.central, GA_RANK_CENTRAL, "central");
    mutex_init(&shared.heap, GA_RANK_HEAP, "heap");
    for (int i = 0; i < NTHREADS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, count, &shared), 0);
    for (int i = 0; i < NTHREADS; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ(shared.under_both, NTHREADS * ROUNDS);
    CHECK_EQ(shared.under_heap, NTHREADS * ROUNDS);
    mutex_destroy(&shared.central);
    mutex_destroy(&shared.heap);
}

/* Every rank held at once, then given back from every starting point: the middle ones first. */
static void test_all_ranks(void) {
    enum { NRANKS = GA_RANK_LEAF + 1 };
    struct mutex locks[NRANKS];
    for (int i = 0; i < NRANKS; i++)
        mutex_init(&locks[i], (enum ga_lock_rank)i, "rank");
    for (int first = 0; first < NRANKS; first++) {
        for (int i = 0; i < NRANKS; i++)
            mutex_lock(&locks[i]);
        for (int i = 0; i < NRANKS; i++)
            CHECK_EQ(pthread_mutex_trylock(&locks[i].m), EBUSY);
        for (int i = 0; i < NRANKS; i++)
            mutex_unlock(&locks[(first + i) % NRANKS]);
        for (int i = 0; i < NRANKS; i++) {
            CHECK_EQ(pthread_mutex_trylock(&locks[i].m), 0);
            pthread_mutex_unlock(&locks[i].m);
        }
    }
    for (int i = 0; i < NRANKS; i++)
        mutex_destroy(&locks[i]);
}

int main(void) {
    test_all_ranks();
    test_exclusion();
    return check_summary();
}

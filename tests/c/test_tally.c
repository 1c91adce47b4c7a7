/* threads: exact sums from many threads, also those that have ended, and of the shared one. */
#include <pthread.h>
#include <string.h>

#include "check.h"
#include "tally.h"

#define THREADS 8
#define ROUNDS 1000

static struct tallies ts;

static void *count(void *arg) {
    size_t nbytes = (size_t)(uintptr_t)arg;
    struct tally *t = tally_take(&ts);
    CHECK(t != NULL);
    for (int i = 0; i < ROUNDS; i++) {
        tally_malloc(t, nbytes, false);
        tallies_shared_malloc(&ts, nbytes, true);
        tally_free(t);
    }
    tallies_shared_free(&ts);
    tally_leave(t);
    return NULL;
}

static unsigned tally_list_length(void) {
    unsigned n = 0;
    for (struct tally *t = atomic_load(&ts.first); t != NULL; t = t->next)
        n++;
    return n;
}

static void test_threads_and_their_heirs(void) {
    struct tally_sums sums;
    for (int generation = 1; generation <= 3; generation++) {
        pthread_t threads[THREADS];
        for (uintptr_t i = 0; i < THREADS; i++)
            pthread_create(&threads[i], NULL, count, (void *)(100 + i % 2 * 40000));
        tallies_sum(&ts, &sums); /* while they count: no more than there will be */
        CHECK(sums.frees <= (uint64_t)generation * THREADS * (ROUNDS + 1));
        for (int i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
        tallies_sum(&ts, &sums);
        uint64_t each = (uint64_t)generation * THREADS / 2 * ROUNDS;
        spanclass_t small = make_spanclass(size_to_class(100), false);
        spanclass_t large = make_spanclass(0, false);
        CHECK(sums.mallocs[small] == each && sums.bytes[small] == each * 100);
        CHECK(sums.mallocs[large] == each && sums.bytes[large] == each * 40100);
        CHECK(sums.mallocs[small | 1] == each && sums.bytes[small | 1] == each * 100);
        CHECK(sums.frees == (uint64_t)generation * THREADS * (ROUNDS + 1));
        CHECK(tally_list_length() <= THREADS); /* later ones took over */
    }
}

static void test_no_memory(void) {
    struct tallies poor;
    memset(&poor, 0, sizeof poor);
    poor.os.fail_at = 1;
    CHECK(tally_take(&poor) == NULL);
    struct tally *t = tally_take(&poor);
    CHECK(t != NULL && tally_take(&poor) != t);
}

static void test_after_fork(void) {
    struct tally *mine = tally_take(&ts);
    tally_take(&ts); /* of a thread that the child has not */
    tally_free(mine);
    unsigned before = tally_list_length();
    tallies_after_fork(&ts, mine);
    for (unsigned i = 1; i < before; i++) {
        struct tally *t = tally_take(&ts);
        CHECK(t != NULL && t != mine);
    }
    CHECK(tally_list_length() == before);
}

int main(void) {
    test_threads_and_their_heirs();
    test_no_memory();
    test_after_fork();
    return check_summary();
}

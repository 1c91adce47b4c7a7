/* CHECK and friends for the C unit tests: a failed check is printed and counted, the test goes on,
 * and main ends with `return check_summary();`.  A failure in a random test is replayed by setting
 * GOALLOC_SEED to the seed that check_seed printed. */
#ifndef GA_TEST_CHECK_H
#define GA_TEST_CHECK_H

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static _Atomic uint64_t check_done, check_failed;

static inline void check_fail(const char *file, int line, const char *what) {
    /* a loop that goes wrong shall not bury its first failures */
    if (atomic_fetch_add(&check_failed, 1) < 20)
        fprintf(stderr, "%s:%d: %s\n", file, line, what);
}

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        atomic_fetch_add_explicit(&check_done, 1, memory_order_relaxed);                           \
        if (!(cond))                                                                               \
            check_fail(__FILE__, __LINE__, "CHECK(" #cond ")");                                    \
    } while (0)

/* Integers or pointers; both are printed. */
#define CHECK_EQ(a, b)                                                                             \
    do {                                                                                           \
        uint64_t check_a = (uint64_t)(a), check_b = (uint64_t)(b);                                 \
        char check_text[256];                                                                      \
        atomic_fetch_add_explicit(&check_done, 1, memory_order_relaxed);                           \
        if (check_a != check_b) {                                                                  \
            snprintf(check_text, sizeof check_text,                                                \
                     "CHECK_EQ(%s, %s): %" PRId64 " (0x%" PRIx64 ") != %" PRId64 " (0x%" PRIx64    \
                     ")", #a, #b, check_a, check_a, check_b, check_b);                             \
            check_fail(__FILE__, __LINE__, check_text);                                            \
        }                                                                                          \
    } while (0)

static inline uint64_t check_seed(void) {
    const char *given = getenv("GOALLOC_SEED");
    uint64_t seed = given && *given ? strtoull(given, NULL, 0)
                                    : (uint64_t)time(NULL) * 1000003u + (uint64_t)getpid();
    fprintf(stderr, "GOALLOC_SEED=%" PRIu64 "\n", seed);
    return seed;
}

static inline int check_summary(void) {
    fprintf(stderr, "%" PRIu64 " checks, %" PRIu64 " failed\n", check_done, check_failed);
    return check_failed != 0 || check_done == 0;
}

#endif

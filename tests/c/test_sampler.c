/* Distances between samples: exponential, with the rate as their mean. */
#include "sampler.h"

#include <math.h>

#include "check.h"

enum { N = 200000 };

static void test_fixed_rates(void) {
    struct sampler s;
    sampler_init(&s, 0, 1);
    for (int i = 0; i < 100; i++)
        CHECK_EQ(sampler_next(&s), INT64_MAX); /* never */
    sampler_init(&s, 1, 1);
    for (int i = 0; i < 100; i++)
        CHECK_EQ(sampler_next(&s), 0); /* each block */
    CHECK_EQ(s.hits, 0);
}

/* By the limits of chance: five standard errors. */
static void test_exponential(uint64_t rate, uint64_t seed) {
    struct sampler s;
    double sum = 0, squares = 0;
    unsigned beyond[4] = {0}; /* distances beyond 1, 2, 3, 4 means */
    sampler_init(&s, rate, seed);
    for (int i = 0; i < N; i++) {
        int64_t distance = sampler_next(&s);
        CHECK(distance >= 0);
        double x = (double)(distance + 1) / (double)rate;
        sum += x;
        squares += x * x;
        for (int k = 0; k < 4; k++)
            beyond[k] += x > k + 1;
    }
    double step = 1.0 / (double)rate; /* distances are whole bytes, rounded up */
    CHECK(fabs(sum / N - 1) < 5 / sqrt(N) + step);
    /* the second moment is 2, its variance (24 - 4) / N */
    CHECK(fabs(squares / N - 2) < 5 * sqrt(20.0 / N) + 4 * step);
    for (int k = 0; k < 4; k++) {
        double p = exp(-(k + 1));
        CHECK(fabs((double)beyond[k] / N - p) < 5 * sqrt(p * (1 - p) / N) + step);
    }
}

/* The same seed draws the same distances, another one others. */
static void test_seeds(uint64_t seed) {
    struct sampler a, b, c;
    unsigned same = 0;
    sampler_init(&a, GA_SAMPLE_RATE_DEFAULT, seed);
    sampler_init(&b, GA_SAMPLE_RATE_DEFAULT, seed);
    sampler_init(&c, GA_SAMPLE_RATE_DEFAULT, seed + 1);
    for (int i = 0; i < 1000; i++) {
        int64_t distance = sampler_next(&a);
        CHECK_EQ(distance, sampler_next(&b));
        same += distance == sampler_next(&c);
    }
    CHECK(same < 10);
}

int main(void) {
    uint64_t seed = check_seed();
    test_fixed_rates();
    test_exponential(GA_SAMPLE_RATE_DEFAULT, seed);
    test_exponential(4096, seed + 1);
    test_exponential(64, seed + 2);
    test_seeds(seed);
    return check_summary();
}

/* The logarithm and the exponential of sampling, beside those of the C library. */
#include "explog.h"

#include <math.h>

#include "check.h"
#include "rng.h"

static const double ERROR = 1e-13; /* relative; explog.h promises it */

static void check_log(double x) {
    CHECK(fabs(natural_log(x) - log(x)) <= ERROR * fabs(log(x)));
}

static void check_exp(double x) {
    CHECK(fabs(one_minus_exp(x) + expm1(-x)) <= -ERROR * expm1(-x));
}

static void test_ends(void) {
    CHECK(natural_log(1) == 0);
    CHECK(one_minus_exp(0) == 0);
    CHECK(one_minus_exp(1e300) == 1);
    check_log(0x1p-1022);
    check_log(0x1.fffffffffffffp+1023);
    check_log(nextafter(1, 0));
    check_exp(0x1p-1022);
    check_exp(64);
    check_exp(nextafter(64, 0));
}

static void test_everywhere(uint64_t seed) {
    struct rng r;
    rng_seed(&r, seed);
    for (int i = 0; i < 200000; i++) {
        double u = (rng_next(&r) + 1.0) * 0x1p-32;
        check_log(u);
        check_log(ldexp(u, (int)(rng_next(&r) % 1800) - 900));
        check_exp(ldexp(u, (int)(rng_next(&r) % 80) - 70));
    }
}

int main(void) {
    test_ends();
    test_everywhere(check_seed());
    return check_summary();
}

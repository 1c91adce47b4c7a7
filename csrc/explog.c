/* See explog.h. */
#include "explog.h"

#include <string.h>

#include "base.h"

enum { MANTISSA_BITS = 52, EXPONENT_BIAS = 1023 };

static const uint64_t MANTISSA = ((uint64_t)1 << MANTISSA_BITS) - 1;
static const double LN2 = 0x1.62e42fefa39efp-1;

/* 2^exponent times the number from 1 to 2 that these bits are of. */
static double number_of(int exponent, uint64_t mantissa) {
    uint64_t bits = (uint64_t)(exponent + EXPONENT_BIAS) << MANTISSA_BITS | mantissa;
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* ln x = n ln 2 + ln m with m near 1, and ln m = 2 artanh((m - 1) / (m + 1)), whose series needs
 * few terms there. */
double natural_log(double x) {
    enum { TERMS = 9 };
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int n = (int)(bits >> MANTISSA_BITS) - EXPONENT_BIAS;
    double m = number_of(0, bits & MANTISSA);
    if (m > 0x1.6a09e667f3bcdp+0) { /* the root of 2: now m lies evenly about 1 */
        m /= 2;
        n++;
    }
    double s = (m - 1) / (m + 1), square = s * s, sum = 0;
    for (int k = TERMS; k-- > 0;)
        sum = sum * square + 1.0 / (2 * k + 1);
    return n * LN2 + 2 * s * sum;
}

/* e^-x = 2^-n e^-r with r near 0; e^-r - 1 by its series, which loses nothing of a small x. */
double one_minus_exp(double x) {
    enum { TERMS = 13, NOTHING_LEFT = 64 /* e^-x is lost beside 1 */ };
    if (x >= NOTHING_LEFT)
        return 1;
    int n = (int)(x / LN2 + 0.5);
    double r = x - n * LN2, sum = 0; /* sum: (1 - e^-r) / r */
    for (int k = TERMS; k-- > 0;)
        sum = 1.0 / (k + 1) * (1 - r * sum);
    double rest = number_of(-n, 0);
    return 1 - rest + rest * r * sum;
}

/* linetable: lines of made-up tables of all kinds of entries; what the answer depends on; and
 * garbage, which is read to its end and no further. */
#include "linetable.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "rng.h"

enum { ENTRIES = 200, BYTES_MAX = ENTRIES * 24, UNITS_MAX = ENTRIES * 8 };

/* A table, and the slow answer: the line of each code unit, and how far the table is to be read. */
struct table {
    uint8_t bytes[BYTES_MAX];
    size_t nbytes;
    int line[UNITS_MAX];
    size_t read[UNITS_MAX];
    uint32_t units;
};

static void put(struct table *t, unsigned byte) { t->bytes[t->nbytes++] = (uint8_t)byte; }

static void put_varint(struct table *t, uint32_t v) {
    for (; v >= 64; v >>= 6)
        put(t, 64 | (v & 63));
    put(t, v);
}

static void put_signed(struct table *t, int v) {
    put_varint(t, v < 0 ? (uint32_t)-v << 1 | 1 : (uint32_t)v << 1);
}

/* One entry that steps by `step` lines, in one of the ways in which that can be said. */
static void put_entry(struct table *t, struct rng *r, int step, bool none, unsigned units) {
    unsigned kind = none                            ? 15
                    : step == 0 && rng_next(r) % 2 ? rng_next(r) % 10
                    : step >= 0 && step <= 2 && rng_next(r) % 2 ? 10 + (unsigned)step
                                                   : 13 + rng_next(r) % 2;
    put(t, 0x80 | kind << 3 | (units - 1));
    if (kind == 13 || kind == 14)
        put_signed(t, step);
    size_t read = t->nbytes;
    if (kind == 14) { /* end line, column, end column */
        put_varint(t, rng_next(r) % 3);
        put_varint(t, rng_next(r) % 200);
        put_varint(t, rng_next(r) % 200);
    } else if (kind < 10) {
        put(t, rng_next(r) % 128);
    } else if (kind < 13) {
        put(t, rng_next(r) % 128);
        put(t, rng_next(r) % 128);
    }
    for (unsigned i = 0; i < units; i++)
        t->read[t->units++] = read;
}

static void make_table(struct table *t, struct rng *r, int first_line) {
    int line = first_line;
    t->nbytes = t->units = 0;
    for (int i = 0; i < ENTRIES; i++) {
        bool none = rng_next(r) % 8 == 0;
        int step = none ? 0 : (int)(rng_next(r) % 4);
        if (!none && rng_next(r) % 8 == 0)
            step = (int)(rng_next(r) % 100000) - (line < 50000 ? line : 50000);
        unsigned units = 1 + rng_next(r) % 8;
        line += step;
        for (unsigned u = 0; u < units; u++)
            t->line[t->units + u] = none ? LINETABLE_NO_LINE : line;
        put_entry(t, r, step, none, units);
    }
}

/* The first n bytes, in memory of exactly this size: a byte too far is seen. */
static int find_in(const uint8_t *bytes, size_t n, int first_line, uint32_t unit, size_t *read) {
    uint8_t *exact = malloc(n + (n == 0));
    memcpy(exact, bytes, n);
    int line = linetable_find(exact, n, first_line, unit, read);
    free(exact);
    return line;
}

static void test_model(uint64_t seed) {
    static struct table t;
    struct rng r;
    rng_seed(&r, seed);
    for (int round = 0; round < 20; round++) {
        int first_line = 1 + (int)(rng_next(&r) % 1000);
        size_t read = 0;
        make_table(&t, &r, first_line);
        for (uint32_t unit = 0; unit < t.units; unit++) {
            CHECK_EQ(find_in(t.bytes, t.nbytes, first_line, unit, &read), t.line[unit]);
            CHECK_EQ(read, t.read[unit]);
            CHECK_EQ(find_in(t.bytes, read, first_line, unit, &read), t.line[unit]);
        }
        CHECK_EQ(find_in(t.bytes, t.nbytes, first_line, t.units, &read), LINETABLE_NO_LINE);
        CHECK_EQ(read, t.nbytes);
        CHECK_EQ(find_in(t.bytes, t.nbytes, first_line, UINT32_MAX, &read), LINETABLE_NO_LINE);
    }
}

static void test_garbage(uint64_t seed) {
    uint8_t bytes[64];
    struct rng r;
    rng_seed(&r, seed);
    for (int round = 0; round < 20000; round++) {
        size_t n = rng_next(&r) % sizeof bytes, read = SIZE_MAX;
        for (size_t i = 0; i < n; i++)
            bytes[i] = (uint8_t)rng_next(&r);
        int first_line = (int)(rng_next(&r) >> 1);
        int line = find_in(bytes, n, first_line, rng_next(&r) % 64, &read);
        CHECK(line >= LINETABLE_NO_LINE);
        CHECK(read <= n);
    }
}

int main(void) {
    uint64_t seed = check_seed();
    test_model(seed);
    test_garbage(seed);
    return check_summary();
}

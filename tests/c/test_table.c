/* table: every row is found by its content and its number, stays where it is, and what there is no
 * memory for changes nothing.  larger pages: */
#include "table.h"

#include <string.h>

#include "check.h"
#include "config.h"
#include "rng.h"

struct bench {
    struct os os;
    struct persistentalloc persistent;
    struct budget budget;
    struct table t;
};

struct row {
    uint32_t hash;
    uint32_t key;
};

static void bench_init(struct bench *b, uint64_t cap) {
    os_init(&b->os);
    persistentalloc_init(&b->persistent, &b->os);
    budget_init(&b->budget, &b->persistent, cap);
    table_init(&b->t, &b->budget, sizeof(struct row));
}

static bool same(const void *row, const void *key) {
    return ((const struct row *)row)->key == *(const uint32_t *)key;
}

/* Many keys share a hash. */
static uint32_t hash_of(uint32_t key) { return table_hash(0, &key, 1) % 5000; }

static struct row *find(struct bench *b, uint32_t key, uint32_t *number) {
    return table_find(&b->t, hash_of(key), same, &key, number);
}

static void test_rows(uint64_t seed) {
    enum { N = 20000 };
    static struct row *row[N];
    struct bench b;
    struct rng rng;
    uint32_t number, n = 0;
    unsigned refused = 0;
    rng_seed(&rng, seed);
    bench_init(&b, 8 * GA_MIB);
    CHECK(find(&b, 0, &number) == NULL);
    while (n < N) {
        atomic_store(&b.os.fail_at, rng_next(&rng) % 2 ? atomic_load(&b.os.ncalls) + 1 : 0);
        CHECK(find(&b, n, &number) == NULL);
        row[n] = table_add(&b.t, hash_of(n), &number);
        CHECK_EQ(b.t.n, n + (row[n] != NULL));
        if (row[n] == NULL) {
            refused++;
            continue;
        }
        CHECK(number == n && row[n]->key == 0);
        row[n]->key = n;
        n++;
    }
    CHECK(refused != 0);
    for (uint32_t i = 0; i < N; i++) {
        CHECK_EQ(find(&b, i, &number), row[i]);
        CHECK_EQ(number, i);
        CHECK_EQ(table_row(&b.t, i), row[i]);
    }
    CHECK(b.budget.used < 4 * N * (sizeof(struct row) + sizeof(uint32_t)));
    table_destroy(&b.t);
    persistentalloc_destroy(&b.persistent);
}

static void test_budget(void) {
    struct bench b;
    uint32_t number;
    bench_init(&b, ga_max(64 * GA_KIB, 4 * os_page_size()));
    for (uint32_t i = 0; table_add(&b.t, hash_of(i), &number) != NULL; i++)
        ((struct row *)table_row(&b.t, number))->key = i;
    CHECK(b.t.n > 1000 && b.budget.used <= b.budget.cap);
    for (uint32_t i = 0; i < b.t.n; i++)
        CHECK(find(&b, i, &number) != NULL && number == i);
    table_destroy(&b.t);
    persistentalloc_destroy(&b.persistent);
}

int main(void) {
    test_rows(check_seed());
    test_budget();
    return check_summary();
}

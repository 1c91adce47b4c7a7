/* special: a table of blocks against a slow model, within its budget; and what a block that has a
 * special is to free, realloc, usable_size, a wrong pointer, the statistics and the check. */
#include "special.h"

#include <string.h>

#include "blocks.h"

/* ---- the table ------------------------------------------------------------------------------ */

enum { ADDRS = 3000, KINDS = 2 };

struct bench {
    struct os os;
    struct persistentalloc persistent;
    struct budget budget;
    struct specials t;
    struct special_filter filter;
};

static void bench_init(struct bench *b, uint64_t cap) {
    os_init(&b->os);
    persistentalloc_init(&b->persistent, &b->os);
    budget_init(&b->budget, &b->persistent, cap);
    specials_init(&b->t, &b->budget);
    memset(&b->filter, 0, sizeof b->filter);
    specials_begin_wrapped(&b->t, &b->filter);
}

static void bench_destroy(struct bench *b) {
    specials_destroy(&b->t);
    CHECK_EQ(b->budget.used, 0);
    persistentalloc_destroy(&b->persistent);
}

static size_t filtered(struct bench *b) {
    size_t n = 0;
    for (size_t i = 0; i < 1 << SPECIAL_FILTER_BITS; i++)
        n += atomic_load(&b->filter.n[i]);
    return n;
}

/* model[i][kind]: record + 1 of the block at address_of(i), or 0. */
static uint32_t model[ADDRS][KINDS];

/* Neighbours that fight for the same slots, and strangers. */
static uintptr_t address_of(size_t i) {
    return i % 3 == 0 ? 0xc000000000u + i * 8 : (uintptr_t)(i + 1) * 0x9e3779b9u * 8;
}

struct visits {
    size_t n, wrong;
};

static void visit(const struct special *s, void *ctx) {
    struct visits *v = ctx;
    v->n++;
    for (size_t i = 0; i < ADDRS; i++)
        if (address_of(i) == s->addr)
            v->wrong += model[i][s->kind] != s->record + 1;
}

static size_t compare(struct bench *b) {
    size_t n = 0, wrapped = 0;
    for (size_t i = 0; i < ADDRS; i++) {
        bool any = false;
        for (uint32_t kind = 0; kind < KINDS; kind++) {
            any |= model[i][kind] != 0;
            n += model[i][kind] != 0;
        }
        CHECK_EQ(specials_has(&b->t, address_of(i)), any);
        if (model[i][SPECIAL_WRAPPED] != 0)
            CHECK(atomic_load(special_filter_at(&b->filter, address_of(i))) != 0);
        wrapped += model[i][SPECIAL_WRAPPED] != 0;
    }
    CHECK_EQ(filtered(b), wrapped);
    struct visits v = {0, 0};
    specials_each(&b->t, visit, &v);
    CHECK_EQ(v.n, n);
    CHECK_EQ(v.wrong, 0);
    CHECK_EQ(b->budget.used, b->t.nslots * sizeof(struct special));
    return n;
}

/* Fills and drains by turns, so that the table grows and shrinks; calls of the system fail. */
static void test_model(uint64_t seed) {
    struct bench b;
    struct rng rng;
    size_t most = 0, failed = 0;
    uint32_t got;
    bench_init(&b, GA_MIB);
    rng_seed(&rng, seed);
    memset(model, 0, sizeof model);
    for (unsigned step = 0; step < 60000; step++) {
        size_t i = rng_next(&rng) % ADDRS;
        uint32_t kind = rng_next(&rng) % KINDS, record = rng_next(&rng) >> 8;
        bool fill = rng_next(&rng) % 8 < (step / 15000 % 2 == 0 ? 6 : 1);
        bool fails = failed == 0 || rng_next(&rng) % 4 == 0; /* the first growth always does */
        atomic_store(&b.os.fail_at, fails ? atomic_load(&b.os.ncalls) + 1 : 0);
        if (fill) {
            if (specials_add(&b.t, address_of(i), kind, record))
                model[i][kind] = record + 1;
            else
                failed++;
        } else {
            CHECK_EQ(specials_take(&b.t, address_of(i), kind, &got), model[i][kind] != 0);
            if (model[i][kind] != 0)
                CHECK_EQ(got + 1, model[i][kind]);
            model[i][kind] = 0;
        }
        if (step % 5000 == 0)
            most = ga_max(most, compare(&b));
    }
    CHECK(most > 3072 && failed > 0);
    atomic_store(&b.os.fail_at, 0);
    for (size_t i = 0; i < ADDRS; i++)
        for (uint32_t kind = 0; kind < KINDS; kind++)
            if (model[i][kind] != 0)
                CHECK(specials_take(&b.t, address_of(i), kind, &got));
    memset(model, 0, sizeof model);
    CHECK_EQ(compare(&b), 0);
    CHECK_EQ(b.t.nslots, os_page_size() / sizeof(struct special));
    bench_destroy(&b);
}

static void count_visit(const struct special *s, void *ctx) {
    CHECK_EQ(s->kind, SPECIAL_WRAPPED);
    ++*(size_t *)ctx;
}

/* After the end of wrap mode a thread may still come with a sample of it. */
static void test_wrapped_end(void) {
    struct bench b;
    size_t n = 0;
    uint32_t record;
    bench_init(&b, GA_MIB);
    for (uint32_t i = 1; i <= 500; i++) {
        CHECK(specials_add(&b.t, 16 * i, SPECIAL_WRAPPED, i));
        CHECK(specials_add(&b.t, 16 * i, SPECIAL_PROFILE, i));
    }
    CHECK_EQ(filtered(&b), 500);
    specials_take_all(&b.t, SPECIAL_WRAPPED, count_visit, &n);
    CHECK_EQ(n, 500);
    CHECK_EQ(filtered(&b), 0);
    CHECK(!specials_add(&b.t, 16, SPECIAL_WRAPPED, 1));
    CHECK(specials_add(&b.t, 16, SPECIAL_PROFILE, 1));
    specials_begin_wrapped(&b.t, &b.filter);
    CHECK(specials_add(&b.t, 16, SPECIAL_WRAPPED, 2));
    CHECK(specials_add(&b.t, 16, SPECIAL_WRAPPED, 3));
    CHECK_EQ(filtered(&b), 1);
    CHECK(specials_take(&b.t, 16, SPECIAL_WRAPPED, &record) && record == 3);
    for (uint32_t i = 1; i <= 500; i++)
        CHECK(specials_take(&b.t, 16 * i, SPECIAL_PROFILE, &record));
    CHECK_EQ(filtered(&b), 0);
    bench_destroy(&b);
}

/* What is beyond the budget is refused, and what was there stays. */
static void test_budget(void) {
    struct bench b;
    size_t n = 0;
    bench_init(&b, 16 * os_page_size());
    while (specials_add(&b.t, 8 * (n + 1), SPECIAL_PROFILE, (uint32_t)n))
        n++;
    /* twice that, and it, are 24 */
    CHECK_EQ(b.t.nslots * sizeof(struct special), 8 * os_page_size());
    CHECK_EQ(n, b.t.nslots / 4 * 3);
    CHECK(b.budget.used <= b.budget.cap);
    for (size_t i = 0; i < n; i++) {
        uint32_t record;
        CHECK(specials_take(&b.t, 8 * (i + 1), SPECIAL_PROFILE, &record) && record == i);
    }
    uint64_t used = b.budget.used;
    CHECK(budget_keep(&b.budget, 100, 0) != NULL);
    CHECK_EQ(b.budget.used, used + 100);
    CHECK(budget_keep(&b.budget, b.budget.cap - used, 0) == NULL);
    CHECK(budget_keep(&b.budget, SIZE_MAX, 0) == NULL);
    CHECK_EQ(b.budget.used, used + 100);
    b.budget.used -= 100; /* what is kept is never returned: for bench_destroy */
    bench_destroy(&b);
}

/* ---- blocks of a heap ----------------------------------------------------------------------- */

/* As if the block had been sampled when it was made. */
static void give_special(struct rig *r, void *p) {
    CHECK(profile_malloc(r->h->profile, &r->h->specials, (uintptr_t)p, SPECIAL_PROFILE, 1, 0, 1));
    CHECK(heap_bits_clear(arena_of(&r->h->map, (uintptr_t)p), (uintptr_t)p, true));
}

static size_t nspecials(struct rig *r) { return atomic_load(&r->h->specials.n); }

static const size_t sizes[] = {8, 16, 100, 1000, 32768, 40000, 3 * GA_MIB};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

static void test_live(struct rig *r, size_t size) {
    enum misuse why;
    void *p = ga_malloc(r->h, r->c, size, false), *other = ga_malloc(r->h, r->c, size, false);
    size_t usable = ga_usable_size(r->h, r->c, p, &why);
    give_special(r, p);
    CHECK_EQ(ga_usable_size(r->h, r->c, p, &why), usable);
    CHECK_EQ(misuse_of(r->h, r->c, p), MISUSE_NONE);
    if (size >= 16) {
        CHECK_EQ(misuse_of(r->h, r->c, (char *)p + 8), MISUSE_INTERIOR);
        CHECK_EQ(ga_free(r->h, r->c, (char *)p + 8), MISUSE_INTERIOR);
    }
    CHECK_HEAP(r->h);
    check_memstats_slow(r->h);
    CHECK_EQ(ga_realloc(r->h, r->c, p, usable, false, &why), p); /* stays, and keeps it */
    CHECK_EQ(nspecials(r), 1);
    CHECK_EQ(ga_free(r->h, r->c, p), MISUSE_NONE);
    CHECK_EQ(nspecials(r), 0);
    CHECK_EQ(misuse_of(r->h, r->c, p), MISUSE_DOUBLE_FREE);
    CHECK_EQ(ga_free(r->h, r->c, p), MISUSE_DOUBLE_FREE);
    CHECK_EQ(ga_free(r->h, r->c, other), MISUSE_NONE);
    CHECK_HEAP(r->h);
    check_memstats_slow(r->h);
}

/* A move ends the special; the bytes come along. */
static void test_realloc(struct rig *r, size_t size) {
    enum misuse why;
    struct block b = {ga_malloc(r->h, r->c, size, false), size, 0};
    block_fill(&b, (uint32_t)size);
    give_special(r, b.p);
    b.p = ga_realloc(r->h, r->c, b.p, 2 * size, false, &why);
    CHECK(b.p != NULL && block_holds(&b, size));
    CHECK_EQ(nspecials(r), 0);
    CHECK_HEAP(r->h);
    CHECK_EQ(ga_free(r->h, r->c, b.p), MISUSE_NONE);
}

/* In a closed cache, where blocks go straight to their span, and in a full store. */
static void test_closed_and_full(struct rig *r) {
    enum { N = 600 };
    static void *p[N];
    for (size_t i = 0; i < N; i++)
        give_special(r, p[i] = ga_malloc(r->h, r->c, 48, false));
    mcache_close(r->c);
    for (size_t i = 0; i < N / 2; i++)
        CHECK_EQ(ga_free(r->h, r->c, p[i]), MISUSE_NONE);
    mcache_open(r->c);
    for (size_t i = N / 2; i < N; i++)
        CHECK_EQ(ga_free(r->h, r->c, p[i]), MISUSE_NONE);
    CHECK_EQ(nspecials(r), 0);
    CHECK_HEAP(r->h);
}

/* A snapshot shows blocks with specials as live, and leaves their bits clear. */
static void test_snapshot(struct rig *r) {
    struct snapshot s;
    uint64_t live = 0;
    void *p[100];
    for (size_t i = 0; i < 100; i++) {
        p[i] = ga_malloc(r->h, r->c, 64, false);
        if (i % 3 == 0)
            give_special(r, p[i]);
    }
    CHECK(inspect_snapshot(r->h, &s));
    for (uint64_t i = 0; i < s.nspans; i++)
        live += s.spans[i].state == MSPAN_IN_USE ? s.spans[i].alloc_count : 0;
    CHECK_EQ(live, s.memstats.heap_objects);
    CHECK(s.memstats.buck_hash_sys >= r->h->specials.nslots * sizeof(struct special));
    check_memstats(r->h);
    inspect_snapshot_free(&s);
    for (size_t i = 0; i < 100; i++)
        CHECK_EQ(ga_free(r->h, r->c, p[i]), MISUSE_NONE);
}

/* inspect_check sees a special where none may be. */
static void test_check_sees(struct rig *r) {
    char why[256];
    void *p = ga_malloc(r->h, r->c, 64, false);
    uint32_t record;
    uintptr_t wrong[] = {(uintptr_t)p, (uintptr_t)p + 16, (uintptr_t)&why};
    for (size_t i = 0; i < 3; i++) {
        CHECK(specials_add(&r->h->specials, wrong[i], SPECIAL_PROFILE, 0));
        CHECK_EQ(inspect_check(r->h, why, sizeof why), -1);
        CHECK(specials_take(&r->h->specials, wrong[i], SPECIAL_PROFILE, &record));
        if (i == 0) /* the check has cleared its bit: nobody can tell any more whose it was */
            heap_bits_set(arena_of(&r->h->map, wrong[i]), wrong[i], true);
        CHECK_HEAP(r->h);
    }
    CHECK_EQ(ga_free(r->h, r->c, p), MISUSE_NONE);
}

int main(void) {
    uint64_t seed = check_seed();
    test_model(seed);
    test_wrapped_end();
    test_budget();
    for (int layout = LAYOUT_SPARSE; layout <= LAYOUT_LINEAR; layout++) {
        struct rig r = rig_open(layout, MCACHE_HEAP);
        struct profile profile;
        CHECK(profile_init(&profile, &r.h->profile_budget));
        r.h->profile = &profile;
        for (size_t i = 0; i < SIZES; i++) {
            test_live(&r, sizes[i]);
            test_realloc(&r, sizes[i]);
        }
        test_closed_and_full(&r);
        test_snapshot(&r);
        test_check_sees(&r);
        profile_destroy(&profile);
        r.h->profile = NULL;
        rig_close(&r);
    }
    return check_summary();
}

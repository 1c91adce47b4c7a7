/* The treap on the data of Go's treap_test.go, and against a slow sorted array. */
#include "check.h"
#include "dies.h"
#include "treap.h"

/* ---- Go's data ------------------------------------------------------------------------------ */

/* Address order; sizes of which some are equal. */
static const struct {
    uintptr_t base;
    uint32_t npages;
} go_spans[] = {
    {0xc0000000, 2}, {0xc0006000, 1}, {0xc0010000, 8}, {0xc0022000, 7},
    {0xc0034000, 4}, {0xc0040000, 5}, {0xc0050000, 5}, {0xc0060000, 5000},
};
#define NGO (sizeof go_spans / sizeof go_spans[0])

/* Positions in go_spans by key. */
static const unsigned go_order[NGO] = {1, 0, 4, 5, 6, 3, 2, 7};

struct go_fixture {
    struct treap treap;
    struct mspan spans[NGO];
};

static struct mspan free_span(uintptr_t base, uint32_t npages, bool scavenged) {
    return (struct mspan){
        .start_addr = base, .npages = npages, .scavenged = scavenged, .state = MSPAN_FREE};
}

/* All of Go's spans, inserted in a random order. */
static void go_build(struct go_fixture *f, struct rng *rng) {
    unsigned order[NGO];
    treap_init(&f->treap, rng_next(rng));
    for (unsigned i = 0; i < NGO; i++) {
        unsigned at = rng_next(rng) % (i + 1);
        order[i] = order[at];
        order[at] = i;
        f->spans[i] = free_span(go_spans[i].base, go_spans[i].npages, false);
    }
    for (unsigned i = 0; i < NGO; i++) {
        treap_insert(&f->treap, &f->spans[order[i]]);
        treap_check(&f->treap);
    }
}

static void test_insert(struct rng *rng) {
    struct go_fixture f;
    uint64_t npages = 0;
    go_build(&f, rng);
    for (unsigned i = 0; i < NGO; i++)
        npages += go_spans[i].npages;
    CHECK_EQ(f.treap.nspans, NGO);
    CHECK_EQ(f.treap.npages, npages);
}

static void test_find_trivial(struct rng *rng) {
    for (unsigned i = 0; i < NGO; i++) {
        struct treap t;
        struct mspan s = free_span(go_spans[i].base, go_spans[i].npages, false);
        treap_init(&t, rng_next(rng));
        CHECK_EQ(treap_find(&t, 1), NULL);
        treap_insert(&t, &s);
        treap_check(&t);
        CHECK_EQ(treap_find(&t, 1), &s);
        CHECK_EQ(treap_find(&t, s.npages), &s);
        CHECK_EQ(treap_find(&t, s.npages + 1), NULL);
    }
}

/* The answer must not depend on the shape that the priorities give. */
static void test_find_best_fit(struct rng *rng) {
    for (int rebuild = 0; rebuild < 10; rebuild++) {
        struct go_fixture f;
        go_build(&f, rng);
        CHECK_EQ(treap_find(&f.treap, 5)->start_addr, 0xc0040000);
        CHECK_EQ(treap_find(&f.treap, 6)->start_addr, 0xc0022000);
        CHECK_EQ(treap_find(&f.treap, 9)->start_addr, 0xc0060000);
        CHECK_EQ(treap_find(&f.treap, 5001), NULL);
        CHECK_EQ(treap_find(&f.treap, (size_t)1 << 32), NULL);
    }
}

static void test_iterate(struct rng *rng) {
    struct go_fixture f;
    const struct mspan *s;
    unsigned i = 0;
    go_build(&f, rng);
    for (s = treap_first(&f.treap); s != NULL; s = treap_next(s), i++)
        CHECK_EQ(s, i < NGO ? &f.spans[go_order[i]] : NULL);
    CHECK_EQ(i, NGO);
    for (s = treap_last(&f.treap, treap_key_max()); s != NULL; s = treap_prev(s), i--)
        CHECK_EQ(s, i > 0 ? &f.spans[go_order[i - 1]] : NULL);
    CHECK_EQ(i, 0);
}

static void test_erase_one(struct rng *rng) {
    for (unsigned gone = 0; gone < NGO; gone++) {
        struct go_fixture f;
        unsigned left = 0;
        go_build(&f, rng);
        treap_remove(&f.treap, &f.spans[gone]);
        treap_check(&f.treap);
        for (struct mspan *s = treap_first(&f.treap); s != NULL; s = treap_next(s), left++)
            CHECK(s != &f.spans[gone]);
        CHECK_EQ(left, NGO - 1);
        treap_insert(&f.treap, &f.spans[gone]);
        treap_check(&f.treap);
    }
}

static void test_erase_all(struct rng *rng) {
    struct go_fixture f;
    go_build(&f, rng);
    for (unsigned i = 0; i < NGO; i++) {
        CHECK_EQ(treap_first(&f.treap), &f.spans[go_order[i]]);
        treap_remove(&f.treap, &f.spans[go_order[i]]);
        treap_check(&f.treap);
    }
    CHECK_EQ(treap_first(&f.treap), NULL);
    CHECK_EQ(treap_last(&f.treap, treap_key_max()), NULL);
    CHECK_EQ(f.treap.nspans, 0);
    CHECK_EQ(f.treap.npages, 0);
}

/* Of equal sizes the one whose pages are still there, even at a higher address; but size first. */
static void test_scavenged_tie_break(struct rng *rng) {
    struct treap t;
    struct mspan released = free_span(0xc0000000, 5, true);
    struct mspan resident = free_span(0xc0100000, 5, false);
    struct mspan larger = free_span(0xc0080000, 6, false);
    treap_init(&t, rng_next(rng));
    treap_insert(&t, &released);
    treap_insert(&t, &larger);
    CHECK_EQ(treap_find(&t, 5), &released);
    treap_insert(&t, &resident);
    treap_check(&t);
    CHECK_EQ(treap_find(&t, 5), &resident);
    treap_remove(&t, &resident);
    CHECK_EQ(treap_find(&t, 5), &released);
}

/* ---- against a sorted array ----------------------------------------------------------------- */

#define NRANDOM 150

struct model {
    struct mspan *sorted[NRANDOM];
    size_t len;
};

static bool sorts_before(const struct mspan *a, const struct mspan *b) {
    if (a->npages != b->npages)
        return a->npages < b->npages;
    if (a->scavenged != b->scavenged)
        return !a->scavenged;
    return a->start_addr < b->start_addr;
}

static void model_insert(struct model *m, struct mspan *s) {
    size_t at = m->len++;
    for (; at > 0 && sorts_before(s, m->sorted[at - 1]); at--)
        m->sorted[at] = m->sorted[at - 1];
    m->sorted[at] = s;
}

static void model_remove(struct model *m, const struct mspan *s) {
    size_t at = 0;
    while (m->sorted[at] != s)
        at++;
    for (m->len--; at < m->len; at++)
        m->sorted[at] = m->sorted[at + 1];
}

static struct mspan *model_find(const struct model *m, size_t npages) {
    for (size_t i = 0; i < m->len; i++)
        if (m->sorted[i]->npages >= npages)
            return m->sorted[i];
    return NULL;
}

/* The last that is not behind a key. */
static struct mspan *model_last(const struct model *m, struct treap_key upto) {
    struct mspan key = free_span(upto.addr, (uint32_t)upto.npages, upto.scavenged);
    for (size_t i = m->len; i-- > 0;)
        if (!sorts_before(&key, m->sorted[i]))
            return m->sorted[i];
    return NULL;
}

static void compare(const struct treap *t, const struct model *m) {
    const struct mspan *up = treap_first(t), *down = treap_last(t, treap_key_max());
    treap_check(t);
    CHECK_EQ(t->nspans, m->len);
    for (size_t i = 0; i < m->len && up != NULL && down != NULL; i++) {
        CHECK_EQ(up, m->sorted[i]);
        CHECK_EQ(down, m->sorted[m->len - 1 - i]);
        up = treap_next(up);
        down = treap_prev(down);
    }
    CHECK(up == NULL && down == NULL);
}

/* Small sizes are common, so that ties are too. */
static uint32_t random_npages(struct rng *rng) {
    uint32_t bound = 1u << rng_next(rng) % 10;
    return 1 + rng_next(rng) % bound;
}

static void test_against_model(struct rng *rng) {
    static struct mspan spans[NRANDOM];
    struct treap t;
    struct model m = {.len = 0};
    treap_init(&t, rng_next(rng));
    for (unsigned i = 0; i < NRANDOM; i++)
        spans[i] = free_span(0xc0000000 + (uintptr_t)i * GA_MIB, 0, false);
    for (int step = 0; step < 4000; step++) {
        struct mspan *s = &spans[rng_next(rng) % NRANDOM];
        size_t npages = random_npages(rng);
        if (s->npages == 0) {
            s->npages = random_npages(rng);
            s->scavenged = rng_next(rng) % 2;
            treap_insert(&t, s);
            model_insert(&m, s);
        } else {
            treap_remove(&t, s);
            model_remove(&m, s);
            s->npages = 0;
        }
        compare(&t, &m);
        CHECK_EQ(treap_find(&t, npages), model_find(&m, npages));
        struct treap_key upto = {npages, rng_next(rng) % 2,
                                 spans[rng_next(rng) % NRANDOM].start_addr - rng_next(rng) % 3 + 1};
        CHECK_EQ(treap_last(&t, upto), model_last(&m, upto));
        if (s->npages != 0) /* its own key leads to it */
            CHECK_EQ(treap_last(&t, treap_key_of(s)), s);
    }
}

/* ---- what must not pass --------------------------------------------------------------------- */

struct treap_and_span {
    struct treap *treap;
    struct mspan *span;
};

static void insert(void *both) {
    struct treap_and_span *b = both;
    treap_insert(b->treap, b->span);
}
static void remove_from(void *both) {
    struct treap_and_span *b = both;
    treap_remove(b->treap, b->span);
}
static void check(void *treap) { treap_check(treap); }

static void test_throws(struct rng *rng) {
    struct go_fixture f;
    go_build(&f, rng);
    struct mspan stranger = free_span(0xc9000000, 5, false);
    struct mspan twin = free_span(go_spans[3].base, go_spans[3].npages, false);
    CHECK(dies_saying("is already in", insert, &(struct treap_and_span){&f.treap, &f.spans[3]}));
    CHECK(dies_saying("is already in", insert, &(struct treap_and_span){&f.treap, &twin}));
    CHECK(dies_saying("is not in", remove_from, &(struct treap_and_span){&f.treap, &stranger}));
    CHECK(dies_saying("is not in", remove_from, &(struct treap_and_span){&f.treap, &twin}));

    f.treap.nspans--;
    CHECK(dies_saying("t->nspans", check, &f.treap));
    f.treap.nspans += 2;
    CHECK(dies_saying("t->nspans", check, &f.treap));
    f.treap.nspans--;
    f.treap.npages++;
    CHECK(dies_saying("t->npages", check, &f.treap));
    f.treap.npages--;
    f.spans[0].npages = 6; /* the key changed in the tree */
    CHECK(dies_saying("key_cmp", check, &f.treap));
    f.spans[0].npages = go_spans[0].npages;
    uint32_t priority = f.treap.root->treap_priority;
    f.treap.root->treap_priority = UINT32_MAX;
    CHECK(dies_saying("treap_priority", check, &f.treap));
    f.treap.root->treap_priority = priority;
    treap_check(&f.treap);
}

int main(void) {
    struct rng rng;
    rng_seed(&rng, check_seed());
    test_insert(&rng);
    test_find_trivial(&rng);
    test_find_best_fit(&rng);
    test_iterate(&rng);
    test_erase_one(&rng);
    test_erase_all(&rng);
    test_scavenged_tie_break(&rng);
    test_against_model(&rng);
    test_throws(&rng);
    return check_summary();
}

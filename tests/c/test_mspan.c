/* Spans against a plain array of bools, and span lists against a plain array of pointers. */
#include <string.h>

#include "check.h"
#include "dies.h"
#include "mspan.h"
#include "rng.h"

#define FAKE_BASE ((uintptr_t)0xc000000000) /* slots are counted, never touched */

/* ---- a span and its model ------------------------------------------------------------------- */

struct fixture {
    struct mspan span;
    uint64_t bits[GA_MAX_SLOTS_PER_SPAN / 64];
    /* the model */
    bool out[GA_MAX_SLOTS_PER_SPAN];
    bool next[GA_MAX_SLOTS_PER_SPAN]; /* was in when this lap came to its word of 64 */
    unsigned count, pos, fresh; /* slots out; where this lap stands; slots ever handed out */
};

/* The lap moves on to pos. */
static void model_go(struct fixture *f, unsigned pos) {
    f->pos = pos;
    if (pos % 64 == 0)
        for (unsigned i = pos; i < pos + 64 && i < f->span.nelems; i++)
            f->next[i] = !f->out[i];
}

static void fixture_init(struct fixture *f, unsigned sizeclass, uint32_t npages) {
    *f = (struct fixture){.span = {.start_addr = FAKE_BASE, .npages = npages}};
    f->span.state = MSPAN_IN_USE;
    f->span.alloc_bits = f->bits;
    mspan_init_slots(&f->span, make_spanclass(sizeclass, false));
    mspan_check(&f->span);
    model_go(f, 0);
}

static void fixture_init_small(struct fixture *f, unsigned sizeclass) {
    fixture_init(f, sizeclass, class_to_allocnpages[sizeclass]);
}

static void put(struct mspan *s, unsigned i) {
    void *slot = (void *)(s->start_addr + i * s->elemsize);
    CHECK_EQ(mspan_put(s, &slot, 1, false), 1);
}

/* Takes up to want slots in address order into out; goes once round.  Returns how many. */
static size_t take(struct mspan *s, size_t want, void **out) {
    size_t n = 0;
    struct slot_window w;
    while (mspan_take_window(s, want - n, &w) != 0)
        for (; w.mask != 0; w.mask &= w.mask - 1)
            out[n++] = (void *)(w.base + ga_ctz64(w.mask) * s->elemsize);
    return n;
}

/* The slot that is handed out next. */
static unsigned take_one(struct mspan *s) {
    void *slot;
    CHECK_EQ(take(s, 1, &slot), 1);
    return (unsigned)(((uintptr_t)slot - s->start_addr) / s->elemsize);
}

static void fixture_compare(const struct fixture *f) {
    mspan_check(&f->span);
    CHECK_EQ(f->span.alloc_count, f->count);
    CHECK_EQ(f->span.nfresh, f->fresh);
    for (unsigned i = 0; i < f->span.nelems; i++)
        if (mspan_is_taken(&f->span, i) != f->out[i])
            CHECK_EQ(mspan_is_taken(&f->span, i), f->out[i]);
}

/* The next slot, from pos to the end of the lap; nelems: none. */
static unsigned model_next(struct fixture *f) {
    while (f->pos < f->span.nelems && !f->next[f->pos])
        model_go(f, f->pos + 1);
    if (f->pos == f->span.nelems)
        return f->pos;
    f->out[f->pos] = true;
    f->count++;
    model_go(f, f->pos + 1);
    if (f->pos > f->fresh)
        f->fresh = f->pos;
    return f->pos - 1;
}

static void do_take(struct fixture *f, size_t want) {
    void *got[GA_MAX_SLOTS_PER_SPAN];
    size_t free = f->span.nelems - f->count;
    size_t n = take(&f->span, want, got);
    CHECK_EQ(n, want < free ? want : free);
    for (size_t k = 0; k < n; k++) {
        unsigned i = model_next(f);
        if (i == f->span.nelems) {
            model_go(f, 0);
            i = model_next(f);
        }
        CHECK_EQ(got[k], FAKE_BASE + i * f->span.elemsize);
    }
}

static void do_put(struct fixture *f, unsigned i) {
    put(&f->span, i);
    f->out[i] = false;
    f->count--;
}

static void random_steps(struct fixture *f, struct rng *rng, unsigned steps) {
    unsigned nelems = f->span.nelems;
    for (unsigned step = 0; step < steps; step++) {
        unsigned kind = rng_next(rng) % 8;
        if (kind == 0) {
            do_take(f, rng_next(rng) % (nelems + 2));
        } else if (kind <= 3) {
            do_take(f, rng_next(rng) % 4);
        } else {
            unsigned first = rng_next(rng) % nelems, run = 1;
            if (kind == 7)
                run += rng_next(rng) % nelems;
            for (unsigned i = first; i < nelems && run > 0; i++, run--)
                if (f->out[i])
                    do_put(f, i);
        }
        fixture_compare(f);
    }
}

static void test_against_model(struct rng *rng) {
    static struct fixture f;
    for (unsigned c = 1; c < GA_NUM_SIZE_CLASSES; c++) {
        fixture_init_small(&f, c);
        CHECK_EQ(f.span.elemsize, class_to_size[c]);
        CHECK(mspan_limit(&f.span) <= mspan_end(&f.span));
        CHECK(mspan_end(&f.span) - mspan_limit(&f.span) < f.span.elemsize);
        random_steps(&f, rng, 300);
        do_take(&f, f.span.nelems);
        CHECK_EQ(f.count, f.span.nelems);
        void *none;
        CHECK_EQ(take(&f.span, 1, &none), 0);
        for (unsigned i = f.span.nelems; i-- > 0;)
            do_put(&f, i);
        fixture_compare(&f);
    }
}

/* ---- the rules one by one ------------------------------------------------------------------- */

/* A slot that comes back behind freeindex or in its word waits for the next lap. */
static void test_laps(void) {
    static struct fixture f;
    void *got[GA_MAX_SLOTS_PER_SPAN];
    fixture_init_small(&f, size_to_class(64));
    CHECK_EQ(take(&f.span, 10, got), 10);
    CHECK_EQ(take(&f.span, 10, got), 10);
    put(&f.span, 3);
    CHECK_EQ(take_one(&f.span), 20);
    put(&f.span, 20);
    CHECK_EQ(take_one(&f.span), 21);
    CHECK_EQ(take(&f.span, 500, got), f.span.nelems - 20);
    CHECK_EQ(got[0], FAKE_BASE + 22 * f.span.elemsize);
    CHECK_EQ(got[f.span.nelems - 22], FAKE_BASE + 3 * f.span.elemsize);
    CHECK_EQ(got[f.span.nelems - 21], FAKE_BASE + 20 * f.span.elemsize);

    put(&f.span, 40); /* freeindex is 21 */
    put(&f.span, 80);
    CHECK_EQ(take_one(&f.span), 80);
    CHECK_EQ(take_one(&f.span), 40);
    CHECK_EQ(f.span.alloc_count, f.span.nelems);
    mspan_check(&f.span);
}

static void test_nfresh(void) {
    static struct fixture f;
    void *got[8];
    fixture_init_small(&f, size_to_class(1024));
    CHECK_EQ(f.span.nfresh, 0);
    take(&f.span, 3, got);
    put(&f.span, 0);
    put(&f.span, 2);
    CHECK_EQ(f.span.nfresh, 3);
    take(&f.span, f.span.nelems, got);
    CHECK_EQ(f.span.nfresh, f.span.nelems);
}

static void test_large_object(void) {
    static struct fixture f;
    void *got[2];
    const uint32_t npages = 1 << 20; /* 8 GiB: the object's size does not fit 32 bits */
    fixture_init(&f, 0, npages);
    CHECK_EQ(f.span.elemsize, (size_t)npages * GA_PAGE_SIZE);
    CHECK_EQ(mspan_limit(&f.span), mspan_end(&f.span));
    CHECK_EQ(mspan_objindex(&f.span, f.span.elemsize - 1), 0);
    struct fixture only = f;
    only.span.alloc_bits = only.bits;
    CHECK_EQ(take(&f.span, 2, got), 1);
    CHECK_EQ(got[0], FAKE_BASE);
    mspan_check(&f.span);
    mspan_take_only(&only.span);
    mspan_check(&only.span);
    CHECK_EQ(only.bits[0], f.bits[0]);
    only.span.alloc_bits = f.span.alloc_bits;
    CHECK_EQ(memcmp(&only.span, &f.span, sizeof f.span), 0);
    put(&f.span, 0);
    mspan_check(&f.span);
}

/* ---- what must not pass --------------------------------------------------------------------- */

static void put_first(void *span) { put(span, 0); }
static void put_behind_last(void *span) { put(span, ((struct mspan *)span)->nelems); }
static void take_all(void *span) {
    void *got[GA_MAX_SLOTS_PER_SPAN];
    take(span, GA_MAX_SLOTS_PER_SPAN, got);
}
static void check_span(void *span) { mspan_check(span); }

static void test_throws(void) {
    static struct fixture good, f;
    void *got[20];
    fixture_init_small(&good, size_to_class(48));
    take(&good.span, 20, got);
    good.span.alloc_bits = f.bits; /* so that a copy has its own bits */

    f = good;
    put(&f.span, 0);
    CHECK(dies_saying("slot 0 of span", put_first, &f.span));
    CHECK(dies_saying("is not out", put_behind_last, &f.span));
    f = good;
    f.span.alloc_count--;
    CHECK(dies_saying("s->alloc_count", check_span, &f.span));
    CHECK(dies_saying("fewer free slots", take_all, &f.span));
    f = good;
    f.span.alloc_cache |= (uint64_t)1 << 63; /* beyond the word */
    CHECK(dies_saying("s->alloc_cache", check_span, &f.span));
    f = good;
    f.bits[1] |= 1; /* never handed out */
    f.span.alloc_count++;
    CHECK(dies_saying("check failed", check_span, &f.span));
    f = good;
    f.span.freeindex = f.span.nfresh + 1;
    CHECK(dies_saying("s->freeindex", check_span, &f.span));
    f = good;
    f.span.elemsize = 64;
    CHECK(dies_saying("s->elemsize", check_span, &f.span));
    f = good;
    f.span.next = &good.span;
    CHECK(dies_saying("s->next", check_span, &f.span));
    f = good;
    check_span(&f.span);
}

/* ---- pages of the system -------------------------------------------------------------------- */

/* Does slot i of a span have a byte on a page of the system? */
static bool lies_on(const struct mspan *s, unsigned i, unsigned page, size_t os_page) {
    size_t from = i * s->elemsize, to = from + s->elemsize;
    return from < (page + 1) * os_page && to > page * os_page;
}

/* Vacant pages and those of each slot, in every class, by looking at each page and each slot. */
static void test_os_pages(struct rng *rng) {
    const size_t os_pages[] = {4096, 8192};
    for (unsigned sizeclass = 1; sizeclass < GA_NUM_SIZE_CLASSES; sizeclass++)
        for (int turn = 0; turn < 12; turn++) {
            static struct fixture f;
            size_t os_page = os_pages[turn % 2];
            fixture_init_small(&f, sizeclass);
            do_take(&f, f.span.nelems);
            unsigned in = turn < 2 ? 0 : turn < 4 ? f.span.nelems : rng_next(rng) % f.span.nelems;
            unsigned from = rng_next(rng) % f.span.nelems;
            for (unsigned k = 0; k < in; k++) /* a stretch of slots comes back */
                put(&f.span, (from + k) % f.span.nelems);
            uint32_t vacant = 0;
            for (unsigned page = 0; page * os_page < mspan_bytes(&f.span); page++) {
                bool any = false;
                for (unsigned i = 0; i < f.span.nelems; i++) {
                    bool on = lies_on(&f.span, i, page, os_page);
                    any |= on && mspan_is_taken(&f.span, i);
                    if (on != (mspan_os_pages_of_slot(&f.span, i, os_page) >> page & 1))
                        CHECK_EQ(i, page); /* which of them */
                }
                vacant |= (uint32_t)!any << page;
            }
            CHECK_EQ(mspan_vacant_os_pages(&f.span, os_page), vacant);
            CHECK_EQ(mspan_vacant_os_pages(&f.span, 2 * GA_PAGE_SIZE), 0);
        }
}

/* ---- lists ---------------------------------------------------------------------------------- */

#define NSPANS 12

static void compare_list(const struct mspan_list *l, struct mspan *const *model, size_t len) {
    CHECK_EQ(l->length, len);
    CHECK_EQ(l->first, len ? model[0] : NULL);
    CHECK_EQ(l->last, len ? model[len - 1] : NULL);
    for (size_t i = 0; i < len; i++) {
        CHECK_EQ(model[i]->list, l);
        CHECK_EQ(model[i]->prev, i > 0 ? model[i - 1] : NULL);
        CHECK_EQ(model[i]->next, i + 1 < len ? model[i + 1] : NULL);
        mspan_check(model[i]);
    }
}

static void test_list_against_model(struct rng *rng) {
    struct mspan spans[NSPANS] = {0}, *model[NSPANS];
    struct mspan_list list;
    size_t len = 0;
    mspan_list_init(&list);
    for (size_t i = 0; i < NSPANS; i++)
        spans[i] = (struct mspan){.npages = 1, .start_addr = FAKE_BASE, .state = MSPAN_FREE};
    for (int step = 0; step < 3000; step++) {
        struct mspan *s = &spans[rng_next(rng) % NSPANS];
        if (s->list != NULL) {
            size_t at = 0;
            while (model[at] != s)
                at++;
            mspan_list_remove(&list, s);
            len--;
            memmove(&model[at], &model[at + 1], (len - at) * sizeof model[0]);
            CHECK(s->list == NULL && s->next == NULL && s->prev == NULL);
        } else if (rng_next(rng) % 2) {
            mspan_list_insert(&list, s);
            memmove(&model[1], &model[0], len++ * sizeof model[0]);
            model[0] = s;
        } else {
            mspan_list_insert_back(&list, s);
            model[len++] = s;
        }
        compare_list(&list, model, len);
    }
}

struct list_and_span {
    struct mspan_list list;
    struct mspan span;
};

static void insert(void *both) {
    struct list_and_span *b = both;
    mspan_list_insert(&b->list, &b->span);
}
static void insert_back(void *both) {
    struct list_and_span *b = both;
    mspan_list_insert_back(&b->list, &b->span);
}
static void remove_from(void *both) {
    struct list_and_span *b = both;
    mspan_list_remove(&b->list, &b->span);
}

static void test_list_throws(void) {
    struct list_and_span b = {0};
    struct mspan_list other;
    mspan_list_init(&b.list);
    mspan_list_init(&other);
    CHECK(dies_saying("is in list", remove_from, &b));
    mspan_list_insert(&other, &b.span);
    CHECK(dies_saying("is in list", remove_from, &b));
    CHECK(dies_saying("already in list", insert, &b));
    CHECK(dies_saying("already in list", insert_back, &b));
    mspan_list_remove(&other, &b.span);
    insert(&b);
    remove_from(&b);
    CHECK_EQ(b.list.length, 0);
}

int main(void) {
    struct rng rng;
    rng_seed(&rng, check_seed());
    test_against_model(&rng);
    test_laps();
    test_nfresh();
    test_large_object();
    test_os_pages(&rng);
    test_throws();
    test_list_against_model(&rng);
    test_list_throws();
    return check_summary();
}

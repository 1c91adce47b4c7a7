/* Arenas: where address space comes from, in both layouts, and what is known about an address. */
#include "arena.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "check.h"
#include "kernel.h"
#include "rng.h"

struct fixture {
    struct os os;
    struct persistentalloc persistent;
    struct arena_map map;
};

static void setup(struct fixture *f, enum arena_layout layout, size_t linear_bytes) {
    os_init(&f->os);
    persistentalloc_init(&f->persistent, &f->os);
    CHECK(arena_map_init(&f->map, &f->os, &f->persistent, layout, linear_bytes));
}

static void teardown(struct fixture *f) {
    arena_map_destroy(&f->map);
    persistentalloc_destroy(&f->persistent);
}

/* Grows and writes to both ends of what came. */
static struct arena_piece grow(struct fixture *f, size_t nbytes) {
    struct arena_piece pieces[2] = {{0, 0}, {0, 0}};
    CHECK(arena_map_grow(&f->map, nbytes, pieces));
    CHECK_EQ(pieces[0].nbytes, nbytes);
    CHECK_EQ(pieces[0].base % GA_PAGE_SIZE, 0);
    if (pieces[0].base != 0) {
        *(char *)pieces[0].base = 1;
        *(char *)(pieces[0].base + nbytes - 1) = 1;
        CHECK(arena_is_ours(&f->map, pieces[0].base));
        CHECK(arena_is_ours(&f->map, pieces[0].base + nbytes - 1));
    }
    return pieces[0];
}

/* ---- hints ---------------------------------------------------------------------------------- */

/* Go's TestArenaCollision: somebody else sits where the next arenas would go. */
static void test_collision(void) {
    enum { NTAKEN = 5 };
    struct fixture f;
    void *taken[NTAKEN];
    size_t ntaken = 0;
    setup(&f, LAYOUT_SPARSE, 0);
    grow(&f, GA_ARENA_SIZE); /* finds out which hints are any good here */
    for (struct arena_hint *h = f.map.hints; h != NULL && ntaken < NTAKEN; h = h->next) {
        void *p = os_reserve(&f.os, (void *)h->addr, GA_ARENA_SIZE);
        CHECK(p != NULL);
        taken[ntaken++] = p;
    }
    CHECK_EQ(ntaken, NTAKEN);
    for (int round = 0; round < 4; round++) {
        uintptr_t base = grow(&f, GA_ARENA_SIZE).base;
        for (size_t i = 0; i < ntaken; i++)
            CHECK(base + GA_ARENA_SIZE <= (uintptr_t)taken[i] ||
                  base >= (uintptr_t)taken[i] + GA_ARENA_SIZE);
    }
    for (size_t i = 0; i < ntaken; i++)
        os_free(&f.os, taken[i], GA_ARENA_SIZE);
    teardown(&f);
}

/* The first growth goes where a hint says, the next ones on from there. */
static void test_hint_is_followed(void) {
    struct fixture f;
    setup(&f, LAYOUT_SPARSE, 0);
    uintptr_t first = grow(&f, GA_ARENA_SIZE).base;
    CHECK(f.map.hints != NULL && f.map.hints->addr == first + GA_ARENA_SIZE);
    CHECK_EQ(first & GA_ARENA_MASK, 0);
    CHECK_EQ(grow(&f, GA_ARENA_SIZE).base, first + GA_ARENA_SIZE);
    teardown(&f);
}

/* With no hint left the system chooses, and new hints go on from there in both directions. */
static void test_without_hints(void) {
    struct fixture f;
    setup(&f, LAYOUT_SPARSE, 0);
    f.map.hints = NULL;
    uintptr_t base = grow(&f, GA_ARENA_SIZE).base;
    CHECK_EQ(base & GA_ARENA_MASK, 0);
    CHECK(f.map.hints != NULL && !f.map.hints->down &&
          f.map.hints->addr == base + GA_ARENA_SIZE);
    CHECK(f.map.hints->next->down && f.map.hints->next->addr == base);
    f.map.hints = f.map.hints->next; /* only downwards */
    uintptr_t next = grow(&f, GA_ARENA_SIZE).base;
    CHECK(next == base - GA_ARENA_SIZE || !kernel_is_real());
    teardown(&f);
}

/* ---- growth --------------------------------------------------------------------------------- */

static void test_growth_is_contiguous(void) {
    struct fixture f;
    setup(&f, LAYOUT_SPARSE, 0);
    uintptr_t base = grow(&f, GA_MIB).base;
    for (size_t at = GA_MIB; at < GA_ARENA_SIZE; at += GA_MIB)
        CHECK_EQ(grow(&f, GA_MIB).base, base + at);
    CHECK_EQ(f.map.nall, 1);
    CHECK_EQ(f.map.all[0]->mapped, GA_ARENA_SIZE);
    grow(&f, GA_MIB);
    CHECK_EQ(f.map.nall, 2);
    teardown(&f);
}

/* More than what the current arena has left: one run across arenas where they touch; the rest is
 * handed out as a piece of its own where they do not. */
static void test_growth_across_arenas(void) {
    for (int apart = 0; apart < 2; apart++) {
        struct fixture f;
        struct arena_piece p[2];
        void *obstacle = NULL;
        setup(&f, LAYOUT_SPARSE, 0);
        uintptr_t first = grow(&f, 24 * GA_MIB).base;
        if (apart)
            obstacle = os_reserve(&f.os, (void *)(first + GA_ARENA_SIZE), GA_MIB);
        CHECK(arena_map_grow(&f.map, 100 * GA_MIB, p));
        if (p[1].nbytes == 0) { /* always so unless apart; hints may touch by themselves */
            CHECK_EQ(p[0].base, first + 24 * GA_MIB);
        } else {
            CHECK_EQ(p[1].base, first + 24 * GA_MIB);
            CHECK_EQ(p[1].nbytes, 40 * GA_MIB);
            memset((void *)p[1].base, 1, GA_PAGE_SIZE);
        }
        CHECK_EQ(p[1].nbytes != 0, apart);
        memset((void *)(p[0].base + 100 * GA_MIB - GA_PAGE_SIZE), 1, GA_PAGE_SIZE);
        size_t mapped = 0;
        for (size_t i = 0; i < f.map.nall; i++)
            mapped += f.map.all[i]->mapped;
        CHECK_EQ(mapped, 124 * GA_MIB + p[1].nbytes);
        if (obstacle != NULL)
            os_free(&f.os, obstacle, GA_MIB);
        teardown(&f);
    }
}

static size_t address_space(void) {
    char text[64] = "";
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file != NULL && fgets(text, sizeof text, file) != NULL);
    fclose(file);
    return strtoul(text, NULL, 10) * os_page_size();
}

/* Under RLIMIT_AS a whole arena can't be had, but part of one can, and more behind it. */
static void test_address_space_limit(bool hints) {
    struct fixture f;
    struct rlimit old, limit;
    if (!kernel_is_real())
        return;
    setup(&f, LAYOUT_SPARSE, 0);
    if (!hints)
        f.map.hints = NULL;
    address_space(); /* stdio's own memory comes first */
    getrlimit(RLIMIT_AS, &old);
    limit = old;
    /* Without a hint, alignment costs an arena on top for a moment. */
    limit.rlim_cur = address_space() + 32 * GA_MIB + (hints ? 0 : GA_ARENA_SIZE);
    CHECK_EQ(setrlimit(RLIMIT_AS, &limit), 0);
    uintptr_t base = grow(&f, 4 * GA_MIB).base;
    CHECK_EQ(base & GA_ARENA_MASK, 0);
    CHECK_EQ(f.map.all[0]->reserved, 4 * GA_MIB);
    CHECK(!arena_is_ours(&f.map, base + 4 * GA_MIB));
    uintptr_t next = grow(&f, 4 * GA_MIB).base;
    /* without hints the system may have put something there */
    if (hints || next == base + 4 * GA_MIB) {
        CHECK_EQ(next, base + 4 * GA_MIB);
        CHECK_EQ(f.map.all[0]->reserved, 8 * GA_MIB);
    } else {
        CHECK_EQ(next & GA_ARENA_MASK, 0);
    }
    struct arena_piece none[2];
    CHECK(!arena_map_grow(&f.map, GA_ARENA_SIZE + 40 * GA_MIB, none));
    CHECK_EQ(setrlimit(RLIMIT_AS, &old), 0);
    grow(&f, GA_ARENA_SIZE);
    teardown(&f);
}

/* More than the map describes is refused before it costs anything. */
static void test_too_much(void) {
    struct fixture f;
    struct arena_piece none[2];
    setup(&f, LAYOUT_SPARSE, 0);
    grow(&f, GA_MIB);
    uint64_t meta = f.map.meta_bytes, ncalls = f.os.ncalls;
    CHECK(!arena_map_grow(&f.map, GA_ARENA_MAP_LEN / 64 * GA_ARENA_SIZE, none));
    CHECK(f.map.meta_bytes == meta && f.map.nall == 1 && f.os.ncalls == ncalls);
    grow(&f, GA_ARENA_SIZE);
    teardown(&f);
}

/* Nothing changes when the k-th call of a growth fails, and the next growth works. */
static void test_growth_fails(enum arena_layout layout) {
    for (uint64_t k = 1;; k++) {
        struct fixture f;
        struct arena_piece p[2];
        setup(&f, layout, 4 * GA_ARENA_SIZE);
        uintptr_t first = grow(&f, GA_MIB).base;
        atomic_store(&f.os.fail_at, atomic_load(&f.os.ncalls) + k);
        atomic_store(&f.os.fail_all, true);
        bool ok = arena_map_grow(&f.map, GA_ARENA_SIZE, p);
        atomic_store(&f.os.fail_at, 0);
        if (!ok)
            grow(&f, GA_ARENA_SIZE);
        CHECK_EQ(*(char *)first, 1);
        for (size_t i = 0; i < f.map.nall; i++)
            CHECK_EQ(arena_of(&f.map, f.map.all[i]->start), f.map.all[i]);
        teardown(&f);
        if (ok) {
            CHECK(k > 1);
            break;
        }
    }
}

/* ---- linear --------------------------------------------------------------------------------- */

static void test_linear(void) {
    struct fixture f;
    setup(&f, LAYOUT_LINEAR, 2 * GA_ARENA_SIZE);
    const struct linear_window *w = &f.map.linear;
    CHECK_EQ(w->size, 2 * GA_ARENA_SIZE);
    for (size_t at = 0; at < w->size; at += GA_ARENA_SIZE / 2) {
        CHECK_EQ(grow(&f, GA_ARENA_SIZE / 2).base, w->start + at);
        const struct heap_arena *ha = arena_of(&f.map, w->start + at);
        size_t page = (ha->start - w->start) >> GA_PAGE_SHIFT;
        CHECK(ha->linear);
        CHECK_EQ(ha->spans, w->spans + page);
        CHECK_EQ(ha->pageclass, w->pageclass + page);
        /* the bitmap grows down from the start of the arena: one subtraction finds a word */
        uintptr_t addr = w->start + at + 16 * 64 * 3, word = (addr - w->start) / (16 * 64);
        CHECK_EQ(heap_bits_word(ha, addr), w->bitmap_end[0] - 1 - word);
        CHECK_EQ(heap_bits_word(ha, addr + 8), w->bitmap_end[1] - 1 - word);
    }
    uintptr_t beyond = grow(&f, GA_MIB).base; /* the window is full */
    CHECK(beyond - w->start >= w->size);
    CHECK(!arena_of(&f.map, beyond)->linear);
    teardown(&f);
}

/* Between the words of the bitmap and the first block there is a gap that nobody can touch. */
static void test_linear_gap(void) {
    struct fixture f;
    setup(&f, LAYOUT_LINEAR, GA_ARENA_SIZE);
    grow(&f, GA_MIB);
    const struct linear_window *w = &f.map.linear;
    CHECK_EQ(w->start - (uintptr_t)w->bitmap_end[0], GA_LINEAR_GAP);
    CHECK_EQ(GA_LINEAR_GAP % os_page_size(), 0);
    int ends[2]; /* the system says of an address whether it can be read */
    CHECK(pipe(ends) == 0);
    for (uintptr_t a = w->start - GA_LINEAR_GAP; a < w->start; a += os_page_size())
        CHECK(write(ends[1], (void *)a, 1) < 0);
    CHECK(write(ends[1], (void *)(w->start - GA_LINEAR_GAP - 1), 1) == 1);
    CHECK(write(ends[1], (void *)w->start, 1) == 1);
    close(ends[0]);
    close(ends[1]);
    teardown(&f);
}

/* Whole arenas, each time elsewhere, and growing as those at the usual place do. */
static void test_scattered(void) {
    uintptr_t first[2];
    for (unsigned i = 0; i < 2; i++) {
        struct fixture f;
        setup(&f, LAYOUT_SPARSE, 0);
        arena_map_scatter(&f.map, i + 1);
        first[i] = grow(&f, GA_MIB).base;
        CHECK_EQ(first[i] % GA_ARENA_SIZE, 0);
        CHECK_EQ(grow(&f, GA_MIB).base, first[i] + GA_MIB);
        CHECK(arena_of(&f.map, grow(&f, 2 * GA_ARENA_SIZE).base) != NULL);
        teardown(&f);
    }
    CHECK(first[0] != first[1]);
}

static void test_linear_window_refused(void) {
    struct fixture f;
    setup(&f, LAYOUT_LINEAR, (size_t)1 << 50); /* more than there is */
    CHECK_EQ(f.map.linear.size, 0);
    CHECK(!arena_of(&f.map, grow(&f, GA_MIB).base)->linear);
    teardown(&f);
}

/* ---- what is known about an address --------------------------------------------------------- */

static struct mspan span_at(uintptr_t base, size_t npages, enum mspan_state state) {
    return (struct mspan){.start_addr = base, .npages = (uint32_t)npages, .state = (uint8_t)state};
}

/* Go's rule: in use, every page; free, the first and the last. */
static void test_spans(enum arena_layout layout) {
    struct fixture f;
    setup(&f, layout, 4 * GA_ARENA_SIZE);
    uintptr_t base = grow(&f, GA_ARENA_SIZE + 10 * GA_PAGE_SIZE).base;
    /* across the border of two arenas */
    uintptr_t start = ga_align_down(base + GA_ARENA_SIZE, GA_ARENA_SIZE) - 3 * GA_PAGE_SIZE;
    struct mspan s = span_at(start, 7, MSPAN_IN_USE);
    CHECK_EQ(arena_span_of(&f.map, start), NULL);
    arena_set_span(&f.map, &s, 9);
    for (size_t i = 0; i < 7; i++) {
        uintptr_t addr = start + i * GA_PAGE_SIZE + 123;
        CHECK_EQ(arena_span_of(&f.map, addr), &s);
        CHECK_EQ(arena_of(&f.map, addr)->pageclass[arena_page(addr)], 9);
    }
    CHECK_EQ(arena_span_of(&f.map, start - 1), NULL);
    CHECK_EQ(arena_span_of(&f.map, start + 7 * GA_PAGE_SIZE), NULL);

    arena_mark_freed(&f.map, &s, 9, 10);
    for (size_t i = 0; i < 7; i++) {
        const struct heap_arena *ha = arena_of(&f.map, start + i * GA_PAGE_SIZE);
        size_t page = arena_page(start + i * GA_PAGE_SIZE);
        CHECK_EQ(ha->pageclass[page], 0);
        CHECK_EQ(ha->page_was[page], i == 0 ? 9 : 10);
    }
    struct mspan free = span_at(start - GA_PAGE_SIZE, 9, MSPAN_FREE);
    arena_set_free_span(&f.map, &free);
    CHECK_EQ(arena_span_of(&f.map, free.start_addr), &free);
    CHECK_EQ(arena_span_of(&f.map, mspan_end(&free) - 1), &free);
    CHECK_EQ(arena_span_of(&f.map, start), &s); /* an inner entry: stale, and allowed to be */
    teardown(&f);
}

static void test_released(void) {
    struct fixture f;
    setup(&f, LAYOUT_SPARSE, 0);
    uintptr_t base = grow(&f, 2 * GA_ARENA_SIZE).base;
    uintptr_t border = ga_align_up(base + 1, GA_ARENA_SIZE);
    const size_t runs[][2] = {{0, 1}, {3, 64}, {70, 58}, {128, 64}, {200, 300}};
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        uintptr_t at = border - 100 * GA_PAGE_SIZE + runs[i][0] * GA_PAGE_SIZE;
        size_t n = runs[i][1];
        arena_set_released(&f.map, at, n, true);
        CHECK_EQ(arena_count_released(&f.map, at, n), n);
        CHECK_EQ(arena_count_released(&f.map, at - GA_PAGE_SIZE, n + 2), n);
        arena_set_released(&f.map, at, n / 2, false);
        CHECK_EQ(arena_count_released(&f.map, at, n), n - n / 2);
        arena_set_released(&f.map, at, n, false);
        CHECK_EQ(arena_count_released(&f.map, base, 2 * GA_PAGES_PER_ARENA), 0);
    }
    teardown(&f);
}

/* Random stretches of released pages, across a border of arenas, against a look at each page. */
static void test_highest_kept(struct rng *rng) {
    enum { PAGES = 600 };
    struct fixture f;
    setup(&f, LAYOUT_SPARSE, 0);
    uintptr_t base = grow(&f, 2 * GA_ARENA_SIZE).base;
    uintptr_t start = ga_align_up(base + 1, GA_ARENA_SIZE) - PAGES / 2 * GA_PAGE_SIZE;
    for (int turn = 0; turn < 3000; turn++) {
        uintptr_t from = start + rng_next(rng) % PAGES * GA_PAGE_SIZE;
        size_t room = (start + PAGES * GA_PAGE_SIZE - from) >> GA_PAGE_SHIFT;
        size_t n = 1 + rng_next(rng) % room, max = turn % 3 ? 1 + rng_next(rng) % 200 : SIZE_MAX;
        arena_set_released(&f.map, from, n, turn % 5 != 0);
        from = start + rng_next(rng) % PAGES * GA_PAGE_SIZE;
        uintptr_t end = from + rng_next(rng) % (PAGES + 1) * GA_PAGE_SIZE;
        end = ga_min(end, start + PAGES * GA_PAGE_SIZE);
        uintptr_t high = end, low, got_low = 0, got_high = 0;
        while (high > from && arena_count_released(&f.map, high - GA_PAGE_SIZE, 1) == 1)
            high -= GA_PAGE_SIZE;
        for (low = high; low > from && (high - low) >> GA_PAGE_SHIFT < max &&
                         arena_count_released(&f.map, low - GA_PAGE_SIZE, 1) == 0;)
            low -= GA_PAGE_SIZE;
        CHECK_EQ(arena_highest_kept(&f.map, from, end, max, &got_low, &got_high), low < high);
        if (low < high) {
            CHECK_EQ(got_low, low);
            CHECK_EQ(got_high, high);
        }
    }
    teardown(&f);
}

static void test_foreign(void) {
    struct fixture f;
    int on_stack;
    setup(&f, LAYOUT_SPARSE, 0);
    uintptr_t base = grow(&f, GA_MIB).base, strangers[] = {
        0, 1, GA_PAGE_SIZE, (uintptr_t)&on_stack, (uintptr_t)&f.map, (uintptr_t)1 << 47,
        ((uintptr_t)1 << 48) - 1, (uintptr_t)1 << 48, UINTPTR_MAX, base - 1, base + GA_ARENA_SIZE};
    for (size_t i = 0; i < sizeof strangers / sizeof strangers[0]; i++) {
        CHECK_EQ(arena_of(&f.map, strangers[i]), NULL);
        CHECK_EQ(arena_span_of(&f.map, strangers[i]), NULL);
        CHECK(!arena_is_ours(&f.map, strangers[i]));
    }
    CHECK_EQ(arena_of(&f.map, base)->start, base);
    CHECK_EQ(arena_page(base + 5 * GA_PAGE_SIZE + 17), 5);
    teardown(&f);
}

/* Each granule has a bit of its own, whichever way the bitmap grows; and the bits of one arena are
 * not those of its neighbour. */
static void test_heap_bits(enum arena_layout layout, struct rng *rng) {
    enum { N = 400 };
    struct fixture f;
    uintptr_t addrs[N];
    setup(&f, layout, 4 * GA_ARENA_SIZE);
    uintptr_t base = grow(&f, 2 * GA_ARENA_SIZE).base;
    for (size_t i = 0; i < N; i++) {
        uintptr_t at = (uintptr_t)(rng_next(rng) % (2 * GA_ARENA_SIZE / 8)) * 8;
        addrs[i] = i < 128 ? base + GA_ARENA_SIZE - 512 + i * 8 : base + at;
    }
    for (size_t i = 0; i < N; i++) {
        const struct heap_arena *ha = arena_of(&f.map, addrs[i]);
        if (heap_bits_live(ha, addrs[i])) { /* drawn twice */
            addrs[i] = 0;
            continue;
        }
        heap_bits_set(ha, addrs[i], i % 2);
        CHECK(heap_bits_live(ha, addrs[i]));
    }
    for (size_t i = 0; i < N; i++) {
        const struct heap_arena *ha = arena_of(&f.map, addrs[i]);
        if (addrs[i] == 0)
            continue;
        CHECK(heap_bits_clear(ha, addrs[i], i % 3));
        CHECK(!heap_bits_live(ha, addrs[i]) && !heap_bits_clear(ha, addrs[i], i % 3 == 0));
    }
    teardown(&f);
}

int main(void) {
    struct rng rng;
    rng_seed(&rng, check_seed());
    test_collision();
    test_hint_is_followed();
    test_without_hints();
    test_growth_is_contiguous();
    test_growth_across_arenas();
    test_address_space_limit(true);
    test_address_space_limit(false);
    test_too_much();
    test_growth_fails(LAYOUT_SPARSE);
    test_growth_fails(LAYOUT_LINEAR);
    test_linear();
    test_linear_gap();
    test_scattered();
    test_linear_window_refused();
    test_spans(LAYOUT_SPARSE);
    test_spans(LAYOUT_LINEAR);
    test_released();
    test_highest_kept(&rng);
    test_foreign();
    test_heap_bits(LAYOUT_SPARSE, &rng);
    test_heap_bits(LAYOUT_LINEAR, &rng);
    return check_summary();
}

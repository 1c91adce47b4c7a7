/* Large objects: alignment and statistics; resized in place, or moved to where they can grow.
 * larger pages: */
#include "large_rig.h"

/* Fresh memory is handed out upwards without gaps: blocks of 5, 9 and 5 times n pages side by side,
 * and all that is left of the heap in use, too. */
static unsigned char *lay(size_t n, unsigned char **next) {
    begin(LAYOUT_SPARSE);
    unsigned char *p = take(5 * n);
    *next = take(9 * n);
    unsigned char *last = take(5 * n);
    CHECK_EQ(*next, p + 5 * n * GA_PAGE_SIZE);
    CHECK_EQ(last, *next + 9 * n * GA_PAGE_SIZE);
    take(r.h->free.npages);
    CHECK_EQ(r.h->free.nspans, 0);
    return p;
}

/* ---- alloc ---------------------------------------------------------------------------------- */

static void test_alignment(void) {
    begin(LAYOUT_SPARSE);
    for (size_t align = 1; align <= 4 * GA_MIB; align *= 4)
        for (size_t nbytes = 1; nbytes <= 100000; nbytes = nbytes * 7 + 1) {
            struct mspan *s = large_alloc(r.h, nbytes, align, true);
            CHECK(s != NULL && s->start_addr % align == 0);
            CHECK_EQ(s->npages, ga_align_up(nbytes, GA_PAGE_SIZE) >> GA_PAGE_SHIFT);
            if (nbytes % 2)
                large_free(r.h, s);
            else
                heap_bits_set(arena_of(&r.h->map, s->start_addr), s->start_addr, true);
            CHECK_HEAP(r.h);
        }
    CHECK_EQ(r.h->large[1].malloc_bytes - r.h->large[1].free_bytes,
             r.h->pages_in_use << GA_PAGE_SHIFT);
    CHECK_EQ(r.h->large[0].mallocs, 0);
    rig_close(&r);
}

static void test_too_large(void) {
    begin(LAYOUT_SPARSE);
    CHECK_EQ(large_alloc(r.h, SIZE_MAX, 1, true), NULL);
    CHECK_EQ(large_alloc(r.h, PTRDIFF_MAX, 1, true), NULL);
    CHECK_EQ(large_alloc(r.h, 1, (size_t)1 << 63, true), NULL);
    uint64_t mapped = r.h->mapped;
    struct mspan *s = mheap_span_of_heap(r.h, (uintptr_t)take(GA_MOVE_MIN / GA_PAGE_SIZE));
    const size_t sizes[] = {SIZE_MAX, PTRDIFF_MAX, (size_t)1 << 47, (size_t)1 << 45};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        CHECK(!large_resize(r.h, s, sizes[i], true));
        CHECK_EQ(large_move(r.h, s, sizes[i], true), NULL);
        CHECK_HEAP(r.h);
    }
    CHECK(r.h->mapped <= mapped + GA_MOVE_MIN + GA_HEAP_GROW_MIN); /* what is aligned needs more */
    rig_close(&r);
}

/* ---- in place ------------------------------------------------------------------------------- */

/* Takes of the run behind only what it needs, and of that counts what was given back. */
static void test_grow_in_place(void) {
    const size_t n = rig_unit() / GA_PAGE_SIZE, size = rig_unit();
    unsigned char *next, *p = lay(n, &next);
    memset(p, 0x5a, 5 * size);
    memset(next, 0xa5, 9 * size);
    uint64_t in_use = r.h->pages_in_use;
    release(next);
    CHECK_EQ(resize(p, 7 * n), p);
    CHECK_EQ(span_at(p + 7 * size)->npages, 7 * n);
    CHECK_EQ(r.h->released, 0);
    mheap_free_os_memory(r.h);
    CHECK_EQ(r.h->released, 7 * size);
    CHECK_EQ(resize(p, 8 * n), p);
    CHECK_EQ(r.h->released, 6 * size);
    CHECK_EQ(span_at(p + 8 * size)->needzero, 0);
    CHECK_EQ(resize(p, 14 * n), p); /* all of the rest */
    CHECK_EQ(r.h->free.nspans, 0);
    CHECK_EQ(r.h->released, 0);
    CHECK_EQ(r.h->pages_in_use, in_use);
    CHECK(p[0] == 0x5a && p[5 * size - 1] == 0x5a);
    CHECK(p[5 * size] == 0xa5 && all_zero(p + 7 * size, 7 * size));
    rig_close(&r);
}

/* The run behind is one page short, or there is none. */
static void test_no_room_behind(void) {
    for (int behind_is_free = 0; behind_is_free < 2; behind_is_free++) {
        unsigned char *next, *p = lay(1, &next);
        memset(p, 0x5a, 5 * GA_PAGE_SIZE);
        if (behind_is_free)
            release(next);
        unsigned char *q = resize(p, 15);
        CHECK(q != p && q[0] == 0x5a && q[5 * GA_PAGE_SIZE - 1] == 0x5a);
        rig_close(&r);
    }
}

/* What has to move goes where it can grow on, even if a smaller run would do; else where it
 * fits. */
static void test_moves_where_there_is_room(void) {
    begin(LAYOUT_SPARSE);
    unsigned char *fits = take(12), *fence = take(5), *roomy = take(12 + 12 * GA_GROW_ROOM);
    unsigned char *fence2 = take(5), *p = take(10), *q = take(10), *end = take(5);
    CHECK(fits < fence && fence < roomy && roomy < fence2 && q < end);
    unsigned char *rest = take(r.h->free.npages); /* there is nowhere else */
    release(fits);
    release(roomy);
    CHECK_EQ(resize(p, 12), roomy);
    CHECK_EQ(resize(roomy, 12 + 12 * GA_GROW_ROOM), roomy);
    release(p = fence2);
    CHECK_EQ(resize(q, 12), fits);
    release(rest);
    rig_close(&r);
}

/* At the end of the heap's pages it grows by what is missing, across arenas too. */
static void test_grow_with_the_heap(enum arena_layout layout) {
    begin(layout);
    unsigned char *p = take(GA_HEAP_GROW_MIN / GA_PAGE_SIZE - 2);
    unsigned moves = nmoves;
    uint64_t mapped = r.h->mapped;
    CHECK_EQ(resize(p, GA_HEAP_GROW_MIN / GA_PAGE_SIZE), p); /* behind it: two pages, fresh */
    CHECK_EQ(r.h->mapped, mapped);
    CHECK_EQ(resize(p, GA_HEAP_GROW_MIN / GA_PAGE_SIZE + 3), p);
    CHECK_EQ(r.h->mapped, mapped + GA_HEAP_GROW_MIN);
    p[0] = 0x5a;
    CHECK_EQ(resize(p, GA_PAGES_PER_ARENA + 3), p);
    CHECK_EQ(p[0], 0x5a);
    CHECK_EQ(nmoves, moves);
    rig_close(&r);
}

/* Where a free run would do, it moves there, and the heap stays as it is. */
static void test_prefers_free_run_to_growth(void) {
    begin(LAYOUT_SPARSE);
    size_t n = GA_HEAP_GROW_MIN / GA_PAGE_SIZE;
    unsigned char *low = take(2 * n), *fence = take(5), *p = take(n - 5);
    CHECK(low < fence && fence < p);
    CHECK_EQ(r.h->free.npages, 0);
    uint64_t mapped = r.h->mapped;
    release(low);
    CHECK_EQ(resize(p, 2 * n - 5), low);
    CHECK_EQ(r.h->mapped, mapped);
    rig_close(&r);
}

/* Pages that are not needed go back, however few, and merge with what is free behind. */
static void test_shrink(void) {
    unsigned char *next, *p = lay(1, &next);
    memset(next, 0x5a, 9 * GA_PAGE_SIZE);
    uint64_t in_use = r.h->pages_in_use;
    CHECK_EQ(resize(next, 8), next);
    CHECK_EQ(r.h->pages_in_use, in_use - 1);
    CHECK_EQ(span_at(next + 8 * GA_PAGE_SIZE)->npages, 1);
    CHECK_EQ(resize(next, 5), next);
    const struct mspan *tail = span_at(next + 5 * GA_PAGE_SIZE);
    CHECK(tail->npages == 4 && tail->state == MSPAN_FREE && tail->needzero && !tail->scavenged);
    CHECK_EQ(next[5 * GA_PAGE_SIZE - 1], 0x5a);
    CHECK_EQ(ga_free(r.h, r.c, next + 5 * GA_PAGE_SIZE), MISUSE_UNALLOCATED);
    release(p);
    release(next);
    CHECK_EQ(span_at(p)->npages, 14);
    rig_close(&r);
}

/* Below the largest class, too, while it is worth pages of its own; what is less is copied. */
static void test_shrink_to_few_pages(void) {
    unsigned char *next, *p = lay(1, &next);
    enum misuse why;
    memset(next, 0x5a, 9 * GA_PAGE_SIZE);
    CHECK_EQ(ga_realloc(r.h, r.c, next, GA_CUT_MIN + 1, true, &why), next);
    const struct mspan *s = span_at(next);
    CHECK_EQ(s->npages, 3);
    CHECK(s->elemsize == 3 * GA_PAGE_SIZE && spanclass_sizeclass(s->spanclass) == 0);
    CHECK_EQ(span_at(next + 3 * GA_PAGE_SIZE)->npages, 6);
    CHECK_EQ(ga_usable_size(r.h, r.c, next, &why), 3 * GA_PAGE_SIZE);
    CHECK_EQ(ga_realloc(r.h, r.c, next, 3 * GA_PAGE_SIZE, true, &why), next);
    CHECK_HEAP(r.h);
    check_memstats_slow(r.h);
    CHECK_EQ(resize(next, 4), next); /* it grows as any other with pages of its own */
    CHECK_EQ(resize(next, 2), next);
    unsigned char *small = ga_realloc(r.h, r.c, next, GA_PAGE_SIZE, true, &why);
    CHECK(small != next && small[0] == 0x5a && small[GA_PAGE_SIZE - 1] == 0x5a);
    CHECK(spanclass_sizeclass(span_at(small)->spanclass) != 0);
    CHECK_EQ(span_at(next)->state, MSPAN_FREE);
    CHECK_EQ(ga_free(r.h, r.c, small), MISUSE_NONE);
    release(p);
    CHECK_HEAP(r.h);
    rig_close(&r);
}

/* Whatever becomes of a watched block, it is no longer one. */
static void test_watched(void) {
    const size_t into[] = {9, 15, 5, 3, 1, 0};
    for (size_t i = 0; i < sizeof into / sizeof into[0]; i++) {
        enum misuse why;
        unsigned char *next, *p = lay(1, &next);
        large_watch(r.h, mheap_span_of_heap(r.h, (uintptr_t)next));
        CHECK_EQ(r.h->nwatched, 1);
        CHECK_HEAP(r.h);
        if (into[i] == 15)
            release(p), p = NULL;
        next = ga_realloc(r.h, r.c, next, into[i] << GA_PAGE_SHIFT, true, &why);
        CHECK_EQ(r.h->nwatched, into[i] == 9);
        CHECK_HEAP(r.h);
        release(next);
        CHECK_EQ(r.h->nwatched, 0);
        CHECK_HEAP(r.h);
        rig_close(&r);
    }
}

/* What a block gives up counts for the memory limit at once. */
static void test_shrink_keeps_limit(void) {
    begin(LAYOUT_SPARSE);
    enum misuse why;
    unsigned char *p = take(16 * GA_MIB / GA_PAGE_SIZE);
    uint64_t limit = mheap_ready_bytes_locked(r.h) - 8 * GA_MIB;
    mheap_set_memory_limit(r.h, limit);
    CHECK(mheap_is_tight(r.h));
    CHECK_EQ(ga_realloc(r.h, r.c, p, GA_MIB, true, &why), p);
    CHECK(mheap_ready_bytes_locked(r.h) <= limit && !mheap_is_tight(r.h));
    CHECK_HEAP(r.h);
    rig_close(&r);
}

/* To shrink needs no memory. */
static void test_shrink_without_memory(void) {
    enum misuse why;
    unsigned char *next;
    lay(1, &next);
    struct memstats before, after;
    rig_fail(&r, 1, true);
    mutex_lock(&r.h->lock);
    while (fixalloc_alloc(&r.h->spanalloc) != NULL)
        ;
    mutex_unlock(&r.h->lock);
    inspect_memstats(r.h, &before);
    CHECK_EQ(ga_realloc(r.h, r.c, next, 5 * GA_PAGE_SIZE, true, &why), next);
    inspect_memstats(r.h, &after);
    CHECK_EQ(memcmp(&before, &after, sizeof after), 0);
    CHECK_EQ(mheap_span_of_heap(r.h, (uintptr_t)next)->npages, 9);
    rig_fail(&r, 0, false);
    rig_close(&r);
}

/* ---- statistics ----------------------------------------------------------------------------- */

/* Whatever realloc does with a block, a malloc of the new and a free of the old is counted. */
static void test_statistics(void) {
    unsigned char *next, *p = lay(1, &next);
    const size_t npages[] = {6, 9, 4 + 1, 30, 5, 3, 4, 200, 300, 150};
    enum misuse why;
    release(next);
    r.c->next_sample = INT64_MAX;
    for (size_t i = 0; i < sizeof npages / sizeof npages[0]; i++)
        for (int noscan = 0; noscan < 2; noscan++) {
            struct mspan *s = mheap_span_of_heap(r.h, (uintptr_t)p);
            size_t old = s->elemsize, new = npages[i] << GA_PAGE_SHIFT;
            unsigned was = spanclass_noscan(s->spanclass);
            struct large_stats expected[2] = {r.h->large[0], r.h->large[1]};
            int64_t left = r.c->next_sample;
            if (old != new) {
                expected[was].frees++;
                expected[was].free_bytes += old;
                expected[noscan].mallocs++;
                expected[noscan].malloc_bytes += new;
                left -= (int64_t)new;
            }
            p = ga_realloc(r.h, r.c, p, new - 100, noscan, &why);
            CHECK_EQ(memcmp(expected, r.h->large, sizeof expected), 0);
            CHECK_EQ(r.c->next_sample, left);
            check_memstats_slow(r.h);
            CHECK_HEAP(r.h);
        }
    rig_close(&r);
}
int main(void) {
    CHECK(os_moves()); /* the call that finds out is none of those below */
    nmoves = 0;
    test_alignment();
    test_too_large();
    test_grow_in_place();
    test_no_room_behind();
    test_moves_where_there_is_room();
    test_prefers_free_run_to_growth();
    test_shrink();
    test_shrink_to_few_pages();
    test_shrink_keeps_limit();
    test_watched();
    test_shrink_without_memory();
    test_statistics();
    test_grow_with_the_heap(LAYOUT_SPARSE);
    test_grow_with_the_heap(LAYOUT_LINEAR);
    return check_summary();
}

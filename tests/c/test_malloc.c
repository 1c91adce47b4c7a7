/* The entry points: what each promises, for every class, size and alignment; and what they say of
 * pointers that are no live block. */
#include "malloc.h"

#include <string.h>

#include "rig.h"

static bool filled_with(const unsigned char *p, size_t n, int byte) {
    while (n > 0 && p[n - 1] == (unsigned char)byte)
        n--;
    return n == 0;
}

static size_t usable(struct rig *r, void *p) {
    enum misuse why;
    size_t n = ga_usable_size(r->h, r->c, p, &why);
    CHECK_EQ(why, MISUSE_NONE);
    return n;
}

static void release(struct rig *r, void *p) { CHECK_EQ(ga_free(r->h, r->c, p), MISUSE_NONE); }

static void check_nothing_live(struct rig *r) {
    struct memstats m;
    mcache_release_all(r->c); /* the block that parts are cut from counts as live */
    inspect_memstats(r->h, &m);
    CHECK_EQ(m.heap_objects, 0);
    CHECK_EQ(m.heap_alloc, 0);
    CHECK_EQ(m.mallocs, m.frees);
    rig_close(r);
}

/* ---- malloc --------------------------------------------------------------------------------- */

/* Bytes that a request takes up: a slot of its class, or whole pages. */
static size_t rounded(size_t n) {
    return n <= GA_MAX_SMALL_SIZE ? class_to_size[size_to_class(n)] : ga_align_up(n, GA_PAGE_SIZE);
}

static void test_sizes(enum arena_layout layout, bool noscan) {
    struct rig r = rig_open(layout, MCACHE_HEAP);
    for (size_t n = 0; n <= 70000; n += n < 2100 ? 1 : 61) {
        unsigned char *p = ga_malloc(r.h, r.c, n, noscan);
        CHECK(p != NULL);
        bool tiny = noscan && n < GA_TINY_SIZE;
        CHECK(tiny ? usable(&r, p) >= n : usable(&r, p) == rounded(n));
        memset(p, 0x5a, tiny ? n : usable(&r, p)); /* all of it is ours */
        unsigned char *q = ga_malloc(r.h, r.c, n, noscan);
        CHECK(q != p);
        memset(q, 0xa5, n);
        CHECK(filled_with(p, n, 0x5a));
        release(&r, p);
        CHECK(filled_with(q, n, 0xa5));
        release(&r, q);
    }
    check_nothing_live(&r);
}

/* Every class, with more blocks than a span has. */
static void test_every_class(void) {
    enum { MAX = 2100 };
    static unsigned char *p[MAX];
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    for (unsigned spc = 2; spc < GA_NUM_SPAN_CLASSES; spc++) {
        size_t size = class_to_size[spc >> 1], n = 0;
        size_t span_bytes = (size_t)class_to_allocnpages[spc >> 1] << GA_PAGE_SHIFT;
        for (; n < MAX && n < 2 * (span_bytes / size) + 2; n++) {
            p[n] = ga_malloc(r.h, r.c, size, spc & 1);
            p[n][0] = p[n][size - 1] = (unsigned char)n;
        }
        struct class_stats stats[GA_NUM_SPAN_CLASSES];
        tiny_release(r.h, &r.c->tiny); /* the one that it holds counts as live */
        inspect_class_stats(r.h, stats);
        if (spc == make_spanclass(1, true)) /* two of them share a block of 16 bytes */
            CHECK_EQ(stats[GA_TINY_SPAN_CLASS].live, n / 2);
        else
            CHECK_EQ(stats[spc].live, n);
        for (size_t i = n; i-- > 0;) {
            CHECK(p[i][0] == (unsigned char)i && p[i][size - 1] == (unsigned char)i);
            release(&r, p[i]);
        }
    }
    check_nothing_live(&r);
}

static void test_huge(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    const size_t sizes[] = {SIZE_MAX, SIZE_MAX - GA_PAGE_SIZE, (size_t)PTRDIFF_MAX + 1,
                            PTRDIFF_MAX, PTRDIFF_MAX - GA_PAGE_SIZE, (size_t)1 << 48};
    enum misuse why;
    void *p = ga_malloc(r.h, r.c, 100, false);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int noscan = 0; noscan < 2; noscan++) {
            CHECK_EQ(ga_malloc(r.h, r.c, sizes[i], noscan), NULL);
            CHECK_EQ(ga_calloc(r.h, r.c, 1, sizes[i], noscan), NULL);
            CHECK_EQ(ga_memalign(r.h, r.c, 64, sizes[i], noscan), NULL);
            CHECK_EQ(ga_memalign(r.h, r.c, (size_t)1 << 63, 1, noscan), NULL);
            CHECK_EQ(ga_realloc(r.h, r.c, p, sizes[i], noscan, &why), NULL);
            CHECK_EQ(why, MISUSE_NONE);
        }
    release(&r, p);
    unsigned char *large = ga_malloc(r.h, r.c, 200 * GA_MIB, true); /* some arenas at once */
    large[0] = large[200 * GA_MIB - 1] = 1;
    release(&r, large);
    check_nothing_live(&r);
}

static void test_calloc(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    for (size_t n = 0; n <= 300000; n = n * 5 / 4 + 1)
        for (int round = 0; round < 4; round++) {
            if (round == 3)
                mheap_free_os_memory(r.h); /* then a large one is known to be zero */
            unsigned char *p = ga_calloc(r.h, r.c, n, 1, round % 2);
            CHECK(p != NULL && filled_with(p, n, 0));
            memset(p, 0x5a, n); /* for the next round */
            release(&r, p);
        }
    unsigned char *p = ga_calloc(r.h, r.c, 7, 11, false);
    CHECK(filled_with(p, 77, 0));
    release(&r, p);
    release(&r, ga_calloc(r.h, r.c, 0, SIZE_MAX, false));
    release(&r, ga_calloc(r.h, r.c, SIZE_MAX, 0, false));
    CHECK_EQ(ga_calloc(r.h, r.c, SIZE_MAX, 2, false), NULL);
    CHECK_EQ(ga_calloc(r.h, r.c, (size_t)1 << 32, (size_t)1 << 32, false), NULL);
    CHECK_EQ(ga_calloc(r.h, r.c, SIZE_MAX / 16 + 1, 16, false), NULL);
    check_nothing_live(&r);
}

/* What malloc promises without being asked: 16 bytes from 16 on, else what the size can need. */
static void test_natural_alignment(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    for (size_t n = 1; n < 2000; n++)
        for (int noscan = 0; noscan < 2; noscan++)
            for (int i = 0; i < 3; i++) {
                size_t align = n >= 8 ? 8 : (size_t)1 << ga_log2(n);
                CHECK_EQ((uintptr_t)ga_malloc(r.h, r.c, n, noscan) % align, 0);
            }
    rig_close(&r);
}

static void test_memalign(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    for (size_t align = 1; align <= GA_MIB; align *= 2)
        for (size_t n = 0; n <= 100000; n = n < 20 ? n + 1 : n * 3 / 2)
            for (int noscan = 0; noscan < 2; noscan++) {
                unsigned char *p = ga_memalign(r.h, r.c, align, n, noscan);
                unsigned char *q = ga_memalign(r.h, r.c, align, n, noscan);
                CHECK(p != NULL && (uintptr_t)p % align == 0 && usable(&r, p) >= n);
                CHECK(q != NULL && (uintptr_t)q % align == 0 && p != q);
                memset(p, 1, n);
                memset(q, 2, n);
                CHECK(filled_with(p, n, 1));
                release(&r, p);
                release(&r, q);
            }
    CHECK_EQ(ga_memalign(r.h, r.c, 0, 8, false), NULL);
    CHECK_EQ(ga_memalign(r.h, r.c, 24, 8, false), NULL);
    check_nothing_live(&r);
}

/* ---- realloc -------------------------------------------------------------------------------- */

/* From every size to every other: the common part stays, the new one can be used. */
static void test_realloc_shapes(void) {
    const size_t sizes[] = {0, 1, 3, 8, 11, 15, 16, 17, 100, 512, 1000, 1024, 1025,
                            5000, 32768, 32769, 40960, 100000, 1000000};
    enum { N = sizeof sizes / sizeof sizes[0] };
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    for (int from = 0; from < N; from++)
        for (int to = 0; to < N; to++)
            for (int mode = 0; mode < 4; mode++) { /* noscan before and after need not agree */
                enum misuse why;
                unsigned char *p = ga_malloc(r.h, r.c, sizes[from], mode & 1);
                unsigned char *other = ga_malloc(r.h, r.c, sizes[from], mode & 1);
                memset(p, 0x5a, sizes[from]);
                memset(other, 0x33, sizes[from]);
                unsigned char *q = ga_realloc(r.h, r.c, p, sizes[to], mode >> 1, &why);
                CHECK(q != NULL && why == MISUSE_NONE && usable(&r, q) >= sizes[to]);
                CHECK(filled_with(q, ga_min(sizes[from], sizes[to]), 0x5a));
                memset(q, 0x77, sizes[to]);
                CHECK(filled_with(other, sizes[from], 0x33));
                release(&r, q);
                release(&r, other);
            }
    check_nothing_live(&r);
}

/* A block stays where it is while its slot fits, but a shrunk one must not hold much too much. */
static void test_realloc_in_place(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    enum misuse why;
    for (size_t n = 16; n <= 300000; n = n * 5 / 4) {
        char *p = ga_malloc(r.h, r.c, n, false);
        size_t slot = usable(&r, p);
        CHECK_EQ(ga_realloc(r.h, r.c, p, slot, false, &why), p);
        CHECK_EQ(ga_realloc(r.h, r.c, p, slot - slot / 4, false, &why), p);
        p = ga_realloc(r.h, r.c, p, slot / 3, false, &why);
        CHECK(usable(&r, p) <= ga_max(rounded(slot / 3), 16));
        release(&r, p);
    }
    check_nothing_live(&r);
}

/* ---- misuse --------------------------------------------------------------------------------- */

/* What free, realloc and usable_size all say of p, and the line of free (of realloc if it
 * differs). */
static void check_misuse(struct rig *r, void *p, enum misuse expected, const char *text) {
    enum misuse why;
    char line[200], wanted[200];
    CHECK_EQ(ga_free(r->h, r->c, p), expected);
    CHECK_EQ(ga_realloc(r->h, r->c, p, 100, true, &why), NULL);
    CHECK_EQ(why, expected);
    CHECK_EQ(ga_usable_size(r->h, r->c, p, &why), 0);
    CHECK_EQ(why, expected);
    for (int op = 0; op < 2; op++) {
        static const char *const heads[][2] = {
            [MISUSE_DOUBLE_FREE] = {"double free of", "realloc of freed"},
            [MISUSE_INTERIOR] = {"free of interior pointer", "realloc of interior pointer"},
            [MISUSE_UNALLOCATED] = {"free of unallocated pointer",
                                    "realloc of unallocated pointer"},
            [MISUSE_FOREIGN] = {"free of foreign pointer", "realloc of foreign pointer"},
        };
        int n = misuse_message(r->h, expected, op ? "realloc" : "free", p, line, sizeof line);
        snprintf(wanted, sizeof wanted, "%s 0x%zx%s", heads[expected][op], (size_t)p, text);
        CHECK_EQ(n, strlen(wanted));
        if (strcmp(line, wanted) != 0)
            check_fail(__FILE__, __LINE__, line);
    }
    CHECK_HEAP(r->h);
}

static void test_misuse_small(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    const char *text = " (block of 112 bytes, span class 16)";
    char *p = ga_malloc(r.h, r.c, 100, false), *q = ga_malloc(r.h, r.c, 100, false);
    for (int i = 1; i < 112; i++) { /* while both stand in the store, not yet marked */
        CHECK_EQ(ga_free(r.h, r.c, p + i), MISUSE_INTERIOR);
        CHECK_EQ(ga_free(r.h, r.c, q + i), MISUSE_INTERIOR);
    }
    check_misuse(&r, p + 56, MISUSE_INTERIOR, text);
    check_misuse(&r, q + 8, MISUSE_INTERIOR, text);
    release(&r, q);
    check_misuse(&r, q, MISUSE_DOUBLE_FREE, text);
    release(&r, p);
    check_misuse(&r, p, MISUSE_DOUBLE_FREE, text);
    check_misuse(&r, p + 8, MISUSE_UNALLOCATED, text); /* inside a free slot */

    struct mspan *s = mheap_span_of_heap(r.h, (uintptr_t)p);
    CHECK(s->nfresh < s->nelems);
    check_misuse(&r, (char *)mspan_limit(s) - 112, MISUSE_UNALLOCATED, text); /* never handed out */
    check_misuse(&r, (char *)mspan_limit(s), MISUSE_UNALLOCATED, text);       /* tail waste */
    check_misuse(&r, (char *)mspan_end(s) - 1, MISUSE_UNALLOCATED, text);

    CHECK_EQ(ga_malloc(r.h, r.c, 100, false), p); /* and nothing of this did any harm */
    release(&r, p);
    check_nothing_live(&r);
}

static void test_misuse_large(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    const char *text = " (block of 106496 bytes, span class 1)";
    char *p = ga_malloc(r.h, r.c, 100000, true);
    check_misuse(&r, p + 1, MISUSE_INTERIOR, text);
    check_misuse(&r, p + 50000, MISUSE_INTERIOR, text);
    check_misuse(&r, p + 106495, MISUSE_INTERIOR, text);
    release(&r, p);
    check_misuse(&r, p, MISUSE_DOUBLE_FREE, "");
    check_misuse(&r, p + GA_PAGE_SIZE, MISUSE_UNALLOCATED, "");
    CHECK(mheap_free_os_memory(r.h) > 0);
    check_misuse(&r, p, MISUSE_DOUBLE_FREE, "");
    check_nothing_live(&r);
}

/* Within a free run an entry of the map may be of a struct that is elsewhere now, for a stack. */
static void test_misuse_where_runs_have_merged(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    char *p[4]; /* the last one keeps the others apart from what is free behind */
    for (int i = 0; i < 4; i++)
        p[i] = ga_malloc(r.h, r.c, 5 * GA_PAGE_SIZE, true);
    CHECK(p[1] == p[0] + 5 * GA_PAGE_SIZE && p[2] == p[1] + 5 * GA_PAGE_SIZE);
    for (int i = 0; i < 3; i++)
        release(&r, p[(i + 1) % 3]);
    struct mspan *stacks[8];
    for (int i = 0; i < 8; i++) {
        CHECK((stacks[i] = mheap_alloc_manual(r.h, 16)) != NULL);
        for (int k = 0; k < 3; k++)
            check_misuse(&r, p[k], MISUSE_DOUBLE_FREE, "");
    }
    for (int i = 0; i < 8; i++)
        mheap_free(r.h, stacks[i]);
    release(&r, p[3]);
    check_nothing_live(&r);
}

static void test_misuse_tiny(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    const char *text = " (block of 16 bytes, span class 5)";
    char *p = ga_malloc(r.h, r.c, 5, true), *q = ga_malloc(r.h, r.c, 4, true);
    CHECK_EQ(q, p + 8);
    check_misuse(&r, p + 1, MISUSE_INTERIOR, text);
    check_misuse(&r, p + 12, MISUSE_INTERIOR, text); /* of the block; no part has been there */
    release(&r, p);
    check_misuse(&r, p, MISUSE_DOUBLE_FREE, text);
    release(&r, q);
    check_misuse(&r, q, MISUSE_DOUBLE_FREE, text);
    mcache_release_all(r.c);
    check_misuse(&r, q, MISUSE_DOUBLE_FREE, text);
    check_misuse(&r, q + 1, MISUSE_UNALLOCATED, text);
    struct mspan *s = mheap_span_of_heap(r.h, (uintptr_t)p);
    check_misuse(&r, (char *)mspan_end(s) - GA_TINY_SIZE, MISUSE_UNALLOCATED, text);
    check_nothing_live(&r);
}

/* The span has gone back to the heap: pages that are in nothing still tell a freed block. */
static void test_misuse_after_span_is_gone(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    char *small = ga_malloc(r.h, r.c, 48, false), *tiny = ga_malloc(r.h, r.c, 9, true);
    char *wide = ga_malloc(r.h, r.c, 9472, false); /* a span of several pages */
    char *tail = (char *)mspan_limit(mheap_span_of_heap(r.h, (uintptr_t)small));
    release(&r, small);
    release(&r, tiny);
    release(&r, wide);
    mcache_release_all(r.c);
    for (unsigned i = 0; i < GA_NUM_CENTRALS; i++)
        mcentral_release_idle(r.h, &r.h->central[i], SIZE_MAX);
    CHECK_EQ(r.h->pages_in_use, 0);
    for (int scavenged = 0; scavenged < 2; scavenged++) {
        check_misuse(&r, small, MISUSE_DOUBLE_FREE, "");
        check_misuse(&r, small + 8, MISUSE_UNALLOCATED, "");
        check_misuse(&r, tail, MISUSE_UNALLOCATED, "");
        check_misuse(&r, tiny, MISUSE_DOUBLE_FREE, "");
        check_misuse(&r, wide, MISUSE_DOUBLE_FREE, "");
        check_misuse(&r, wide + 4, MISUSE_UNALLOCATED, "");
        mheap_free_os_memory(r.h);
    }
    uintptr_t fresh = ga_align_up((uintptr_t)wide, GA_HEAP_GROW_MIN) - GA_PAGE_SIZE;
    check_misuse(&r, (char *)fresh, MISUSE_UNALLOCATED, "");
    check_nothing_live(&r);
}

static void test_misuse_foreign(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    char on_stack[16], *theirs = malloc(100);
    char *p = ga_malloc(r.h, r.c, 100, false);
    check_misuse(&r, on_stack, MISUSE_FOREIGN, "");
    check_misuse(&r, theirs, MISUSE_FOREIGN, "");
    check_misuse(&r, (void *)1, MISUSE_FOREIGN, "");
    check_misuse(&r, (void *)UINTPTR_MAX, MISUSE_FOREIGN, "");
    check_misuse(&r, (void *)((uintptr_t)p ^ (uintptr_t)1 << 40), MISUSE_FOREIGN, "");
    check_misuse(&r, (void *)r.h, MISUSE_FOREIGN, ""); /* our own structures are no arena */
    check_misuse(&r, (void *)r.c, MISUSE_FOREIGN, "");
    free(theirs);
    release(&r, p);
    check_nothing_live(&r);
}

/* A thread's cache does not take what belongs to an interpreter; the other way round it may. */
static void test_domains(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_INTERP);
    struct mcache *thread = mcache_new(r.h, MCACHE_THREAD, r.h->central);
    enum misuse why;
    void *scan = ga_malloc(r.h, r.c, 100, false), *noscan = ga_malloc(r.h, thread, 100, true);
    CHECK(scan != NULL && noscan != NULL);
    CHECK_EQ(ga_malloc(r.h, thread, 100, false), NULL);
    for (int again = 0; again < 2; again++) {
        CHECK_EQ(ga_free(r.h, thread, scan), MISUSE_DOMAIN);
        CHECK_EQ(ga_realloc(r.h, thread, scan, 1000, true, &why), NULL);
        CHECK_EQ(why, MISUSE_DOMAIN);
    }
    release(&r, noscan);
    CHECK_EQ(ga_free(r.h, thread, noscan), MISUSE_DOUBLE_FREE);
    release(&r, scan);
    check_nothing_live(&r);
}

/* What is freed to a closed cache goes to its span, and is still checked. */
static void test_closed(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    char *p = ga_malloc(r.h, r.c, 100, false), *q = ga_malloc(r.h, r.c, 100, true);
    char *part = ga_malloc(r.h, r.c, 8, true);
    mcache_close(r.c);
    CHECK_EQ(ga_malloc(r.h, r.c, 100, false), NULL);
    CHECK_EQ(ga_malloc(r.h, r.c, 8, true), NULL);
    release(&r, part);
    CHECK_EQ(r.c->tiny.nslots, 0);
    check_misuse(&r, p + 8, MISUSE_INTERIOR, " (block of 112 bytes, span class 16)");
    release(&r, p);
    check_misuse(&r, p, MISUSE_DOUBLE_FREE, " (block of 112 bytes, span class 16)");
    release(&r, q);
    mcache_open(r.c);
    release(&r, ga_malloc(r.h, r.c, 100, false));
    release(&r, ga_malloc(r.h, r.c, 8, true));
    check_nothing_live(&r);
}

int main(void) {
    test_sizes(LAYOUT_SPARSE, false);
    test_sizes(LAYOUT_SPARSE, true);
    test_sizes(LAYOUT_LINEAR, true);
    test_every_class();
    test_huge();
    test_calloc();
    test_natural_alignment();
    test_memalign();
    test_realloc_shapes();
    test_realloc_in_place();
    test_misuse_small();
    test_misuse_large();
    test_misuse_where_runs_have_merged();
    test_misuse_tiny();
    test_misuse_after_span_is_gone();
    test_misuse_foreign();
    test_domains();
    test_closed();
    return check_summary();
}

/* Huge pages: what is advised and what is not, and that nothing is given back that is still
 * advised.  larger pages:
 *
 * Every madvise is looked at on its way.  A kernel without huge pages refuses the advice: here it
 * counts as given all the same. */
#include <dlfcn.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>

#include "blocks.h"
#include "huge.h"
#include "large.h"
#include "mappings.h"
#include "scavenger.h"

static struct rig r;
static size_t advised, taken_back, given;
static uintptr_t renounced_end;
static bool refuses_to_take_back;

int madvise(void *p, size_t nbytes, int advice) {
    int (*real)(void *, size_t, int) = (int (*)(void *, size_t, int))dlsym(RTLD_NEXT, "madvise");
    if (advice == MADV_HUGEPAGE || advice == MADV_NOHUGEPAGE) {
        CHECK_EQ((uintptr_t)p % GA_HUGE_SIZE, 0);
        CHECK(advice == MADV_NOHUGEPAGE || nbytes % GA_HUGE_SIZE == 0);
        renounced_end = (uintptr_t)p + nbytes;
        if (advice == MADV_NOHUGEPAGE && refuses_to_take_back)
            return -1;
        *(advice == MADV_HUGEPAGE ? &advised : &taken_back) += nbytes;
        real(p, nbytes, advice);
        return 0;
    }
    if (advice == MADV_DONTNEED && r.h != NULL && arena_of(&r.h->map, (uintptr_t)p) != NULL) {
        CHECK(!huge_is_possible(&r.h->map, (uintptr_t)p, nbytes));
        given += nbytes;
    }
    return real(p, nbytes, advice);
}

/* ballast: bytes in use from the start, which nobody touches. */
static void open_heap(enum arena_layout layout, enum huge_pages huge, size_t ballast) {
    r = rig_open(layout, MCACHE_HEAP);
    r.h->map.huge = huge;
    r.h->map.huge_unasked = false; /* whatever this system does */
    advised = taken_back = given = 0;
    CHECK(ballast == 0 || ga_malloc(r.h, r.c, ballast, true) != NULL);
}

enum { MAX_BLOCKS = 40000 };
static struct block block[MAX_BLOCKS];

static void fill(size_t nbytes, size_t each) {
    for (size_t i = 0; i < nbytes / each; i++) {
        block[i] = (struct block){ga_malloc(r.h, r.c, each, false), each, 0};
        block_fill(&block[i], (uint32_t)i);
    }
}

/* Blocks whose number is no multiple of keep. */
static void thin_out(size_t nbytes, size_t each, size_t keep) {
    for (size_t i = 0; i < nbytes / each; i++)
        if (i % keep != 0)
            CHECK_EQ(ga_free(r.h, r.c, block[i].p), MISUSE_NONE);
}

static void check_kept(size_t nbytes, size_t each, size_t keep) {
    for (size_t i = 0; i < nbytes / each; i += keep)
        CHECK(block_holds(&block[i], each));
    CHECK(mappings_told(r.h, 0, UINT_MAX));
    check_memstats_slow(r.h);
    CHECK_HEAP(r.h);
}

/* ---- what is advised ------------------------------------------------------------------------ */

static void test_not_advised(void) {
    open_heap(LAYOUT_SPARSE, HUGE_OFF, GA_HUGE_HEAP_MIN); /* not asked for */
    fill(8 * GA_MIB, 1000);
    CHECK_EQ(advised, 0);
    rig_close(&r);
    open_heap(LAYOUT_SPARSE, HUGE_DENSE, 0); /* a small heap */
    fill(8 * GA_MIB, 1000);
    CHECK_EQ(advised, 0);
    rig_close(&r);
    open_heap(LAYOUT_SPARSE, HUGE_DENSE, GA_HUGE_HEAP_MIN); /* large objects */
    for (int i = 0; i < 20; i++)
        CHECK(ga_calloc(r.h, r.c, 1, 3 * GA_MIB, true) != NULL);
    CHECK_EQ(advised, 0);
    rig_close(&r);
}

/* Wherever the heap grows, from the start. */
static void test_all(void) {
    open_heap(LAYOUT_SPARSE, HUGE_ALL, 0);
    for (int i = 0; i < 20; i++)
        CHECK(ga_malloc(r.h, r.c, 3 * GA_MIB, true) != NULL);
    fill(8 * GA_MIB, 1000);
    CHECK_EQ(advised, r.h->mapped);
    check_kept(8 * GA_MIB, 1000, 1);
    rig_close(&r);
}

/* Growth for small objects, huge page by huge page, whatever was at the end of the heap before. */
static void test_advised(enum arena_layout layout, size_t odd) {
    open_heap(layout, HUGE_DENSE, GA_HUGE_HEAP_MIN + odd);
    uint64_t mapped = r.h->mapped;
    fill(24 * GA_MIB, 1000);
    CHECK(advised >= 20 * GA_MIB);
    CHECK_EQ((r.h->mapped - mapped) / GA_HUGE_SIZE, advised / GA_HUGE_SIZE);
    CHECK_EQ(r.h->map.cur_base % GA_HUGE_SIZE, 0);
    CHECK(huge_is_possible(&r.h->map, (uintptr_t)block[20000].p, 1));
    CHECK(r.h->map.nseams <= 2); /* one mapping, not one for each */
    check_kept(24 * GA_MIB, 1000, 1);
    rig_close(&r);
}

/* ---- taken back ----------------------------------------------------------------------------- */

static void test_free_runs(enum arena_layout layout) {
    open_heap(layout, HUGE_DENSE, GA_HUGE_HEAP_MIN);
    fill(24 * GA_MIB, 1000);
    thin_out(24 * GA_MIB, 1000, 3000); /* 8 blocks are left, in one huge page each at most */
    heap_free_os_memory(r.h);
    CHECK(taken_back > 0 && given > 0);
    check_kept(24 * GA_MIB, 1000, 3000);
    size_t before = advised;
    fill(16 * GA_MIB, 1200); /* what comes into use again is not advised again */
    CHECK_EQ(advised, before);
    CHECK_HEAP(r.h);
    rig_close(&r);
}

/* Vacant pages inside spans in use. */
static void test_inside_spans(void) {
    open_heap(LAYOUT_SPARSE, HUGE_DENSE, GA_HUGE_HEAP_MIN);
    fill(24 * GA_MIB, 1000);
    thin_out(24 * GA_MIB, 1000, 8); /* a block on each page of the heap's */
    heap_free_os_memory(r.h);
    if (os_page_size() < GA_PAGE_SIZE)
        CHECK(atomic_load(&r.h->inuse_released) > 0 && taken_back > 0);
    check_kept(24 * GA_MIB, 1000, 8);
    rig_close(&r);
}

/* A large object that lies on such pages takes no advice along when it moves. */
static void test_moved(void) {
    enum misuse why;
    open_heap(LAYOUT_SPARSE, HUGE_DENSE, GA_HUGE_HEAP_MIN);
    fill(8 * GA_MIB, 1000);
    thin_out(8 * GA_MIB, 1000, 1 << 20);
    mcache_release_all(r.c);
    for (unsigned i = 0; i < GA_NUM_CENTRALS; i++)
        mcentral_release_idle(r.h, &r.h->central[i], SIZE_MAX);
    struct block b = {ga_malloc(r.h, r.c, 3 * GA_MIB, true), 3 * GA_MIB, 0};
    CHECK(huge_is_possible(&r.h->map, (uintptr_t)b.p, b.size));
    block_fill(&b, 1);
    while (ga_malloc(r.h, r.c, GA_MAX_SMALL_SIZE + 1, true) != b.p + b.size)
        continue; /* it can't grow where it is */
    unsigned char *old = b.p;
    b.p = ga_realloc(r.h, r.c, b.p, 20 * GA_MIB, true, &why);
    CHECK(b.p != old && block_holds(&b, b.size));
    if (os_moves()) /* what is copied stays */
        CHECK(!huge_is_possible(&r.h->map, (uintptr_t)old, b.size));
    check_kept(1000, 1000, 1);
    rig_close(&r);
}

/* Where the system makes huge pages of all it can nothing is asked for, but renounced all the same,
 * and again when the kernel's mapping has been made anew. */
static void test_unasked(void) {
    open_heap(LAYOUT_SPARSE, HUGE_ALL, 0);
    r.h->map.huge_unasked = true;
    fill(8 * GA_MIB, 1000);
    CHECK_EQ(advised, 0);
    CHECK(r.h->map.nseams == 0);
    CHECK(huge_is_possible(&r.h->map, (uintptr_t)block[0].p, 1));
    thin_out(8 * GA_MIB, 1000, 3000);
    heap_free_os_memory(r.h);
    CHECK(taken_back > 0 && given > 0);
    check_kept(8 * GA_MIB, 1000, 3000);
    fill(8 * GA_MIB, 1200); /* over seams: what goes back then is mapped anew */
    thin_out(8 * GA_MIB, 1200, 1 << 20);
    heap_free_os_memory(r.h);
    CHECK(huge_is_possible(&r.h->map, (uintptr_t)block[5000].p, 1));
    rig_close(&r);
}

/* An arena whose last huge page is not all ours. */
static void test_short_arena(void) {
    open_heap(LAYOUT_SPARSE, HUGE_OFF, 0);
    r.h->map.huge_unasked = true;
    fill(8 * GA_MIB, 1000);
    struct heap_arena *ha = arena_of(&r.h->map, (uintptr_t)block[0].p);
    size_t reserved = ha->reserved;
    ha->reserved = ha->mapped - GA_PAGE_SIZE;
    CHECK(huge_renounce(&r.h->map, ha->start + ha->mapped - GA_MIB, GA_PAGE_SIZE));
    CHECK_EQ(renounced_end, ha->start + ha->reserved);
    ha->reserved = reserved;
    rig_close(&r);
}

/* What is still advised stays. */
static void test_refused(void) {
    open_heap(LAYOUT_SPARSE, HUGE_DENSE, GA_HUGE_HEAP_MIN);
    fill(24 * GA_MIB, 1000);
    thin_out(24 * GA_MIB, 1000, 8);
    uint64_t released = r.h->released;
    refuses_to_take_back = true;
    heap_free_os_memory(r.h);
    CHECK_EQ(taken_back, 0);
    CHECK(given < 4 * GA_MIB && r.h->released < released + 4 * GA_MIB);
    check_kept(24 * GA_MIB, 1000, 8);
    refuses_to_take_back = false;
    heap_free_os_memory(r.h);
    if (os_page_size() < GA_PAGE_SIZE)
        CHECK(taken_back > 0);
    check_kept(24 * GA_MIB, 1000, 8);
    rig_close(&r);
}

int main(void) {
    test_not_advised();
    for (int layout = LAYOUT_SPARSE; layout <= LAYOUT_LINEAR; layout++) {
        test_advised((enum arena_layout)layout, 0);
        test_advised((enum arena_layout)layout, GA_MIB);
        test_free_runs((enum arena_layout)layout);
    }
    test_all();
    test_unasked();
    test_short_arena();
    test_inside_spans();
    test_moved();
    test_refused();
    return check_summary();
}

/* A system with pages larger than the heap's: what is given back must not touch a neighbour.
 *
 * The system's page is whatever sysconf says, and every madvise and mremap is looked at on its way:
 * a kernel with such pages would refuse a start between two, and round a length up. */
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

#include "kernel.h"
#include "large.h"
#include "rig.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static const size_t page = 64 * GA_KIB;
static size_t given;
static bool looking; /* os_moves tries with pages of the kernel's true size */

long sysconf(int name) {
    long (*real)(int) = (long (*)(int))dlsym(RTLD_NEXT, "sysconf");
    return name == _SC_PAGESIZE ? (long)page : real(name);
}

int madvise(void *p, size_t nbytes, int advice) {
    int (*real)(void *, size_t, int) = (int (*)(void *, size_t, int))dlsym(RTLD_NEXT, "madvise");
    if (looking && advice == MADV_DONTNEED) {
        CHECK_EQ((uintptr_t)p % page, 0);
        CHECK_EQ(nbytes % page, 0);
        given += nbytes;
    }
    if (looking && advice == MADV_POPULATE_WRITE) { /* as a kernel that does not know it */
        errno = EINVAL;
        return -1;
    }
    return real(p, nbytes, advice);
}

static size_t moved;

void *mremap(void *from, size_t nbytes, size_t new_bytes, int flags, ...) {
    va_list args;
    va_start(args, flags);
    void *to = va_arg(args, void *);
    va_end(args);
    CHECK(!looking || ((uintptr_t)from | (uintptr_t)to | nbytes) % page == 0);
    CHECK_EQ(nbytes, new_bytes);
    moved += nbytes;
    return kernel_move(from, nbytes, flags, to);
}

static struct mheap heap;

/* The free run in the middle begins and ends inside pages of the system that its neighbours use. */
static void test_ends_are_kept(void) {
    CHECK(mheap_init(&heap, LAYOUT_SPARSE, 0));
    size_t per_page = page / GA_PAGE_SIZE;
    struct mspan *below = mheap_alloc_manual(&heap, 1);
    struct mspan *middle = mheap_alloc_manual(&heap, 3 * per_page);
    struct mspan *above = mheap_alloc_manual(&heap, 4 * per_page);
    uint64_t fresh = heap.released;
    mheap_free(&heap, middle);
    CHECK_EQ(mheap_free_os_memory(&heap), 2 * page);
    CHECK_EQ(given, 2 * page);
    CHECK_EQ(heap.released - fresh, 2 * page);
    CHECK(!middle->scavenged && middle->needzero);
    CHECK_EQ(mheap_free_os_memory(&heap), 0); /* nothing left to give */
    CHECK_EQ(given, 2 * page);
    middle = mheap_alloc_manual(&heap, 3 * per_page);
    CHECK_EQ(heap.released, fresh);
    CHECK(middle->needzero); /* its ends were not given back */
    mheap_free(&heap, middle);
    mheap_free(&heap, below);
    mheap_free(&heap, above);
    mheap_free_os_memory(&heap);
    CHECK_EQ(heap.released, heap.mapped);
    CHECK(treap_first(&heap.free)->scavenged && !treap_first(&heap.free)->needzero);
    mheap_destroy(&heap);
}

/* A run within one page of the system stays. */
static void test_too_small_to_give(void) {
    CHECK(mheap_init(&heap, LAYOUT_SPARSE, 0));
    mheap_alloc_manual(&heap, 1);
    struct mspan *run = mheap_alloc_manual(&heap, 2);
    mheap_alloc_manual(&heap, GA_HEAP_GROW_MIN / GA_PAGE_SIZE - 3);
    mheap_free(&heap, run);
    given = 0;
    CHECK_EQ(mheap_free_os_memory(&heap), 0);
    CHECK_EQ(given, 0);
    mheap_destroy(&heap);
}

/* Spans that are to be filled, one behind the other in a page of the system: nothing of it goes
 * back because another part of it could not be backed ahead. */
static void test_filled_spans(void) {
    CHECK(mheap_init(&heap, LAYOUT_SPARSE, 0));
    given = 0;
    for (size_t i = 0; i < 2 * page / GA_PAGE_SIZE; i++)
        CHECK(mheap_alloc(&heap, make_spanclass(size_to_class(64), true), false, true) != NULL);
    CHECK_EQ(given, 0);
    mheap_destroy(&heap);
}

/* Of a block that ends inside a page of the system, that page is copied; what does not begin where
 * one begins is copied altogether. */
static void test_move(void) {
    for (int aligned = 0; aligned < 2; aligned++) {
        struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
        size_t last = aligned ? 3 * GA_PAGE_SIZE : 0, n = GA_MOVE_MIN + page + last;
        unsigned char *fence = ga_malloc(r.h, r.c, GA_MAX_SMALL_SIZE + 1, true), *p, *q;
        enum misuse why;
        p = ga_malloc(r.h, r.c, aligned ? n : GA_MAX_SMALL_SIZE + 1, true);
        p = ga_realloc(r.h, r.c, p, n, true, &why); /* what has grown where it is is not aligned */
        CHECK_EQ((uintptr_t)p % page == 0, aligned);
        unsigned char *behind = ga_malloc(r.h, r.c, GA_MAX_SMALL_SIZE + 1, true);
        CHECK_EQ(behind, p + n);
        memset(p, 0x5a, n);
        moved = 0;
        q = ga_realloc(r.h, r.c, p, 4 * n, true, &why);
        CHECK(q != p && (uintptr_t)q % page == 0);
        CHECK_EQ(moved, aligned ? n - last : 0);
        size_t same = 0;
        while (same < n && q[same] == 0x5a)
            same++;
        CHECK_EQ(same, n);
        CHECK_HEAP(r.h);
        CHECK_EQ(ga_free(r.h, r.c, q), MISUSE_NONE);
        CHECK_EQ(ga_free(r.h, r.c, fence), MISUSE_NONE);
        CHECK_EQ(ga_free(r.h, r.c, behind), MISUSE_NONE);
        mheap_free_os_memory(r.h);
        CHECK_EQ(r.h->released, r.h->mapped);
        rig_close(&r);
    }
}

int main(void) {
    CHECK_EQ(os_page_size(), page);
    CHECK(os_moves());
    looking = true;
    test_ends_are_kept();
    test_too_small_to_give();
    test_filled_spans();
    test_move();
    return check_summary();
}

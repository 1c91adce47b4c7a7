/* What a debugging run does to blocks that nobody misuses: patterns, sizes, rings, random use. */
#include "debug.h"

#include <string.h>

#include "rig.h"
#include "scavenger.h"

static const size_t SIZES[] = {0, 1, 7, 8, 9, 100, 1000, 4096, 32768, 40000, 1000000};
#define NSIZES (sizeof SIZES / sizeof SIZES[0])

static bool filled(const unsigned char *p, size_t n, int byte) {
    for (size_t i = 0; i < n; i++)
        if (p[i] != byte)
            return false;
    return true;
}

static void test_patterns(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    struct debugger *d = debug_new(r.h, 0);
    for (size_t i = 0; i < NSIZES; i++) {
        for (unsigned domain = 0; domain < GA_NUM_DOMAINS; domain++) {
            size_t n = SIZES[i];
            unsigned char *p = debug_malloc(d, r.c, n, domain);
            CHECK(filled(p, n, DEBUG_FRESH) && filled(p + n, 8, DEBUG_FORBIDDEN));
            CHECK_EQ(debug_size(d, r.c, p, domain, CALL_FREE), n);
            CHECK_EQ(debug_peek(d, p, domain), n);
            CHECK_EQ(debug_peek(d, p, (domain + 1) % GA_NUM_DOMAINS), 0);
            memset(p, 7, n);
            unsigned char *q = debug_realloc(d, r.c, p, n + 1, domain, RING_RAW);
            CHECK(q != p && filled(q, n, 7) && filled(q + n, 1, DEBUG_FRESH));
            CHECK(filled(p, n, DEBUG_DEAD)); /* it waits in the ring */
            unsigned char *z = debug_calloc(d, r.c, 3, n, domain);
            CHECK(filled(z, 3 * n, 0));
            debug_free(d, r.c, q, domain, RING_MAIN);
            debug_free(d, r.c, z, domain, RING_NONE);
        }
        void *aligned = debug_memalign(d, r.c, 256, SIZES[i], DOMAIN_API);
        CHECK_EQ((uintptr_t)aligned % 256, 0);
        debug_free(d, r.c, aligned, DOMAIN_API, RING_RAW);
    }
    debug_check(d);
    rig_close(&r);
}

static void test_absurd_sizes(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    struct debugger *d = debug_new(r.h, 0);
    void *p = debug_malloc(d, r.c, 10, DOMAIN_MEM);
    for (size_t n = SIZE_MAX; n > PTRDIFF_MAX - 4; n = n > PTRDIFF_MAX ? PTRDIFF_MAX : n - 1) {
        CHECK(debug_malloc(d, r.c, n, DOMAIN_MEM) == NULL);
        CHECK(debug_calloc(d, r.c, 1, n, DOMAIN_MEM) == NULL);
        CHECK(debug_calloc(d, r.c, n, 2, DOMAIN_MEM) == NULL);
        CHECK(debug_memalign(d, r.c, 16, n, DOMAIN_MEM) == NULL);
        CHECK(debug_realloc(d, r.c, p, n, DOMAIN_MEM, RING_MAIN) == NULL);
    }
    debug_free(d, r.c, p, DOMAIN_MEM, RING_MAIN);
    rig_close(&r);
}

/* A freed slot does not come back before a ring has turned once. */
static void test_ring_keeps_blocks(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    struct debugger *d = debug_new(r.h, 0);
    void *first = debug_malloc(d, r.c, 100, DOMAIN_OBJ);
    debug_free(d, r.c, first, DOMAIN_OBJ, RING_MAIN);
    for (unsigned i = 1; i < DEBUG_RING_SLOTS; i++) {
        void *p = debug_malloc(d, r.c, 100, DOMAIN_OBJ);
        CHECK(p != first);
        debug_free(d, r.c, p, DOMAIN_OBJ, RING_MAIN);
    }
    size_t nbytes = 0;
    for (unsigned i = 0; i < 64; i++) { /* bytes are bounded, too */
        debug_free(d, r.c, debug_malloc(d, r.c, GA_MIB, DOMAIN_OBJ), DOMAIN_OBJ, RING_MAIN);
        nbytes = d->rings[RING_MAIN].nbytes;
        CHECK(nbytes <= DEBUG_RING_BYTES);
    }
    CHECK(nbytes > DEBUG_RING_BYTES / 2);
    debug_check(d);
    rig_close(&r);
}

/* Memory that was given back in between is zero, and no sign of a write after free. */
static void test_random_use_with_scavenging(uint64_t seed) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    struct debugger *d = debug_new(r.h, 0);
    unsigned char *blocks[256] = {NULL};
    size_t sizes[256];
    for (unsigned i = 0; i < 40000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        unsigned k = seed >> 56;
        if (blocks[k] != NULL) {
            CHECK(filled(blocks[k], sizes[k], (int)k));
            debug_free(d, r.c, blocks[k], DOMAIN_OBJ, i % 3 ? RING_MAIN : RING_NONE);
        }
        sizes[k] = (seed >> 24) % (i % 64 ? 20000 : 200000);
        blocks[k] = debug_malloc(d, r.c, sizes[k], DOMAIN_OBJ);
        memset(blocks[k], (int)k, sizes[k]);
        if (i % 4000 == 0) {
            mcache_release_all(r.c);
            heap_free_os_memory(r.h);
            debug_check(d);
            CHECK_HEAP(r.h);
        }
    }
    rig_close(&r);
}

/* A page that a small block had to itself, for its alignment, is another's in between: that its
 * seal is still there and its bytes are not is no write after free. */
static void test_aligned_block_on_pages_of_others(void) {
    struct rig r = rig_open(LAYOUT_SPARSE, MCACHE_HEAP);
    struct debugger *d = debug_new(r.h, 0);
    unsigned char *p = debug_memalign(d, r.c, 8 * GA_PAGE_SIZE, 17, DOMAIN_API);
    debug_free(d, r.c, p, DOMAIN_API, RING_NONE);
    struct mspan *all = mheap_alloc_manual(r.h, r.h->mapped / GA_PAGE_SIZE);
    CHECK(all != NULL && all->start_addr <= (uintptr_t)p && (uintptr_t)p < mspan_end(all));
    memset(p, 7, 100);
    mheap_free(r.h, all);
    unsigned char *again = debug_memalign(d, r.c, 8 * GA_PAGE_SIZE, 17, DOMAIN_API);
    CHECK(again == p && filled(again, 17, DEBUG_FRESH));
    debug_free(d, r.c, again, DOMAIN_API, RING_NONE);
    rig_close(&r);
}

int main(void) {
    test_patterns();
    test_aligned_block_on_pages_of_others();
    test_absurd_sizes();
    test_ring_keeps_blocks();
    test_random_use_with_scavenging(check_seed());
    return check_summary();
}

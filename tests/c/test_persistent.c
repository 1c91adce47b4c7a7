/* persistentalloc: zeroed, aligned, disjoint, counted to the byte; out of memory changes nothing.
 * threads: four of them allocate from one. */
#include "persistent.h"

#include <pthread.h>
#include <string.h>

#include "check.h"
#include "config.h"
#include "rng.h"

enum { NBLOCKS = 600, NTHREADS = 4 };

struct block {
    unsigned char *p;
    size_t nbytes;
    unsigned char fill;
};

static bool holds(const struct block *b, unsigned char v) {
    for (size_t i = 0; i < b->nbytes; i++)
        if (b->p[i] != v)
            return false;
    return true;
}

/* Mostly small, now and then close to the border of what gets pages of its own. */
static size_t random_size(struct rng *r) {
    switch (rng_next(r) % 16) {
    case 0:
        return GA_PERSISTENT_DIRECT - 2 + rng_next(r) % 4;
    case 1:
        return 1 + rng_next(r) % (3 * GA_PERSISTENT_DIRECT);
    default:
        return 1 + rng_next(r) % 2000;
    }
}

static size_t random_align(struct rng *r) {
    unsigned shift = rng_next(r) % (ga_log2(os_page_size()) + 2);
    return shift == 0 ? 0 : (size_t)1 << (shift - 1);
}

static void alloc_block(struct persistentalloc *p, struct rng *r, struct block *b,
                        _Atomic uint64_t *stat) {
    size_t align = random_align(r);
    b->nbytes = random_size(r);
    b->p = persistentalloc(p, b->nbytes, align, stat);
    if (b->p == NULL)
        return;
    CHECK_EQ((uintptr_t)b->p % (align ? align : 8), 0);
    CHECK(holds(b, 0));
    b->fill = (unsigned char)(1 + rng_next(r) % 255);
    memset(b->p, b->fill, b->nbytes);
}

static void test_blocks(uint64_t seed) {
    struct os os;
    struct persistentalloc p;
    struct rng r;
    static struct block blocks[NBLOCKS];
    _Atomic uint64_t stat = 0;
    uint64_t asked = 0, mapped = 0;
    os_init(&os);
    persistentalloc_init(&p, &os);
    rng_seed(&r, seed);
    for (int i = 0; i < NBLOCKS; i++) {
        uint64_t calls = os.ncalls;
        alloc_block(&p, &r, &blocks[i], &stat);
        asked += blocks[i].nbytes;
        CHECK_EQ(stat, asked);
        /* what came from the system grows by one mapping, of the size that the request explains */
        uint64_t grown = stat + p.other - mapped;
        if (os.ncalls == calls)
            CHECK_EQ(grown, 0);
        else if (blocks[i].nbytes < GA_PERSISTENT_DIRECT)
            CHECK_EQ(grown, GA_PERSISTENT_CHUNK);
        else
            CHECK(grown % os_page_size() == 0 && grown > blocks[i].nbytes &&
                  grown < blocks[i].nbytes + 2 * os_page_size());
        CHECK(os.ncalls <= calls + 1);
        CHECK(os.ncalls == calls + 1 || blocks[i].nbytes < GA_PERSISTENT_DIRECT);
        mapped += grown;
    }
    for (int i = 0; i < NBLOCKS; i++)
        CHECK(holds(&blocks[i], blocks[i].fill));
    uint64_t mappings = os.ncalls;
    persistentalloc_destroy(&p);
    CHECK_EQ(os.ncalls, 2 * mappings); /* each of them given back */
}

static void test_no_stat(void) {
    struct os os;
    struct persistentalloc p;
    os_init(&os);
    persistentalloc_init(&p, &os);
    CHECK(persistentalloc(&p, 100, 0, NULL) != NULL);
    CHECK_EQ(p.other, GA_PERSISTENT_CHUNK);
    CHECK(persistentalloc(&p, SIZE_MAX, 0, NULL) == NULL);
    CHECK(persistentalloc(&p, SIZE_MAX / 2, 0, NULL) == NULL);
    CHECK_EQ(p.other, GA_PERSISTENT_CHUNK);
    persistentalloc_destroy(&p);
}

/* Filled to its last word a chunk keeps its record, and destroy finds its way. */
static void test_full_chunk(void) {
    struct os os;
    struct persistentalloc p;
    uint64_t n = 0;
    os_init(&os);
    persistentalloc_init(&p, &os);
    for (; os.ncalls < 2; n++)
        memset(persistentalloc(&p, 8, 8, NULL), 0xff, 8);
    CHECK(n > GA_PERSISTENT_CHUNK / 8 - 8 && n <= GA_PERSISTENT_CHUNK / 8);
    persistentalloc_destroy(&p);
    CHECK_EQ(os.ncalls, 4);
}

/* Call k of the same run fails, for every k; the run goes on behind it. */
static void test_failures(uint64_t seed) {
    for (uint64_t k = 1;; k++) {
        struct os os;
        struct persistentalloc p;
        struct rng r;
        _Atomic uint64_t stat = 0;
        unsigned failed = 0;
        os_init(&os);
        atomic_store(&os.fail_at, k);
        persistentalloc_init(&p, &os);
        rng_seed(&r, seed);
        for (int i = 0; i < NBLOCKS / 4; i++) {
            struct persistent_chunk *chunks = p.chunks;
            uintptr_t next = p.next, end = p.end;
            uint64_t other = p.other, counted = stat;
            struct block b;
            alloc_block(&p, &r, &b, &stat);
            if (b.p != NULL)
                continue;
            failed++;
            CHECK_EQ(p.chunks, chunks);
            CHECK_EQ(p.next, next);
            CHECK_EQ(p.end, end);
            CHECK_EQ(p.other, other);
            CHECK_EQ(stat, counted);
        }
        uint64_t calls = os.ncalls;
        CHECK_EQ(failed, k <= calls);
        persistentalloc_destroy(&p);
        CHECK_EQ(os.ncalls, 2 * calls - failed);
        if (k > calls) {
            CHECK(calls > 2);
            return;
        }
    }
}

struct worker {
    struct persistentalloc *p;
    _Atomic uint64_t *stat;
    uint64_t seed;
    struct block blocks[NBLOCKS];
};

static void *work(void *arg) {
    struct worker *w = arg;
    struct rng r;
    rng_seed(&r, w->seed);
    for (int i = 0; i < NBLOCKS; i++)
        alloc_block(w->p, &r, &w->blocks[i], w->stat);
    return NULL;
}

static void test_threads(uint64_t seed) {
    struct os os;
    struct persistentalloc p;
    static struct worker workers[NTHREADS];
    pthread_t threads[NTHREADS];
    _Atomic uint64_t stat = 0;
    uint64_t asked = 0;
    os_init(&os);
    persistentalloc_init(&p, &os);
    for (int i = 0; i < NTHREADS; i++) {
        workers[i] = (struct worker){.p = &p, .stat = &stat, .seed = seed + (uint64_t)i};
        CHECK_EQ(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < NTHREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < NTHREADS; i++)
        for (int j = 0; j < NBLOCKS; j++) {
            asked += workers[i].blocks[j].nbytes;
            CHECK(holds(&workers[i].blocks[j], workers[i].blocks[j].fill));
        }
    CHECK_EQ(stat, asked);
    persistentalloc_destroy(&p);
}

int main(void) {
    uint64_t seed = check_seed();
    test_blocks(seed);
    test_no_stat();
    test_full_chunk();
    test_failures(seed);
    test_threads(seed);
    return check_summary();
}

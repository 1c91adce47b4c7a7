/* fixalloc: zeroed, aligned, disjoint objects of one size, reused last in first out and counted to
 * the byte; out of memory changes nothing. */
#include "fixalloc.h"

#include <string.h>

#include "check.h"
#include "config.h"
#include "rng.h"

enum { NOBJECTS = 2000 };

struct bench {
    struct os os;
    struct persistentalloc persistent;
    _Atomic uint64_t stat;
    struct fixalloc f;
};

static void bench_init(struct bench *b, size_t size, size_t align) {
    os_init(&b->os);
    persistentalloc_init(&b->persistent, &b->os);
    b->stat = 0;
    fixalloc_init(&b->f, size, align, &b->persistent, &b->stat);
}

static bool holds(const unsigned char *p, size_t n, unsigned char v) {
    for (size_t i = 0; i < n; i++)
        if (p[i] != v)
            return false;
    return true;
}

/* Random allocations and frees; each live object keeps a byte of its own all over. */
static void test_random(size_t size, size_t align, uint64_t seed) {
    struct bench b;
    struct rng r;
    static unsigned char *objects[NOBJECTS];
    static unsigned char fills[NOBJECTS];
    size_t nlive = 0, most = 0;
    size_t limit = ga_max(8, ga_min(NOBJECTS, ((size_t)4 << 20) / size));
    size_t nsteps = ga_max(100, ga_min(3 * NOBJECTS, ((size_t)32 << 20) / size));
    bench_init(&b, size, align);
    rng_seed(&r, seed);
    for (size_t step = 0; step < nsteps; step++) {
        if (nlive == 0 || (nlive < limit && rng_next(&r) % 3 != 0)) {
            unsigned char *p = fixalloc_alloc(&b.f), fill = (unsigned char)(1 + rng_next(&r) % 255);
            CHECK(p != NULL && (uintptr_t)p % align == 0);
            CHECK(holds(p, size, 0));
            memset(p, fill, size);
            objects[nlive] = p;
            fills[nlive++] = fill;
            most = ga_max(most, nlive);
        } else {
            size_t i = rng_next(&r) % nlive;
            CHECK(holds(objects[i], size, fills[i]));
            fixalloc_free(&b.f, objects[i]);
            objects[i] = objects[--nlive];
            fills[i] = fills[nlive];
        }
        CHECK_EQ(b.f.inuse, nlive * b.f.size);
    }
    for (size_t i = 0; i < nlive; i++)
        CHECK(holds(objects[i], size, fills[i]));
    /* whole objects only, and no more chunks than the busiest moment needed */
    size_t chunk = ga_max(1, GA_FIXALLOC_CHUNK / b.f.size) * b.f.size;
    CHECK_EQ(b.stat, (most * b.f.size + chunk - 1) / chunk * chunk);
    persistentalloc_destroy(&b.persistent);
}

/* Without zeroing an object comes back as it was left, but for its first word. */
static void test_not_zeroed(void) {
    struct bench b;
    bench_init(&b, 40, 8);
    b.f.zero = false;
    unsigned char *p = fixalloc_alloc(&b.f), *q = fixalloc_alloc(&b.f);
    CHECK(holds(p, 40, 0) && holds(q, 40, 0));
    memset(p, 0x11, 40);
    memset(q, 0x22, 40);
    fixalloc_free(&b.f, p);
    fixalloc_free(&b.f, q);
    CHECK_EQ(b.f.inuse, 0);
    CHECK_EQ(fixalloc_alloc(&b.f), q);
    CHECK_EQ(fixalloc_alloc(&b.f), p);
    CHECK(holds(p + 8, 32, 0x11) && holds(q + 8, 32, 0x22));
    persistentalloc_destroy(&b.persistent);
}

/* Call k fails, for every k of the run: NULL, the counts as they were, and the next try works. */
static void test_failures(size_t size) {
    unsigned n = (unsigned)(3 * GA_PERSISTENT_CHUNK / size);
    for (uint64_t k = 1;; k++) {
        struct bench b;
        unsigned failed = 0;
        bench_init(&b, size, 8);
        atomic_store(&b.os.fail_at, k);
        for (unsigned i = 0; i < n; i++) {
            struct fixalloc before = b.f;
            uint64_t stat = b.stat;
            void *p = fixalloc_alloc(&b.f);
            if (p == NULL) {
                failed++;
                CHECK_EQ(memcmp(&before, &b.f, sizeof before), 0);
                CHECK_EQ(stat, b.stat);
                p = fixalloc_alloc(&b.f);
            }
            CHECK(p != NULL);
        }
        CHECK_EQ(b.f.inuse, n * b.f.size);
        uint64_t calls = b.os.ncalls;
        CHECK_EQ(failed, k <= calls);
        persistentalloc_destroy(&b.persistent);
        if (k > calls) {
            CHECK(calls >= 3);
            return;
        }
    }
}

int main(void) {
    static const struct {
        size_t size, align;
    } shapes[] = {
        {1, 1},        {8, 8},
        {24, 8},       {40, 64},
        {160, 32},     {5000, 8},
        {4096, 4096},  {GA_FIXALLOC_CHUNK, 8},
        {40000, 16},   {GA_PERSISTENT_CHUNK + 24, 8},
    };
    uint64_t seed = check_seed();
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        test_random(shapes[i].size, shapes[i].align, seed + i);
    test_not_zeroed();
    test_failures(48);
    test_failures(3 * GA_FIXALLOC_CHUNK);
    return check_summary();
}

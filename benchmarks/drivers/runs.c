/* runs K OPS: how the time of the page heap depends on the number of free runs.
 * runs --arenas BYTES OPS: how it depends on the size of the heap.
 *
 * Prints ns of processor time as one line of JSON.  With K free runs of 2 or 4 pages, each between
 * pinned spans:
 *   fit       free of a random span and alloc of as many pages: exact fit, nothing to merge
 *   split     alloc of 1 or 3 pages, which splits a run, and the free that merges it again
 *   release   giving one run back to the system, the heap locked all the while
 * With a heap of BYTES, in large objects of 1 MiB that are not written to:
 *   grow      alloc of one
 *   lookup    ga_usable_size of a random one
 *   cycle     free of a random one, and alloc of one */
#include "bench.h"
#include "malloc.h"

enum { HELD = 512 }; /* spans out at a time, so that the runs found are not always the same */

static struct mspan *span_of_pages(struct mheap *h, size_t npages) {
    struct mspan *s = mheap_alloc_manual(h, npages);
    if (s == NULL)
        bench_fail("mheap_alloc_manual");
    return s;
}

static struct mheap *open_heap(void) {
    struct mheap *h = heap_new(LAYOUT_SPARSE, 0);
    if (h == NULL)
        bench_fail("heap_new");
    return h;
}

/* ---- free runs ------------------------------------------------------------------------------ */

static size_t even_pages(uint64_t *rng) { return 2 + 2 * random_below(rng, 2); }

/* Spans alternate with pins; every other of them is freed, the rest is held[0..n). */
static void make_runs(struct mheap *h, struct mspan **held, size_t n, uint64_t *rng) {
    struct mspan **freed = bench_table(n, sizeof *freed);
    for (size_t i = 0; i < n; i++) {
        held[i] = span_of_pages(h, even_pages(rng));
        span_of_pages(h, 1);
        freed[i] = span_of_pages(h, even_pages(rng));
        span_of_pages(h, 1);
    }
    bench_shuffle((void **)freed, n, rng);
    for (size_t i = 0; i < n; i++)
        mheap_free(h, freed[i]);
    munmap(freed, n * sizeof *freed);
}

static void fit(struct mheap *h, struct mspan **held, size_t n, size_t ops, uint64_t *rng) {
    for (size_t i = 0; i < ops; i++) {
        struct mspan **s = &held[random_below(rng, n)];
        size_t npages = (*s)->npages;
        mheap_free(h, *s);
        *s = span_of_pages(h, npages);
    }
}

static void split(struct mheap *h, size_t n, size_t ops, uint64_t *rng) {
    struct mspan *out[HELD];
    size_t nout = n / 2 < HELD ? n / 2 : HELD;
    for (size_t done = 0; done < ops; done += nout) {
        for (size_t i = 0; i < nout; i++)
            out[i] = span_of_pages(h, even_pages(rng) - 1);
        bench_shuffle((void **)out, nout, rng);
        for (size_t i = 0; i < nout; i++)
            mheap_free(h, out[i]);
    }
}

static void measure_runs(size_t n, size_t ops) {
    struct mheap *h = open_heap();
    uint64_t rng = 1;
    struct mspan **held = bench_table(n, sizeof *held);
    make_runs(h, held, n, &rng);
    size_t runs = h->free.nspans;
    ops = (ops + HELD - 1) / HELD * HELD;
    fit(h, held, n, ops, &rng);
    double start = processor_ns();
    fit(h, held, n, ops, &rng);
    double fitted = processor_ns();
    split(h, n, ops, &rng);
    double halved = processor_ns();
    mheap_free_os_memory(h);
    double released = processor_ns();
    printf("{\"runs\": %zu, \"fit\": %.1f, \"split\": %.1f, ", runs,
           (fitted - start) / (double)ops, (halved - fitted) / (double)ops);
    printf("\"release\": %.1f, \"resident\": %zu}\n", (released - halved) / (double)runs,
           resident_bytes());
}

/* ---- arenas --------------------------------------------------------------------------------- */

static void *large(struct mheap *h, struct mcache *c) {
    void *p = ga_malloc(h, c, GA_MIB, true);
    if (p == NULL)
        bench_fail("ga_malloc");
    return p;
}

static void measure_arenas(size_t nbytes, size_t ops) {
    struct mheap *h = open_heap();
    struct mcache *c = mcache_new(h, MCACHE_THREAD, h->central);
    size_t n = nbytes / GA_MIB;
    if (c == NULL || n == 0)
        bench_fail("mcache_new, or BYTES of at least 1 MiB,");
    void **blocks = bench_table(n, sizeof *blocks);
    uint64_t rng = 1;
    enum misuse why;
    double start = processor_ns();
    for (size_t i = 0; i < n; i++)
        blocks[i] = large(h, c);
    double grown = processor_ns();
    for (size_t i = 0; i < ops; i++)
        if (ga_usable_size(h, c, blocks[random_below(&rng, n)], &why) != GA_MIB)
            bench_fail("ga_usable_size");
    double looked = processor_ns();
    for (size_t i = 0; i < ops; i++) {
        void **p = &blocks[random_below(&rng, n)];
        ga_free(h, c, *p);
        *p = large(h, c);
    }
    double cycled = processor_ns();
    printf("{\"arenas\": %zu, \"grow\": %.1f, \"lookup\": %.1f, \"cycle\": %.1f, "
           "\"resident\": %zu}\n", h->map.nall, (grown - start) / (double)n,
           (looked - grown) / (double)ops, (cycled - looked) / (double)ops, resident_bytes());
}

int main(int argc, char **argv) {
    if (argc == 4 && strcmp(argv[1], "--arenas") == 0)
        measure_arenas(number_argument(argv[2]), number_argument(argv[3]));
    else if (argc == 3 && number_argument(argv[1]) >= 2)
        measure_runs(number_argument(argv[1]), number_argument(argv[2]));
    else {
        fprintf(stderr, "usage: %s K OPS (K of at least 2), or --arenas BYTES OPS\n", argv[0]);
        return 2;
    }
    return 0;
}

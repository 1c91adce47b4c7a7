/* blocks SIZE LIVE PAIRS: how the time of a call depends on the number of live blocks.
 *
 * Prints ns of processor time per call or pair as one line of JSON:
 *   fill      malloc of the first LIVE blocks
 *   touch     writing to a random live block: what the machine's caches cost, allocator or not
 *   replace   a malloc, and the free of a random live block
 *   batch     a pair of a thousand mallocs and then their frees, the live blocks left alone
 *   thin      free of a random half of the blocks
 *   holes     malloc of as many again, into the holes
 *   drain     free of all, in random order */
#include "target.h"

enum { BATCH = 1000 };

struct population {
    struct lane lane;
    size_t size;
    void **blocks;
    size_t live;
    size_t pairs;
    uint64_t rng;
};

static void touch(struct population *p) {
    for (size_t i = 0; i < p->pairs; i++)
        *(volatile char *)p->blocks[random_below(&p->rng, p->live)] = 1;
}

static void replace(struct population *p) {
    for (size_t i = 0; i < p->pairs; i++) {
        size_t victim = random_below(&p->rng, p->live);
        void *old = p->blocks[victim];
        p->blocks[victim] = lane_block(&p->lane, p->size);
        lane_free(&p->lane, old);
    }
}

static void batch(struct population *p) {
    void *blocks[BATCH];
    for (size_t done = 0; done < p->pairs; done += BATCH) {
        for (size_t i = 0; i < BATCH; i++)
            blocks[i] = lane_block(&p->lane, p->size);
        for (size_t i = 0; i < BATCH; i++)
            lane_free(&p->lane, blocks[i]);
    }
}

/* Blocks from first up to live. */
static void fill(struct population *p, size_t first) {
    for (size_t i = first; i < p->live; i++)
        p->blocks[i] = lane_block(&p->lane, p->size);
}

static void drain(struct population *p, size_t first) {
    for (size_t i = first; i < p->live; i++)
        lane_free(&p->lane, p->blocks[i]);
}

static void report(const char *name, double start, size_t calls) {
    printf("\"%s\": %.2f, ", name, (processor_ns() - start) / (double)calls);
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: %s SIZE LIVE PAIRS\n", argv[0]);
        return 2;
    }
    struct target target;
    struct population p = {.rng = 1};
    p.size = number_argument(argv[1]);
    p.live = number_argument(argv[2]);
    p.pairs = (number_argument(argv[3]) + BATCH - 1) / BATCH * BATCH;
    size_t half = p.live / 2;
    if (half == 0)
        bench_fail("LIVE of at least 2");
    target_open(&target);
    lane_open(&p.lane, &target, LANE_OBJ);
    p.blocks = bench_table(p.live, sizeof *p.blocks);
    memset(p.blocks, 0, p.live * sizeof *p.blocks);

    double start = processor_ns();
    printf("{");
    fill(&p, 0);
    report("fill", start, p.live);
    size_t resident = resident_bytes();
    start = processor_ns();
    touch(&p);
    report("touch", start, p.pairs);
    replace(&p); /* until holes are where they will be */
    start = processor_ns();
    replace(&p);
    report("replace", start, p.pairs);
    start = processor_ns();
    batch(&p);
    report("batch", start, p.pairs);
    bench_shuffle(p.blocks, p.live, &p.rng);
    start = processor_ns();
    drain(&p, half);
    report("thin", start, p.live - half);
    start = processor_ns();
    fill(&p, half);
    report("holes", start, p.live - half);
    bench_shuffle(p.blocks, p.live, &p.rng);
    start = processor_ns();
    drain(&p, 0);
    report("drain", start, p.live);
    printf("\"resident\": %zu}\n", resident);
    return 0;
}

/* pairs PATTERN SIZE PAIRS SLICES [zeroed]: the loops of pairs.go, on goalloc's C functions.
 *
 * Prints the ns of processor time per pair of each slice as one line of JSON.  zeroed: as Go's
 * memory always is. */
#include "target.h"

enum { BATCH = 1000, LIVE = 100000 };

struct loop {
    struct lane lane;
    size_t size;
    bool zeroed;
    void **blocks;
    uint64_t rng;
};

static inline void *block(struct loop *l) {
    void *p = l->zeroed ? ga_calloc(l->lane.heap, l->lane.cache, 1, l->size, false)
                        : ga_malloc(l->lane.heap, l->lane.cache, l->size, false);
    *(volatile char *)p = 1;
    return p;
}

static void churn(struct loop *l, size_t npairs) {
    for (size_t i = 0; i < npairs; i++)
        lane_free(&l->lane, block(l));
}

static void batch(struct loop *l, size_t npairs) {
    for (size_t done = 0; done < npairs; done += BATCH) {
        for (size_t i = 0; i < BATCH; i++)
            l->blocks[i] = block(l);
        for (size_t i = 0; i < BATCH; i++)
            lane_free(&l->lane, l->blocks[i]);
    }
}

static void replace(struct loop *l, size_t npairs) {
    for (size_t i = 0; i < npairs; i++) {
        size_t victim = random_below(&l->rng, LIVE);
        void *old = l->blocks[victim];
        l->blocks[victim] = block(l);
        if (old != NULL)
            lane_free(&l->lane, old);
    }
}

static void (*pattern(const char *name))(struct loop *, size_t) {
    if (strcmp(name, "churn") == 0)
        return churn;
    if (strcmp(name, "batch") == 0)
        return batch;
    return strcmp(name, "replace") == 0 ? replace : NULL;
}

int main(int argc, char **argv) {
    bool zeroed = argc == 6 && strcmp(argv[5], "zeroed") == 0;
    if ((argc != 5 && !zeroed) || pattern(argv[1]) == NULL) {
        fprintf(stderr, "usage: %s churn|batch|replace SIZE PAIRS SLICES [zeroed]\n", argv[0]);
        return 2;
    }
    struct loop l = {.size = number_argument(argv[2]), .zeroed = zeroed, .rng = 1};
    size_t npairs = number_argument(argv[3]), slices = number_argument(argv[4]);
    struct target target;
    target_open(&target);
    lane_open(&l.lane, &target, LANE_OBJ);
    l.blocks = bench_table(LIVE, sizeof *l.blocks);
    pattern(argv[1])(&l, npairs > 4 * LIVE ? npairs : 4 * LIVE); /* until it has settled */
    for (size_t i = 0; i < slices; i++) {
        double start = processor_ns();
        pattern(argv[1])(&l, npairs);
        double ns = processor_ns() - start;
        printf("%s%.3f", i == 0 ? "{\"ns\": [" : ", ", ns / (double)npairs);
    }
    printf("]}\n");
    return 0;
}

/* threads MODE THREADS BATCHES: many threads on one allocator (goalloc: the raw domain).
 *
 *   bare   no allocator at all: what this machine's processors gain from one another
 *   own    each frees its own batches, in random order: is there anything they wait for?
 *   pass   each fills a batch, puts it in the place of another, and frees that one's blocks
 *   pipe   every other thread allocates batches, the rest free them
 *
 * Prints one line of JSON: wall_ns from the common start to the last end, cpu_ns of all threads,
 * pairs, and resident, the bytes in memory at each quarter of the work (the first is once settled).
 * The number of live blocks is bounded by the number of batches, so what the resident size grows by
 * after the first quarter is memory that the allocator fails to use again. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "target.h"

enum { BATCH = 100, QUARTERS = 4, SLOTS_PER_THREAD = 4, SMALLEST = 16, LARGEST = 1024 };

/* Full or empty.  A batch belongs to one thread, or lies in a slot and belongs to who takes it. */
struct batch {
    void *blocks[BATCH];
    bool full;
};

struct crowd {
    struct target target;
    struct batch *_Atomic *slots;
    size_t nslots;
    size_t nbatches; /* of each thread */
    pthread_barrier_t start;
    size_t resident[QUARTERS];
    _Atomic uint64_t cpu_ns;
};

struct worker {
    struct crowd *crowd;
    void (*step)(struct worker *);
    struct lane lane;
    struct batch *mine;
    uint64_t rng;
    unsigned number;
    double begun, ended;
    pthread_t thread;
    char bare[LARGEST];
};

/* ---- the modes: what a thread does for each of its batches ---------------------------------- */

static void fill_batch(struct worker *w) {
    for (size_t i = 0; i < BATCH; i++) {
        size_t size = SMALLEST + random_below(&w->rng, LARGEST - SMALLEST + 1);
        w->mine->blocks[i] = lane_block(&w->lane, size);
    }
    w->mine->full = true;
}

static void free_batch(struct worker *w) {
    if (!w->mine->full)
        return;
    for (size_t i = 0; i < BATCH; i++)
        lane_free(&w->lane, w->mine->blocks[i]);
    w->mine->full = false;
}

static void swap_batch(struct worker *w) {
    struct batch *_Atomic *slot = &w->crowd->slots[random_below(&w->rng, w->crowd->nslots)];
    w->mine = atomic_exchange_explicit(slot, w->mine, memory_order_acq_rel);
}

static void swap_until(struct worker *w, bool full) {
    for (swap_batch(w); w->mine->full != full; swap_batch(w))
        sched_yield();
}

static void step_bare(struct worker *w) {
    for (size_t i = 0; i < BATCH; i++) {
        size_t offset = random_below(&w->rng, sizeof w->bare);
        w->mine->blocks[i] = &w->bare[offset];
        *(volatile char *)w->mine->blocks[i] = 1;
    }
    bench_shuffle(w->mine->blocks, BATCH, &w->rng);
}

static void step_own(struct worker *w) {
    fill_batch(w);
    bench_shuffle(w->mine->blocks, BATCH, &w->rng);
    free_batch(w);
}

static void step_pass(struct worker *w) {
    fill_batch(w);
    swap_batch(w);
    free_batch(w);
}

static void step_allocate(struct worker *w) {
    fill_batch(w);
    swap_until(w, false);
}

static void step_free(struct worker *w) {
    swap_until(w, true);
    free_batch(w);
}

static bool choose_step(struct worker *w, const char *mode) {
    if (strcmp(mode, "bare") == 0)
        w->step = step_bare;
    else if (strcmp(mode, "own") == 0)
        w->step = step_own;
    else if (strcmp(mode, "pass") == 0)
        w->step = step_pass;
    else if (strcmp(mode, "pipe") == 0)
        w->step = w->number % 2 == 0 ? step_allocate : step_free;
    return w->step != NULL;
}

/* ---- threads -------------------------------------------------------------------------------- */

static void *work(void *arg) {
    struct worker *w = arg;
    struct crowd *crowd = w->crowd;
    lane_open(&w->lane, &crowd->target, LANE_RAW);
    pthread_barrier_wait(&crowd->start);
    w->begun = now_ns();
    double cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    for (size_t quarter = 0; quarter < QUARTERS; quarter++) {
        for (size_t i = 0; i < crowd->nbatches / QUARTERS; i++)
            w->step(w);
        if (w->number == 0)
            crowd->resident[quarter] = resident_bytes();
    }
    atomic_fetch_add(&crowd->cpu_ns, (uint64_t)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu));
    w->ended = now_ns();
    lane_close(&w->lane);
    return NULL;
}

static void crowd_open(struct crowd *crowd, unsigned nthreads, size_t nbatches) {
    target_open(&crowd->target);
    crowd->nslots = (size_t)nthreads * SLOTS_PER_THREAD;
    crowd->nbatches = nbatches;
    crowd->slots = bench_table(crowd->nslots, sizeof *crowd->slots);
    struct batch *batches = bench_table(crowd->nslots, sizeof *batches);
    for (size_t i = 0; i < crowd->nslots; i++)
        atomic_init(&crowd->slots[i], &batches[i]);
    pthread_barrier_init(&crowd->start, NULL, nthreads);
}

/* Runs the threads; the time from the first one's first step to the last one's last. */
static double crowd_run(struct worker *workers, unsigned nthreads) {
    for (unsigned i = 0; i < nthreads; i++)
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
            bench_fail("pthread_create");
    for (unsigned i = 0; i < nthreads; i++)
        pthread_join(workers[i].thread, NULL);
    double begun = workers[0].begun, ended = workers[0].ended;
    for (unsigned i = 1; i < nthreads; i++) {
        begun = workers[i].begun < begun ? workers[i].begun : begun;
        ended = workers[i].ended > ended ? workers[i].ended : ended;
    }
    return ended - begun;
}

int main(int argc, char **argv) {
    unsigned nthreads = argc == 4 ? (unsigned)number_argument(argv[2]) : 0;
    size_t nbatches = argc == 4 ? number_argument(argv[3]) / QUARTERS * QUARTERS : 0;
    if (nthreads == 0 || nbatches == 0) {
        fprintf(stderr, "usage: %s bare|own|pass|pipe THREADS BATCHES (at least 4)\n", argv[0]);
        return 2;
    }
    struct crowd crowd = {.cpu_ns = 0};
    crowd_open(&crowd, nthreads, nbatches);
    struct worker *workers = bench_table(nthreads, sizeof *workers);
    struct batch *batches = bench_table(nthreads, sizeof *batches);
    bool pipe = strcmp(argv[1], "pipe") == 0;
    for (unsigned i = 0; i < nthreads; i++) {
        workers[i].crowd = &crowd;
        workers[i].mine = &batches[i];
        workers[i].number = i;
        workers[i].rng = i + 1;
        if (!choose_step(&workers[i], argv[1]) || (pipe && nthreads % 2 != 0)) {
            fprintf(stderr, "no mode %s for %u threads\n", argv[1], nthreads);
            return 2;
        }
    }
    double wall = crowd_run(workers, nthreads);
    printf("{\"wall_ns\": %.0f, \"cpu_ns\": %.0f, \"pairs\": %zu, \"resident\": [%zu", wall,
           (double)crowd.cpu_ns, nbatches * BATCH * nthreads / (pipe ? 2 : 1), crowd.resident[0]);
    for (size_t i = 1; i < QUARTERS; i++)
        printf(", %zu", crowd.resident[i]);
    printf("]}\n");
    return 0;
}

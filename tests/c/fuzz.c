/* A fuzzer: random operations on a heap, all entry points together, against a shadow of it.
 *
 *     fuzz --ops N --seed S --threads T --round R --first F
 *     fuzz FILE ...
 *
 * Rounds of R operations, counted from F, each on a heap of its own that must end empty.  One
 * driver with caches of all kinds, whose run of a seed is the same every time; or T threads with a
 * driver each, and one more that scavenges, stops, checks, limits, and makes calls of the system
 * fail.  Or one driver whose decisions are the bytes of a file, which a fuzzer made that looks at
 * what they reach (fuzz_guided.py): built with -DFUZZ_GUIDED there is no main, but what such a
 * fuzzer calls. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "fuzz_probe.h"
#include "fuzz_world.h"

enum { BUDGET = 96 << 20, DEBUG_EVERY = 5000 };

_Thread_local struct driver *fuzz_current;
static struct field field;
static struct driver drivers[WORKERS_MAX + 1];
static uint64_t ncalls; /* of the system, in all rounds: the same at each run of a seed */

/* ---- one operation -------------------------------------------------------------------------- */

static void op_block(struct driver *d, unsigned what) {
    if (what < 10)
        op_probe(d);
    else if (what < 14)
        op_stack(d);
    else if (what < 15)
        op_absurd(d);
    else if (what < 50)
        op_realloc(d);
    else if (d->shadow.nlive < LIVE_MAX && input_u8(&d->in) < d->habit.growth)
        op_alloc(d);
    else
        op_free(d);
}

static void step(struct driver *d) {
    unsigned what = input_u8(&d->in);
    d->ops++;
    if (d->faults_left != 0 && --d->faults_left == 0)
        set_faults(d->f, 0, false);
    if (what >= 240) {
        d->at = what % d->nlanes;
        what = input_u8(&d->in);
    }
    if (what >= 252 && !d->f->threaded)
        op_world(d);
    else if (what == 251 && input_u8(&d->in) < 16)
        op_cache(d);
    else if (what == 250 && input_u8(&d->in) < 16)
        new_habit(d);
    else if (what >= 246 && d->f->threaded)
        op_exchange(d);
    else {
        lane_lock(d, lane_of(d));
        op_block(d, what);
        lane_unlock(d, lane_of(d));
    }
    if (d->f->debug != NULL && debug_count(d->f->debug) && !d->f->threaded)
        check_debug(d->f);
}

/* ---- a round -------------------------------------------------------------------------------- */

static struct gil *gil_of(struct mcache *c) {
    for (unsigned i = 0; i < field.ngils; i++)
        if (atomic_load(&field.gil[i].c) == c)
            return &field.gil[i];
    return NULL;
}

static bool hold_interp(struct mcache *c) {
    struct gil *gil = gil_of(c);
    return gil != NULL && pthread_mutex_trylock(&gil->m) == 0;
}

static void let_go_interp(struct mcache *c) { pthread_mutex_unlock(&gil_of(c)->m); }

static uint8_t new_set(struct field *f) {
    f->set[f->nsets] = f->nsets == 0 ? f->h->central : mcentral_new_set(f->h);
    EXPECT(f->set[f->nsets] != NULL);
    return f->nsets++;
}

static void open_field(struct field *f, bool threaded, unsigned ndrivers) {
    *f = (struct field){.file = f->file, .seed = f->seed, .round = f->round};
    unsigned dice = input_u8(&drivers[0].in);
    f->h = heap_new(dice & 1 ? LAYOUT_LINEAR : LAYOUT_SPARSE, 16 * GA_ARENA_SIZE);
    f->threaded = threaded;
    /* Small heaps are full of what was there before, and quick. */
    f->budget = (size_t)BUDGET / ndrivers >> 2 * input_below(&drivers[0].in, 4);
    pthread_mutex_init(&f->exchange_lock, NULL);
    EXPECT(f->h != NULL && scavenger_init(f->h));
    EXPECT(profile_init(&f->profile, &f->h->profile_budget));
    f->profile.walker = (struct profile_walker){walk_decisions, walk_decisions, NULL};
    f->h->profile = &f->profile;
    if (dice >= 224) { /* all is written to, so there is less */
        EXPECT((f->debug = debug_new(f->h, DEBUG_EVERY)) != NULL);
        f->budget /= 4;
    }
    f->h->map.huge = dice % 8 == 3 || dice % 8 == 6;
    f->h->caches->hold_interp = hold_interp;
    f->h->caches->let_go_interp = let_go_interp;
    new_set(f);
    f->orphan_set = new_set(f);
    f->orphan = mcache_new(f->h, MCACHE_ORPHAN, f->set[f->orphan_set]);
    EXPECT(f->orphan != NULL);
    f->h->caches->orphan = f->orphan;
    if (f->h->map.huge)
        EXPECT((f->ballast = ga_malloc(f->h, f->orphan, GA_HUGE_HEAP_MIN, true)) != NULL);
}

static void add_lane(struct driver *d, enum mcache_kind kind, uint8_t set) {
    struct field *f = d->f;
    struct lane *l = &d->lane[d->nlanes++];
    *l = (struct lane){.kind = kind, .set = set};
    l->c = kind == MCACHE_ORPHAN ? f->orphan : mcache_new(f->h, kind, f->set[set]);
    EXPECT(l->c != NULL);
    reseed_sampler(l->c, set);
    if (kind != MCACHE_INTERP)
        return;
    l->gil = &f->gil[f->ngils++];
    pthread_mutex_init(&l->gil->m, NULL);
    atomic_store(&l->gil->c, l->c);
}

/* Everything but its decisions. */
static void open_driver(struct driver *d, struct field *f) {
    struct input in = d->in;
    memset(d, 0, sizeof *d);
    d->in = in;
    d->f = f;
    d->habit = (struct habit){.mode = 3, .growth = 160};
    add_lane(d, MCACHE_INTERP, f->threaded ? new_set(f) : 0);
    add_lane(d, MCACHE_THREAD, 0);
    add_lane(d, MCACHE_ORPHAN, f->orphan_set);
    if (f->threaded)
        return;
    add_lane(d, MCACHE_THREAD, 0);
    add_lane(d, MCACHE_INTERP, new_set(f));
    add_lane(d, MCACHE_HEAP, 0);
}

/* What one of the drivers changes for all of them is so from the beginning, now and then. */
static void set_rates(struct driver *d) {
    unsigned dice = input_u8(&d->in);
    fuzz_current = d;
    if (dice & 1)
        op_rate(d);
    if (dice & 2 && d->f->debug == NULL)
        op_guard(d);
}

static void free_lives(struct driver *d) {
    for (d->at = 0; d->at < d->nlanes; d->at++) {
        struct lane *l = lane_of(d);
        lane_lock(d, l);
        for (uint32_t i = d->shadow.nlive; i-- > 0;)
            if (lane_may_free(l, &d->shadow.live[i]))
                free_block(d, &d->shadow.live[i]);
        while (l->kind == MCACHE_THREAD && d->nstacks != 0) {
            struct stack *s = &d->stack[--d->nstacks];
            mcache_enter(l->c);
            mcache_obey(l->c);
            EXPECT(stack_free(d->f->h, &l->c->stackcache, s->p, s->size));
            mcache_leave(l->c);
        }
        lane_unlock(d, l);
    }
    d->at = 0;
    EXPECT(d->shadow.nlive == 0);
}

/* With nothing in use and time going on, everything goes back to the system. */
static void wait_for_scavenger(struct driver *d) {
    struct mheap *h = d->f->h;
    for (unsigned steps = 0;; steps++) {
        uint64_t again = scavenger_step(h, d->clock);
        EXPECT(steps < 10000000);
        if (again == GA_SCAVENGE_NEVER)
            break;
        d->clock += again + 1000;
    }
    if (h->pages_in_use != 0 || h->pages_manual != 0 || h->released != h->mapped)
        fprintf(stderr, "%" PRIu64 " pages in use, %" PRIu64 " of stacks; %" PRIu64 " of %" PRIu64
                " bytes given back\n", h->pages_in_use, h->pages_manual, h->released, h->mapped);
    EXPECT(h->pages_in_use == 0 && h->pages_manual == 0 && h->released == h->mapped);
}

/* What waits in the rings of a debugging run makes way for a block that is too large for them. */
static void empty_rings(struct driver *d) {
    static const struct {
        unsigned lane;
        enum ga_domain domain;
    } users[DEBUG_RINGS] = {[RING_RAW] = {1, DOMAIN_RAW}, [RING_MAIN] = {0, DOMAIN_OBJ}};
    struct debugger *g = d->f->debug;
    for (unsigned ring = 0; ring < DEBUG_RINGS; ring++) {
        struct mcache *c = d->lane[users[ring].lane].c;
        if (g->rings[ring].n == 0)
            continue;
        void *p = debug_malloc(g, c, DEBUG_RING_BYTES, users[ring].domain);
        EXPECT(p != NULL);
        debug_free(g, c, p, users[ring].domain, ring);
        EXPECT(g->rings[ring].n == 0 && g->rings[ring].nbytes == 0);
    }
}

/* All that the program has is freed, and everybody knows it. */
static void free_all(struct field *f, unsigned ndrivers) {
    struct driver *d = &drivers[0];
    for (unsigned i = 0; i < ndrivers; i++)
        free_lives(&drivers[i]);
    if (f->ballast != NULL)
        EXPECT(ga_free(f->h, f->orphan, f->ballast) == MISUSE_NONE);
    d->at = 1; /* any lane may, and nobody else is at work */
    while (f->nexchange != 0)
        door_free(d, &f->exchange[--f->nexchange], CALL_FREE);
    if (atomic_load(&f->closed))
        op_open(d);
    mheap_set_memory_limit(f->h, UINT64_MAX);
    if (f->debug != NULL)
        empty_rings(d);
    check_profile(d, true);
    struct guards *g = guards_of(f);
    EXPECT(atomic_load(&f->h->specials.n) == 0);
    EXPECT(g == NULL || (guards_live(g) == 0 && atomic_load(&g->mapped) == 0));
}

static void close_field(struct field *f, unsigned ndrivers) {
    struct driver *d = &drivers[0];
    fuzz_current = d;
    set_faults(f, 0, false);
    check_heap(f);
    for (unsigned i = 0; i < ndrivers; i++)
        check_contents(&drivers[i]);
    check_stats(d);
    free_all(f, ndrivers);
    scavenger_set_delay(f->h, GA_SCAVENGE_DELAY_DEFAULT);
    if (!f->threaded)
        mcache_free(d->lane[--d->nlanes].c); /* nobody may age a heap's own */
    wait_for_scavenger(d);
    check_heap(f);
    for (unsigned i = 0; i < ndrivers; i++)
        for (unsigned n = 0; n < drivers[i].nlanes; n++)
            if (drivers[i].lane[n].kind != MCACHE_ORPHAN)
                mcache_free(drivers[i].lane[n].c);
    check_heap(f);
    ncalls += atomic_load(&f->h->os.ncalls);
    profile_destroy(&f->profile);
    if (guards_of(f) != NULL)
        guards_delete(guards_of(f));
    heap_delete(f->h);
    fuzz_current = NULL;
}

/* ---- one driver ----------------------------------------------------------------------------- */

static uint64_t run_alone(uint64_t nops) {
    struct driver *d = &drivers[0];
    open_field(&field, false, 1);
    open_driver(d, &field);
    set_rates(d);
    while (d->ops < nops && !d->in.over)
        step(d);
    uint64_t done = d->ops;
    close_field(&field, 1);
    return done;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    input_from_bytes(&drivers[0].in, bytes, n);
    run_alone(UINT64_MAX);
    return 0;
}

#ifndef FUZZ_GUIDED

/* ---- threads -------------------------------------------------------------------------------- */

static uint64_t ops_of_each;

static void *work(void *arg) {
    struct driver *d = arg;
    fuzz_current = d;
    while (d->ops < ops_of_each)
        step(d);
    return NULL;
}

static void *watch(void *arg) {
    struct driver *d = arg;
    fuzz_current = d;
    for (; !atomic_load(&d->f->done); d->ops++) {
        if (d->faults_left != 0 && --d->faults_left == 0)
            set_faults(d->f, 0, false);
        op_world(d);
        if (input_u8(&d->in) & 1)
            os_yield();
    }
    return NULL;
}

static uint64_t run_threads(uint64_t nops, unsigned nthreads, uint64_t seed) {
    pthread_t thread[WORKERS_MAX], watcher;
    struct driver *w = &drivers[nthreads];
    open_field(&field, true, nthreads);
    ops_of_each = nops / nthreads;
    for (unsigned i = 0; i <= nthreads; i++)
        input_from_seed(&drivers[i].in, seed * (WORKERS_MAX + 1) + i);
    for (unsigned i = 0; i < nthreads; i++)
        open_driver(&drivers[i], &field);
    set_rates(&drivers[0]);
    struct input in = w->in;
    memset(w, 0, sizeof *w);
    w->in = in;
    w->f = &field;
    for (unsigned i = 0; i < nthreads; i++)
        EXPECT(pthread_create(&thread[i], NULL, work, &drivers[i]) == 0);
    EXPECT(pthread_create(&watcher, NULL, watch, w) == 0);
    for (unsigned i = 0; i < nthreads; i++)
        pthread_join(thread[i], NULL);
    atomic_store(&field.done, true);
    pthread_join(watcher, NULL);
    uint64_t done = w->ops + ops_of_each * nthreads;
    drivers[0].clock = w->clock;
    close_field(&field, nthreads);
    return done;
}

/* ---- command line --------------------------------------------------------------------------- */

struct options {
    uint64_t ops, seed, threads, round, first;
};

static bool parse(int argc, char **argv, struct options *o) {
    const struct {
        const char *name;
        uint64_t *value;
    } known[] = {{"--ops", &o->ops}, {"--seed", &o->seed}, {"--threads", &o->threads},
                 {"--round", &o->round}, {"--first", &o->first}};
    for (int i = 1; i < argc; i += 2) {
        size_t k = 0;
        while (k < 5 && strcmp(argv[i], known[k].name) != 0)
            k++;
        if (k == 5 || i + 1 == argc)
            return false;
        *known[k].value = strtoull(argv[i + 1], NULL, 0);
    }
    return o->threads <= WORKERS_MAX && o->round != 0;
}

/* 0, or what main returns. */
static int run_files(char **names, int n) {
    static uint8_t bytes[1 << 20];
    for (int i = 0; i < n; i++) {
        FILE *file = fopen(names[i], "rb");
        if (file == NULL) {
            perror(names[i]);
            return 2;
        }
        size_t nbytes = fread(bytes, 1, sizeof bytes, file);
        fclose(file);
        field.file = names[i];
        LLVMFuzzerTestOneInput(bytes, nbytes);
    }
    printf("%d files, %" PRIu64 " calls of the system\n", n, ncalls);
    return 0;
}

static void on_fatal(int sig) {
    signal(sig, SIG_DFL);
    fuzz_where();
    raise(sig);
}

int main(int argc, char **argv) {
    struct options o = {.ops = 1000000, .seed = os_entropy() >> 32, .threads = 0, .round = 1000000};
    bool files = argc > 1 && argv[1][0] != '-';
    if (!files && !parse(argc, argv, &o)) {
        fprintf(stderr, "fuzz [--ops N] [--seed S] [--threads T <= %d] [--round R] [--first F]\n"
                "fuzz FILE ...\n", WORKERS_MAX);
        return 2;
    }
    signal(SIGABRT, on_fatal);
    signal(SIGSEGV, on_fatal);
    if (files)
        return run_files(argv + 1, argc - 1);
    printf("seed %" PRIu64 "\n", o.seed);
    fflush(stdout);
    uint64_t start = os_nanotime(), done = 0, round = o.first;
    for (; done < o.ops; round++) {
        uint64_t n = ga_min(o.round, o.ops - done), seed = o.seed * 1000003 + round;
        field.seed = o.seed;
        field.round = round;
        input_from_seed(&drivers[0].in, seed);
        done += o.threads == 0 ? run_alone(n) : run_threads(n, (unsigned)o.threads, seed);
    }
    printf("%" PRIu64 " operations in %" PRIu64 " rounds, %" PRIu64 " threads, %" PRIu64
           " calls of the system, %.1f s\n", done, round - o.first, o.threads, ncalls,
           (double)(os_nanotime() - start) / 1e9);
    return 0;
}
#endif

/* What the drivers of one round work on: a heap, its caches, and what they hold of each other.
 *
 * A lane is a cache and what a caller needs to use it: an interpreter's cache wants its GIL, the
 * orphan cache its lock, a thread's cache only its thread.  A driver makes decisions of its own and
 * has a shadow of the blocks that are its own; blocks that any thread may free change drivers
 * through the exchange. */
#ifndef GA_TEST_FUZZ_FIELD_H
#define GA_TEST_FUZZ_FIELD_H

#include <pthread.h>
#include <signal.h>

#include "debug.h"
#include "fuzz_input.h"
#include "fuzz_shadow.h"
#include "guard.h"
#include "inspect.h"
#include "scavenger.h"

enum { WORKERS_MAX = 8, GILS_MAX = WORKERS_MAX, LANES_MAX = 6 };
enum { STACKS_MAX = 48, EXCHANGE_LEN = 64 };

/* Of an interpreter: who holds it may use its cache, and no other interpreter's blocks. */
struct gil {
    pthread_mutex_t m;
    struct mcache *_Atomic c;
};

struct lane {
    struct mcache *c;
    enum mcache_kind kind;
    uint8_t set;     /* of its centrals */
    struct gil *gil; /* or NULL */
};

struct stack {
    unsigned char *p;
    size_t size;
};

struct field {
    struct mheap *h;
    struct mcentral *set[GILS_MAX + 2];
    uint8_t nsets;
    struct gil gil[GILS_MAX];
    unsigned ngils;
    struct mcache *orphan;
    uint8_t orphan_set;
    void *ballast; /* or NULL: makes the heap so large that it asks for huge pages; never written */
    struct debugger *debug; /* or NULL: a round without seals */
    bool threaded;
    _Atomic bool faults; /* calls of the system fail */
    _Atomic bool faulty; /* or did, in this round */
    _Atomic bool closed; /* the caches are */
    _Atomic bool sampled; /* or have been, in this round */
    _Atomic uint32_t rate; /* of the profile */
    struct profile profile;
    _Atomic bool done;
    const char *file; /* that the decisions come from; NULL: */
    uint64_t seed, round;
    size_t budget; /* bytes that a driver may have live */
    pthread_mutex_t exchange_lock;
    struct block exchange[EXCHANGE_LEN];
    unsigned nexchange;
};

/* Which sizes are asked for, and how many more blocks made than freed; now these, now others. */
struct habit {
    uint8_t mode, class, growth;
};

struct driver {
    struct field *f;
    struct input in;
    struct habit habit;
    struct lane lane[LANES_MAX];
    unsigned nlanes, at; /* the lane in use */
    uint64_t ops;
    uint64_t clock;        /* ns: what time the scavenger is told */
    unsigned faults_left;  /* operations until they end */
    struct stack stack[STACKS_MAX];
    unsigned nstacks;
    struct shadow shadow;
};

extern _Thread_local struct driver *fuzz_current;

static inline void fuzz_where(void) {
    const struct driver *d = fuzz_current;
    if (d != NULL && d->f->file != NULL)
        fprintf(stderr, "fuzz: %s, operation %" PRIu64 "\n", d->f->file, d->ops);
    else if (d != NULL)
        fprintf(stderr, "fuzz: seed %" PRIu64 ", round %" PRIu64 ", operation %" PRIu64 "\n",
                d->f->seed, d->f->round, d->ops);
}

/* A fuzzer ends at the first thing that does not hold: what follows would be noise. */
#define EXPECT(cond)                                                                               \
    do {                                                                                           \
        if (__builtin_expect(!(cond), 0)) {                                                        \
            fprintf(stderr, "%s:%d: EXPECT(%s)\n", __FILE__, __LINE__, #cond);                     \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static inline struct lane *lane_of(struct driver *d) { return &d->lane[d->at]; }

static inline bool lane_serves(const struct lane *l, bool noscan) {
    return l->kind == MCACHE_INTERP ? !noscan : l->kind == MCACHE_THREAD ? noscan : true;
}

/* Whose words of the heap bitmap are its own, or nobody's: then any thread may free it. */
static inline bool is_anyones(const struct block *b) { return b->noscan || b->large || b->guarded; }

/* May b be freed by l?  A scan block is its interpreter's. */
static inline bool lane_may_free(const struct lane *l, const struct block *b) {
    if (is_anyones(b))
        return true;
    return l->kind != MCACHE_THREAD && l->set == b->set;
}

/* Samples by the decisions of the fuzzer, not by the time of day: a seed's run is the same. */
static inline void reseed_sampler(struct mcache *c, uint64_t seed) {
    if (c->shared)
        mcache_enter(c);
    rng_seed(&c->sampler.rng, seed);
    rng_seed(&c->guard.rng, seed);
    mcache_draw_again(c, c->sampler.rate);
    if (c->shared)
        mcache_leave(c);
}

static inline void lane_lock(struct driver *d, struct lane *l) {
    if (l->gil != NULL)
        pthread_mutex_lock(&l->gil->m);
    else if (l->kind == MCACHE_ORPHAN)
        mutex_lock(&d->f->h->caches->orphan_lock);
}

static inline void lane_unlock(struct driver *d, struct lane *l) {
    if (l->gil != NULL)
        pthread_mutex_unlock(&l->gil->m);
    else if (l->kind == MCACHE_ORPHAN)
        mutex_unlock(&d->f->h->caches->orphan_lock);
}

/* For what the entry points do by themselves: a cache that others may stop is entered. */
static inline void lane_enter(struct driver *d, struct lane *l) {
    lane_lock(d, l);
    if (l->c->shared)
        mcache_enter(l->c);
}

static inline void lane_leave(struct driver *d, struct lane *l) {
    if (l->c->shared)
        mcache_leave(l->c);
    lane_unlock(d, l);
}

/* Who stops the world holds every GIL: then all blocks of interpreters are at rest. */
static inline void gils_lock(struct field *f) {
    for (unsigned i = 0; i < f->ngils; i++)
        pthread_mutex_lock(&f->gil[i].m);
}

static inline void gils_unlock(struct field *f) {
    for (unsigned i = f->ngils; i-- > 0;)
        pthread_mutex_unlock(&f->gil[i].m);
}

/* May a request of reasonable size be refused? */
static inline bool may_fail(const struct driver *d) {
    return d->f->threaded || atomic_load(&d->f->faults) || atomic_load(&d->f->closed);
}

static inline void set_faults(struct field *f, uint64_t k, bool all) {
    atomic_store(&f->faults, k != 0);
    if (k != 0)
        atomic_store(&f->faulty, true);
    atomic_store(&f->h->os.fail_all, all);
    atomic_store(&f->h->os.fail_at, k == 0 ? 0 : atomic_load(&f->h->os.ncalls) + k);
}

#endif

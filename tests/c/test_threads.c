/* Many threads on one heap, each with a cache of its own.
 * threads: blocks wander between them and are freed by others; threads end while their blocks live
 * on; all the while one more thread stops them and compares statistics. */
#include <pthread.h>
#include <string.h>

#include "blocks.h"

enum { WORKERS = 4, LIVES = 5, STEPS = 3000, NLOCAL = 100, NQUEUE = 256 };

/* Blocks on their way from one thread to another: a slot holds NULL or a block. */
struct queue {
    struct block *_Atomic slot[NQUEUE];
};

struct stress {
    struct mheap *h;
    struct queue queue[WORKERS];
    _Atomic bool done;
    _Atomic uint32_t tags;
    uint64_t seed;
};

struct worker {
    struct stress *s;
    struct mcache *c;
    struct rng rng;
    struct queue *from, *to;
};

/* The record of a block is a block itself, so that its own memory wanders, too. */
static struct block *new_block(struct worker *w) {
    struct mheap *h = w->s->h;
    struct block *b = ga_malloc(h, w->c, sizeof *b, true);
    CHECK(b != NULL);
    b->size = random_size(&w->rng, rng_next(&w->rng) % 100 == 0 ? 128 * GA_KIB : 1024);
    b->p = rng_next(&w->rng) % 4 ? ga_malloc(h, w->c, b->size, true)
                                 : ga_calloc(h, w->c, b->size, 1, true);
    CHECK(b->p != NULL);
    block_fill(b, atomic_fetch_add(&w->s->tags, 1));
    return b;
}

static void end_block(struct worker *w, struct block *b) {
    if (b == NULL)
        return;
    CHECK(block_holds(b, b->size));
    CHECK_EQ(ga_free(w->s->h, w->c, b->p), MISUSE_NONE);
    CHECK_EQ(ga_free(w->s->h, w->c, b), MISUSE_NONE);
}

static void resize(struct worker *w, struct block *b) {
    enum misuse why;
    size_t size = GA_TINY_SIZE + random_size(&w->rng, rng_next(&w->rng) % 20 ? 2048 : 4 * GA_MIB);
    if (b->size < GA_TINY_SIZE) /* what it copies of a part reaches into its neighbour's */
        return;
    b->p = ga_realloc(w->s->h, w->c, b->p, size, true, &why);
    CHECK(b->p != NULL && why == MISUSE_NONE);
    CHECK(block_holds(b, ga_min(b->size, size)));
    b->size = size;
    block_fill(b, b->tag);
}

static void *work(void *arg) {
    struct worker *w = arg;
    struct block *local[NLOCAL] = {NULL};
    w->c = mcache_new(w->s->h, MCACHE_THREAD, w->s->h->central);
    for (int i = 0; i < STEPS; i++) {
        struct block **b = &local[rng_next(&w->rng) % NLOCAL];
        switch (rng_next(&w->rng) % 8) {
        case 0: /* give one away, and free what had not been fetched */
            if (*b != NULL)
                end_block(w, atomic_exchange(&w->to->slot[rng_next(&w->rng) % NQUEUE], *b));
            *b = NULL;
            break;
        case 1:
            end_block(w, atomic_exchange(&w->from->slot[rng_next(&w->rng) % NQUEUE], NULL));
            break;
        case 2:
            if (*b != NULL)
                resize(w, *b);
            break;
        default:
            end_block(w, *b);
            *b = rng_next(&w->rng) % 2 ? new_block(w) : NULL;
        }
    }
    for (int i = 0; i < NLOCAL; i++) /* half of them outlive their thread */
        if (i % 2)
            end_block(w, local[i]);
        else if (local[i] != NULL)
            end_block(w, atomic_exchange(&w->to->slot[i], local[i]));
    mcache_free(w->c);
    return NULL;
}

/* One place among the threads; when a thread ends the next takes it. */
static void *succession(void *arg) {
    struct worker *w = arg;
    for (int life = 0; life < LIVES; life++) {
        pthread_t thread;
        CHECK_EQ(pthread_create(&thread, NULL, work, w), 0);
        pthread_join(thread, NULL);
    }
    return NULL;
}

static void check_snapshot(struct mheap *h) {
    struct snapshot s;
    uint64_t live = 0, spans_in_use = 0, pages = 0, objects = 0;
    CHECK(inspect_snapshot(h, &s));
    for (uint64_t i = 0; i < s.nspans; i++) {
        const struct span_info *span = &s.spans[i];
        pages += span->npages;
        if (span->state != MSPAN_IN_USE)
            continue;
        spans_in_use += span->npages;
        objects += span->alloc_count;
        uint64_t bits = 0;
        for (size_t w = 0; w < mspan_bits_words(span->nelems); w++)
            bits += ga_popcount64(s.bits[span->bits + w]);
        CHECK_EQ(bits, span->alloc_count);
        CHECK(span->alloc_count + span->cached <= span->nelems);
    }
    for (unsigned spc = 0; spc < GA_NUM_SPAN_CLASSES; spc++) {
        const struct class_stats *k = &s.classes[spc];
        live += k->live;
        CHECK(k->live + k->cached <= k->capacity);
        CHECK_EQ(k->mallocs - k->frees, k->live);
    }
    CHECK_EQ(live, objects);
    CHECK_EQ(s.memstats.heap_objects, objects);
    CHECK_EQ(s.memstats.heap_inuse, spans_in_use << GA_PAGE_SHIFT);
    CHECK_EQ(s.memstats.heap_sys + s.memstats.stack_sys, pages << GA_PAGE_SHIFT);
    inspect_snapshot_free(&s);
}

static void *watch(void *arg) {
    struct stress *s = arg;
    for (int round = 0; !atomic_load(&s->done); round++) {
        switch (round % 4) {
        case 0:
            check_memstats(s->h);
            break;
        case 1:
            check_snapshot(s->h);
            break;
        case 2:
            CHECK_HEAP(s->h);
            break;
        default:
            mheap_free_os_memory(s->h);
        }
    }
    return NULL;
}

static void test_stress(enum arena_layout layout, uint64_t seed) {
    static struct stress s;
    struct worker workers[WORKERS];
    pthread_t thread[WORKERS], watcher;
    memset(&s, 0, sizeof s);
    s.h = heap_new(layout, 4 * GA_ARENA_SIZE);
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){
            .s = &s, .from = &s.queue[i], .to = &s.queue[(i + 1) % WORKERS]};
        rng_seed(&workers[i].rng, seed * WORKERS + (uint64_t)i);
        CHECK_EQ(pthread_create(&thread[i], NULL, succession, &workers[i]), 0);
    }
    CHECK_EQ(pthread_create(&watcher, NULL, watch, &s), 0);
    for (int i = 0; i < WORKERS; i++)
        pthread_join(thread[i], NULL);
    atomic_store(&s.done, true);
    pthread_join(watcher, NULL);

    CHECK_EQ(s.h->caches->ncaches, 0);
    struct worker last = {.s = &s, .c = mcache_new(s.h, MCACHE_THREAD, s.h->central)};
    for (int i = 0; i < WORKERS; i++)
        for (int slot = 0; slot < NQUEUE; slot++)
            end_block(&last, s.queue[i].slot[slot]);
    mcache_free(last.c);
    struct memstats m;
    inspect_memstats(s.h, &m);
    CHECK_EQ(m.heap_objects, 0);
    CHECK(m.mallocs > 0);
    check_memstats_slow(s.h);
    CHECK_HEAP(s.h);
    heap_delete(s.h);
}

/* ---- one stopper, one owner ----------------------------------------------------------------- */

struct duel {
    struct mheap *h;
    struct mcache *c;
    _Atomic bool done;
    _Atomic uint64_t inside; /* changed by the owner between enter and leave only */
};

static void *own(void *arg) {
    struct duel *d = arg;
    for (uint64_t n = 1; !atomic_load_explicit(&d->done, memory_order_relaxed); n++) {
        mcache_enter(d->c);
        atomic_store_explicit(&d->inside, n, memory_order_relaxed);
        mcache_leave(d->c);
    }
    return NULL;
}

static uint64_t inside(struct duel *d) {
    return atomic_load_explicit(&d->inside, memory_order_relaxed);
}

/* A stopped world stands still, also where the only cache there is belongs to another thread. */
static void test_stop(void) {
    struct duel d = {.h = heap_new(LAYOUT_SPARSE, 0)};
    pthread_t owner;
    d.c = mcache_new(d.h, MCACHE_THREAD, d.h->central);
    CHECK_EQ(pthread_create(&owner, NULL, own, &d), 0);
    for (int i = 0; i < 1000; i++) {
        uint64_t before = inside(&d);
        for (unsigned spin = 1; inside(&d) < before + 3; spin++) /* until it is at work */
            if (spin % 256 == 0)
                os_yield();
        world_stop(d.h);
        uint64_t stopped = inside(&d);
        for (int spin = 0; spin < 100; spin++)
            CHECK_EQ(inside(&d), stopped);
        world_start(d.h);
    }
    atomic_store(&d.done, true);
    pthread_join(owner, NULL);
    mcache_free(d.c);
    heap_delete(d.h);
}

int main(void) {
    uint64_t seed = check_seed();
    test_stop();
    test_stress(LAYOUT_SPARSE, seed);
    test_stress(LAYOUT_LINEAR, seed + 1);
    return check_summary();
}

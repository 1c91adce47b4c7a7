/* The thread in the background, beside a program at work.  threads: each keeps patterns in its
 * blocks while the spans around them are scavenged, while one more changes delay and limit, gives
 * everything back at once, ends the thread as a fork does, and checks. */
#include "background.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "blocks.h"

enum {
    WORKERS = 3,
    NBLOCKS = 1500,
    ROUNDS = 12,
    PATIENCE = 60 /* s, for what must come at last */
};

struct stage {
    struct mheap *h;
    _Atomic bool done;
    _Atomic unsigned rounds; /* of all workers */
};

struct worker {
    struct stage *stage;
    struct mcache *c;
    struct rng rng;
    struct block block[NBLOCKS];
};

static void rest(unsigned ms) {
    struct timespec t = {0, (long)ms * 1000000};
    nanosleep(&t, NULL);
}

static void end_block(struct worker *w, struct block *b) {
    CHECK(block_holds(b, b->size));
    CHECK_EQ(ga_free(w->stage->h, w->c, b->p), MISUSE_NONE);
    b->p = NULL;
}

static void new_block(struct worker *w, struct block *b) {
    b->size = random_size(&w->rng, rng_next(&w->rng) % 200 == 0 ? 512 * GA_KIB : 2048);
    b->p = ga_malloc(w->stage->h, w->c, b->size, true);
    CHECK(b->p != NULL);
    block_fill(b, rng_next(&w->rng));
}

/* Many blocks, then few of them, then a rest in which it is idle; none of them may change. */
static void *work(void *arg) {
    struct worker *w = arg;
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < NBLOCKS; i++)
            if (w->block[i].p == NULL)
                new_block(w, &w->block[i]);
        for (int i = 0; i < NBLOCKS; i++)
            if (rng_next(&w->rng) % 50 != 0)
                end_block(w, &w->block[i]);
        rest(5 + rng_next(&w->rng) % 20);
        for (int i = 0; i < NBLOCKS; i++)
            CHECK(w->block[i].p == NULL || block_holds(&w->block[i], w->block[i].size));
        atomic_fetch_add(&w->stage->rounds, 1);
    }
    for (int i = 0; i < NBLOCKS; i++)
        if (w->block[i].p != NULL)
            end_block(w, &w->block[i]);
    mcache_free(w->c);
    return NULL;
}

static void *disturb(void *arg) {
    struct stage *s = arg;
    for (unsigned turn = 0; !atomic_load(&s->done); turn++) {
        switch (turn % 8) {
        case 0:
            mheap_set_memory_limit(s->h, turn % 16 == 0 ? 4 * GA_MIB : UINT64_MAX);
            break;
        case 1:
            scavenger_set_delay(s->h, turn % 3 == 0 ? GA_SCAVENGE_NEVER : turn % 3 * 4000000);
            background_poke();
            break;
        case 2:
            check_memstats(s->h);
            break;
        case 3:
            if (turn % 4 == 3)
                heap_free_os_memory(s->h);
            break;
        case 4:
            background_fork();
            rest(1);
            background_forked(false);
            break;
        case 5:
            if (turn < 40)
                CHECK(mcentral_new_set(s->h) != NULL); /* an interpreter more */
            break;
        default:
            CHECK_HEAP(s->h);
        }
        rest(turn % 3);
    }
    return NULL;
}

/* Waits until it is so; false: in vain. */
static bool comes_true(bool (*so)(struct mheap *h), struct mheap *h) {
    uint64_t end = os_nanotime() + PATIENCE * (uint64_t)1000000000;
    while (!so(h)) {
        if (os_nanotime() > end)
            return false;
        rest(5);
    }
    return true;
}

static bool all_is_back(struct mheap *h) {
    struct memstats m;
    inspect_memstats(h, &m);
    return m.heap_inuse == 0 && m.heap_released == m.heap_sys;
}

static bool has_swept(struct mheap *h) {
    struct memstats m;
    inspect_memstats(h, &m);
    return m.inuse_released > 0 && m.scavenge_ns > 0;
}

static struct mheap *start(enum arena_layout layout, uint64_t delay) {
    struct mheap *h = heap_new(layout, 4 * GA_ARENA_SIZE);
    CHECK(h != NULL && scavenger_init(h));
    scavenger_set_delay(h, delay);
    rest(20); /* after the end of another, as after a fork, none is started for a moment */
    background_init(h, false);
    return h;
}

/* As start, and of an age at which its thread comes with the first free. */
static struct mheap *start_grown_up(enum arena_layout layout, uint64_t delay) {
    struct mheap *h = start(layout, delay);
    background_poke();
    return h;
}

/* The thread is ended for good; another heap may have one. */
static void end(struct mheap *h) {
    background_fork();
    background_forked(true);
    CHECK_HEAP(h);
    check_memstats_slow(h);
    heap_delete(h);
}

static void test_patterns(enum arena_layout layout, uint64_t seed) {
    static struct worker w[WORKERS];
    struct stage s = {.h = start_grown_up(layout, 0)};
    pthread_t thread[WORKERS], other;
    memset(w, 0, sizeof w);
    for (int i = 0; i < WORKERS; i++) {
        w[i].stage = &s;
        w[i].c = mcache_new(s.h, MCACHE_THREAD, s.h->central);
        rng_seed(&w[i].rng, seed * WORKERS + (uint64_t)i);
        CHECK_EQ(pthread_create(&thread[i], NULL, work, &w[i]), 0);
    }
    CHECK_EQ(pthread_create(&other, NULL, disturb, &s), 0);
    for (int i = 0; i < WORKERS; i++)
        pthread_join(thread[i], NULL);
    atomic_store(&s.done, true);
    pthread_join(other, NULL);
    CHECK_EQ(atomic_load(&s.rounds), WORKERS * ROUNDS);
    mheap_set_memory_limit(s.h, UINT64_MAX);
    rest(20); /* as long after a fork none is started */
    scavenger_set_delay(s.h, 1000000);
    CHECK(comes_true(all_is_back, s.h));
    end(s.h);
}

/* Pages inside spans go back and come again while their neighbours live; nobody else does
 * anything. */
static void test_inside_spans(void) {
    enum { N = 4000, SIZE = 300 };
    static struct block block[N];
    struct mheap *h = start_grown_up(LAYOUT_SPARSE, 1000000);
    struct mcache *c = mcache_new(h, MCACHE_THREAD, h->central);
    for (int turn = 0; turn < 3; turn++) {
        for (int i = 0; i < N; i++)
            if (block[i].p == NULL) {
                block[i].size = SIZE;
                block[i].p = ga_malloc(h, c, SIZE, true);
                block_fill(&block[i], (uint32_t)i);
            }
        for (int i = 0; i < N; i++)
            if (i % 60 != turn * 7) {
                CHECK(block_holds(&block[i], SIZE));
                CHECK_EQ(ga_free(h, c, block[i].p), MISUSE_NONE);
                block[i].p = NULL;
            }
        if (os_page_size() <= GA_PAGE_SIZE) /* with larger ones nothing inside of spans goes back */
            CHECK(comes_true(has_swept, h));
    }
    for (int i = 0; i < N; i++)
        if (block[i].p != NULL)
            CHECK_EQ(ga_free(h, c, block[i].p), MISUSE_NONE);
    CHECK(comes_true(all_is_back, h));
    mcache_free(c);
    end(h);
}

/* Turned off it does nothing, not even turn round and round; turned on again it goes on. */
static void test_off_and_on(void) {
    struct mheap *h = start_grown_up(LAYOUT_SPARSE, 0);
    struct mcache *c = mcache_new(h, MCACHE_THREAD, h->central);
    for (int turn = 0; turn < 5; turn++) {
        CHECK_EQ(ga_free(h, c, ga_malloc(h, c, GA_MIB, true)), MISUSE_NONE);
        scavenger_set_delay(h, GA_SCAVENGE_NEVER);
        background_poke();
        rest(20); /* long enough for it to come to an end */
        uint64_t worked = atomic_load(&h->scavenger->nanotime);
        CHECK_EQ(ga_free(h, c, ga_malloc(h, c, 3 * GA_MIB, true)), MISUSE_NONE);
        rest(20);
        CHECK_EQ(atomic_load(&h->scavenger->nanotime), worked);
        CHECK(!all_is_back(h));
        scavenger_set_delay(h, 0);
        CHECK(comes_true(all_is_back, h));
    }
    mcache_free(c);
    end(h);
}

static void free_some(struct mheap *h, struct mcache *c, size_t nbytes) {
    CHECK_EQ(ga_free(h, c, ga_malloc(h, c, nbytes, true)), MISUSE_NONE);
}

/* For a heap that is young and small no thread is started; there is one as soon as it is
 * neither. */
static void test_young(bool grows) {
    struct mheap *h = start(LAYOUT_SPARSE, 1000000);
    struct mcache *c = mcache_new(h, MCACHE_THREAD, h->central);
    free_some(h, c, GA_MIB);
    if (grows) {
        free_some(h, c, 64 * GA_MIB);
    } else {
        rest(50);
        free_some(h, c, GA_MIB);
    }
    CHECK(comes_true(all_is_back, h));
    mcache_free(c);
    end(h);
}

int main(void) {
    uint64_t seed = check_seed();
    test_young(true);
    test_young(false);
    test_inside_spans();
    test_off_and_on();
    test_patterns(LAYOUT_SPARSE, seed);
    test_patterns(LAYOUT_LINEAR, seed + 1);
    return check_summary();
}

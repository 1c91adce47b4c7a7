/* See background.h. */
#include "background.h"

#include <signal.h>
#include <time.h>

#include "fatal.h"

#define STACK_SIZE (128 * GA_KIB)
#define WORK_QUANTUM 250000u /* ns of steps between two sleeps: one costs more than many a step, */
#define WORK_QUANTUM_IDLE 4000000u /* and the shortest may take milliseconds in a virtual machine */
#define LOAD_WINDOW 10000000u /* ns over which the load is measured */
#define GONE_YIELDS 10000 /* times to yield until a thread that has been joined is gone */
#define AFTER_FORK 10000000u   /* ns: CPython counts threads only then */
/* ns from the start: most programs that are still there by then stay for long, */
#define YOUNG 30000000u
#define YOUNG_BYTES (8 * GA_MIB) /* and while the heap is that small there is little to give back */
/* A second thread makes the locks of the C library slower for good: sqlite3 by a tenth.  What a
 * heap smaller than this could give back is not worth it. */
#define ALONE_BYTES (16 * GA_MIB)
#define AFTER_FAILURE 1000000000u /* ns until a thread that could not be had is tried for again */

static struct background {
    struct mheap *heap;
    struct mutex lock;
    pthread_cond_t wanted;
    pthread_t thread;
    int id;             /* of thread, as the system knows it */
    bool joinable;      /* thread is one that nobody has waited for */
    bool running;
    bool stop;          /* it is to end */
    bool poked;
    uint64_t not_before; /* ns: none is started until then */
    _Atomic uint64_t young_until; /* ns: until then none is started for a small heap */
    _Atomic bool asked_for;       /* somebody has set how memory goes back, and wants it to */
} bg;

/* ns to sleep after `worked` ns of work, so that it is the allowed part of the time. */
static uint64_t pause_after(uint64_t worked, bool idle) {
    return worked * (100u / (idle ? GA_SCAVENGE_PERCENT_IDLE : GA_SCAVENGE_PERCENT) - 1);
}

static void sleep_locked(uint64_t ns) {
    uint64_t at = os_nanotime() + ns;
    struct timespec until = {(time_t)(at / 1000000000u), (long)(at % 1000000000u)};
    while (!bg.stop && !bg.poked && pthread_cond_timedwait(&bg.wanted, &bg.lock.m, &until) == 0)
        continue;
    bg.poked = false;
}

/* What the rest of the process did lately. */
struct load {
    uint64_t since; /* ns */
    uint64_t cpu;   /* ns that the others had run by then */
    bool idle;
};

/* Less than a tenth of one processor, and nobody is kept waiting. */
static void measure(struct load *l, uint64_t now) {
    if (now - l->since < LOAD_WINDOW)
        return;
    uint64_t cpu = os_cputime_of_others();
    *l = (struct load){now, cpu, (cpu - l->cpu) * 10 < now - l->since};
}

/* Steps for a moment; returns the ns to sleep. */
static uint64_t work(struct load *l) {
    struct mheap *h = bg.heap;
    uint64_t begin = os_cputime(), next, ns;
    measure(l, os_nanotime());
    do {
        next = scavenger_step(h, os_nanotime());
        ns = os_cputime() - begin; /* not the clock's: we may have been kept waiting ourselves */
    } while (next == 0 && ns < (l->idle ? WORK_QUANTUM_IDLE : WORK_QUANTUM));
    atomic_fetch_add(&h->scavenger->nanotime, ns);
    return next != 0 ? next : pause_after(ns, l->idle);
}

static bool is_wanted(void) {
    return atomic_load(&bg.heap->active) &&
           atomic_load(&bg.heap->scavenger->delay) != GA_SCAVENGE_NEVER;
}

static void *run(void *unused) {
    struct load load = {os_nanotime(), os_cputime_of_others(), false};
    (void)unused;
    os_thread_name("goalloc");
    mutex_lock(&bg.lock);
    bg.id = os_thread_id();
    while (!bg.stop) {
        mutex_unlock(&bg.lock);
        uint64_t ns = work(&load);
        mutex_lock(&bg.lock);
        if (ns != GA_SCAVENGE_NEVER)
            sleep_locked(ns);
        else if (!bg.poked && !is_wanted()) /* else somebody took us for running */
            break;
        else
            bg.poked = false;
    }
    bg.running = false;
    mutex_unlock(&bg.lock);
    return NULL;
}

static void join(void) {
    if (bg.joinable)
        GA_CHECK(pthread_join(bg.thread, NULL) == 0);
    bg.joinable = false;
}

static bool create(void) {
    pthread_attr_t attr;
    sigset_t all, before;
    sigfillset(&all);
    GA_CHECK(pthread_attr_init(&attr) == 0 && pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    bool ok = pthread_create(&bg.thread, &attr, run, NULL) == 0 ||
              pthread_create(&bg.thread, NULL, run, NULL) == 0; /* large static thread storage */
    GA_CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    pthread_attr_destroy(&attr);
    return ok;
}

/* To start a thread, and to end a process that has one, takes longer than much of what a short
 * program does. */
static bool is_young(const struct mheap *h) {
    uint64_t until = atomic_load_explicit(&bg.young_until, memory_order_relaxed);
    return until != 0 && os_nanotime() < until &&
           atomic_load_explicit(&h->mapped, memory_order_relaxed) < YOUNG_BYTES;
}

static bool is_small_and_alone(const struct mheap *h) {
    return atomic_load_explicit(&h->mapped, memory_order_relaxed) < ALONE_BYTES &&
           !atomic_load(&bg.asked_for) && atomic_load(&h->memory_limit) == UINT64_MAX &&
           os_single_threaded();
}

static void wake(struct mheap *h) {
    if (atomic_load(&h->scavenger->delay) == GA_SCAVENGE_NEVER)
        return;
    if (is_small_and_alone(h) || is_young(h)) {
        /* the next free asks again */
        atomic_store_explicit(&h->active, false, memory_order_relaxed);
        return;
    }
    mutex_lock(&bg.lock);
    if (!bg.running) {
        uint64_t now = os_nanotime();
        if (now >= bg.not_before && !bg.stop) {
            join(); /* it has ended, or is about to */
            bg.running = bg.joinable = create();
            if (!bg.running)
                bg.not_before = now + AFTER_FAILURE;
        }
        if (!bg.running)
            atomic_store(&h->active, false); /* the next free asks again */
    }
    mutex_unlock(&bg.lock);
}

static void init_lock(void) {
    pthread_condattr_t attr;
    mutex_init(&bg.lock, GA_RANK_LEAF, "background");
    GA_CHECK(pthread_condattr_init(&attr) == 0 &&
             pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 &&
             pthread_cond_init(&bg.wanted, &attr) == 0);
    pthread_condattr_destroy(&attr);
}

void background_init(struct mheap *h, bool asked_for) {
    bg.heap = h;
    atomic_store(&bg.asked_for, asked_for);
    init_lock();
    atomic_store(&bg.young_until, os_nanotime() + YOUNG);
    h->wake = wake;
    atomic_store(&h->active, false); /* nobody was there to be told so far */
}

void background_fork(void) {
    mutex_lock(&bg.lock);
    bg.stop = true;
    bool had = bg.joinable;
    pthread_cond_signal(&bg.wanted);
    mutex_unlock(&bg.lock);
    if (!had)
        return;
    join(); /* while stop is set nobody else touches thread */
    /* CPython's count of threads comes from the system; no longer, should somebody trace us. */
    for (unsigned i = 0; i < GONE_YIELDS && !os_thread_gone(bg.id); i++)
        os_yield();
}

void background_forked(bool child) {
    if (child) /* somebody may have held it */
        init_lock();
    mutex_lock(&bg.lock);
    bg.stop = false;
    bg.not_before = os_nanotime() + AFTER_FORK;
    mutex_unlock(&bg.lock);
    atomic_store(&bg.heap->active, false); /* the next free asks for a thread */
}

void background_poke(void) {
    mutex_lock(&bg.lock);
    bg.poked = true;
    pthread_cond_signal(&bg.wanted);
    mutex_unlock(&bg.lock);
    atomic_store(&bg.asked_for, true);
    atomic_store(&bg.young_until, 0); /* and if it was waited for so far, starts */
    wake(bg.heap);
}

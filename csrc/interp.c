/* See interp.h. */
#define Py_BUILD_CORE 1
#include <Python.h>

#if PY_VERSION_HEX >= 0x030c0000
#include <internal/pycore_interp.h>
#include <internal/pycore_runtime.h>
#endif

#include "fatal.h"
#include "interp.h"

struct procs procs;
struct mcache *main_cache;
PyInterpreterState *const volatile *interp_list;
/* A pointer only, initial-exec: a larger block can't be had by a library that is loaded late. */
__thread struct mcache *thread_cache __attribute__((tls_model("initial-exec")));
static __thread bool thread_is_ending __attribute__((tls_model("initial-exec")));
static pthread_key_t thread_key;

/* ---- CPython's structures ------------------------------------------------------------------- */

#if PY_VERSION_HEX >= 0x030c0000

/* Two interpreters, never equal: what a list that can't be trusted is replaced by. */
static char nobody[2];
static PyInterpreterState *const untrusted_list[2] = {(PyInterpreterState *)&nobody[0],
                                                      (PyInterpreterState *)&nobody[1]};

static PyInterpreterState *const volatile *runtime_list(void) {
    _Static_assert(offsetof(struct pyinterpreters, main) ==
                       offsetof(struct pyinterpreters, head) + sizeof(void *),
                   "head and main are neighbours");
    return (PyInterpreterState *const volatile *)&_PyRuntime.interpreters.head;
}

/* Of an interpreter with an allocator of its own this flag is off; it can't have the main GIL's
 * objects then (PyInterpreterConfig.use_main_obmalloc). */
static bool shares_main_allocator(PyInterpreterState *interp) {
    return interp == interp_list[1] || interp->feature_flags & Py_RTFLAGS_USE_MAIN_OBMALLOC;
}

/* Are the fields where this build expects them?  The main interpreter's are known. */
static void test_trust(void) {
    const unsigned long legacy = Py_RTFLAGS_USE_MAIN_OBMALLOC | Py_RTFLAGS_THREADS |
                                 Py_RTFLAGS_DAEMON_THREADS | Py_RTFLAGS_FORK | Py_RTFLAGS_EXEC;
    PyInterpreterState *main = PyInterpreterState_Main();
    if (main == NULL || main->feature_flags == 0)
        return; /* too early to tell; nobody else is there */
    bool ok = interp_list[1] == main && main->feature_flags == legacy;
    procs.trust = ok ? TRUST_YES : TRUST_NO;
    if (!ok) {
        interp_list = untrusted_list;
        interp_rest(); /* the hot path has no lock */
    }
}

#endif

/* ---- mem and obj: interpreters -------------------------------------------------------------- */

/* Called by the scavenger, which holds mcaches.lock. */
static bool hold_interp(struct mcache *c) {
    GA_CHECK(c == main_cache); /* the others are bracketed */
    if (procs.trust == TRUST_NO) { /* then it is under a lock */
        mutex_lock(&procs.heap->caches->orphan_lock);
        return true;
    }
    return gil_try_hold();
}

static void let_go_interp(struct mcache *c) {
    (void)c;
    if (procs.trust == TRUST_NO)
        mutex_unlock(&procs.heap->caches->orphan_lock);
    else
        gil_let_go();
}

bool procs_init(struct mheap *h) {
    procs.heap = h;
    h->caches->hold_interp = hold_interp;
    h->caches->let_go_interp = let_go_interp;
    mutex_init(&procs.lock, GA_RANK_PROCS, "procs");
    main_cache = mcache_new(h, MCACHE_INTERP, h->central);
    /* A set of its own: its mem and obj blocks share no bitmap word with those of the main GIL. */
    struct mcentral *orphans = mcentral_new_set(h);
    if (orphans != NULL)
        h->caches->orphan = mcache_new(h, MCACHE_ORPHAN, orphans);
    if (main_cache == NULL || h->caches->orphan == NULL)
        return false;
#if PY_VERSION_HEX >= 0x030c0000
    interp_list = runtime_list();
#endif
    return true;
}

/* The caller shows up under several guises: the orphan cache is the only one under a lock. */
struct mcache *orphan_enter(void) {
    struct mcaches *cs = procs.heap->caches;
    mutex_lock(&cs->orphan_lock);
    cs->orphan->domain = PYMEM_DOMAIN_RAW; /* whoever knows better says so */
    return cs->orphan;
}

#if PY_VERSION_HEX >= 0x030c0000

static struct mcache *new_proc_locked(PyInterpreterState *interp) {
    struct mheap *h = procs.heap;
    struct proc *p = atomic_load(&procs.first);
    while (p != NULL && atomic_load(&p->interp) != NULL)
        p = p->next;
    if (p == NULL) {
        if ((p = persistentalloc(&h->persistent, sizeof *p, 0, &h->mcache_sys)) == NULL)
            return NULL;
        p->next = atomic_load(&procs.first);
        atomic_store(&procs.first, p);
    }
    /* Where memory ends, what is made stays with p: the next call goes on from there. */
    if (p->central == NULL && (p->central = mcentral_new_set(h)) == NULL)
        return NULL;
    if (p->cache == NULL && (p->cache = mcache_new(h, MCACHE_INTERP, p->central)) == NULL)
        return NULL;
    mutex_lock(&h->caches->lock); /* the scavenger looks, as soon as the cache is used */
    p->cache->bracketed = true;
    mutex_unlock(&h->caches->lock);
    atomic_store(&p->interp, interp);
    return p->cache;
}

/* The cache of an interpreter with its own allocator.  Only threads that hold its GIL ask, so its
 * entry can't come or go meanwhile. */
static struct mcache *proc_cache(PyInterpreterState *interp) {
    for (struct proc *p = atomic_load(&procs.first); p != NULL; p = p->next)
        if (atomic_load(&p->interp) == interp)
            return p->cache;
    mutex_lock(&procs.lock);
    struct mcache *c = new_proc_locked(interp);
    mutex_unlock(&procs.lock);
    return c;
}

static GA_NOINLINE struct mcache *interp_enter_several(void) {
    bool was_open = interp_close();
    if (procs.trust == TRUST_NO) {
        mutex_lock(&procs.heap->caches->orphan_lock);
        return main_cache;
    }
    PyThreadState *tstate = current_thread_state();
    struct mcache *c = NULL;
    if (tstate != NULL) {
        PyInterpreterState *interp = PyThreadState_GetInterpreter(tstate);
        bool shares = shares_main_allocator(interp);
        if (GA_UNLIKELY(was_open && !shares))
            interp_unseen();
        c = shares ? main_cache : proc_cache(interp);
    }
    if (c == NULL)
        return orphan_enter();
    mcache_enter(c);
    return c;
}

#endif

struct mcache *interp_enter(void) {
    if (GA_UNLIKELY(!atomic_load_explicit(&gil_tested, memory_order_relaxed)))
        gil_test();
#if PY_VERSION_HEX >= 0x030c0000
    if (GA_UNLIKELY(atomic_load_explicit(&procs.trust, memory_order_relaxed) == TRUST_UNTESTED))
        test_trust();
    if (GA_UNLIKELY(!only_main_interpreter()))
        return interp_enter_several();
    if (GA_UNLIKELY(interp_hot_cache() != main_cache))
        interp_is_alone();
#endif
    return main_cache;
}

struct mcache *interp_enter_stacks(void) {
    return current_thread_state() != NULL ? interp_enter() : orphan_enter();
}

void interp_leave(struct mcache *c) {
    if (c == procs.heap->caches->orphan || procs.trust == TRUST_NO)
        mutex_unlock(&procs.heap->caches->orphan_lock);
    else
        mcache_leave(c);
}

void interp_forget(uintptr_t addr, size_t nbytes) {
    for (struct proc *p = atomic_load(&procs.first); p != NULL; p = p->next) {
        PyInterpreterState *interp = atomic_load(&p->interp);
        if (interp == NULL || (uintptr_t)interp - addr >= nbytes)
            continue;
        mcache_enter(p->cache);
        mcache_release_all(p->cache);
        mcache_leave(p->cache);
        atomic_store(&p->interp, NULL);
    }
}

/* ---- raw: threads --------------------------------------------------------------------------- */

static void thread_end(void *cache) {
    thread_is_ending = true; /* other destructors may still allocate: as orphans */
    thread_cache = NULL;
    mcache_free(cache);
}

static void make_thread_key(void) { GA_CHECK(pthread_key_create(&thread_key, thread_end) == 0); }

struct mcache *thread_enter_slow(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct mcache *c = thread_cache;
    if (c == NULL && !thread_is_ending) {
        struct mheap *h = procs.heap;
        pthread_once(&once, make_thread_key);
        c = mcache_new(h, MCACHE_THREAD, h->central);
        if (c != NULL && pthread_setspecific(thread_key, c) != 0) { /* its end would go unseen */
            mcache_free(c);
            c = NULL;
        }
        thread_cache = c;
    }
    return c != NULL ? c : orphan_enter();
}

void thread_leave_slow(struct mcache *c) {
    if (c == procs.heap->caches->orphan)
        mutex_unlock(&procs.heap->caches->orphan_lock);
}

/* ---- fork ----------------------------------------------------------------------------------- */

void procs_prepare_fork(void) {
    struct mheap *h = procs.heap;
    mutex_lock(&procs.lock); /* one fork at a time, up to and with background_forked */
    background_fork();
    world_stop(h);
    mutex_lock(&h->stacks->lock);
    mutex_lock(&h->lock);
    if (h->profile != NULL)
        mutex_lock(&h->profile->lock);
    mutex_lock(&h->specials.lock);
    if (procs.more_lock != NULL)
        mutex_lock(procs.more_lock);
    mutex_lock(&h->persistent.lock);
}

static void end_fork(bool child) {
    struct mheap *h = procs.heap;
    mutex_unlock(&h->persistent.lock);
    if (procs.more_lock != NULL)
        mutex_unlock(procs.more_lock);
    mutex_unlock(&h->specials.lock);
    if (h->profile != NULL)
        mutex_unlock(&h->profile->lock);
    mutex_unlock(&h->lock);
    mutex_unlock(&h->stacks->lock);
    background_forked(child);
    world_start(h);
    mutex_unlock(&procs.lock);
}

void procs_parent_fork(void) { end_fork(false); }

void procs_child_fork(void) {
    end_fork(true);
    mcaches_after_fork(procs.heap, thread_cache);
}

/* Is the main interpreter alone?  The answer is in hot_cache, so that the hot path of mem and obj
 * need not ask: it is the main cache, or else one that is closed, with which every call comes to
 * interp_enter.
 *
 * CPython tells nobody that it makes an interpreter, but it takes a raw block of a known size for
 * it, before anyone can find it, and frees that block when nothing of the interpreter is left.
 * Blocks of about that size are watched (large_watch): while there is one, hot_cache is closed.
 * Whoever finds himself alone when there is none opens it again.  From 3.13 on who makes an
 * interpreter holds no GIL meanwhile; that is why the list of interpreters alone would not do.
 *
 * This needs each raw block to come to us, and its free; a tool on top of us that does not pass
 * them on breaks it, as it breaks the rules of the table.  Every slow call looks whether an
 * interpreter has come unannounced: that is told, and check() fails from then on.
 *
 * Invariant: while an interpreter with a GIL of its own can run, hot_cache is not main_cache.
 * Lock: procs.lock to open and close. */
#define Py_BUILD_CORE 1
#include <Python.h>

#include <internal/pycore_interp.h>
#if PY_VERSION_HEX >= 0x030d0000
#include <internal/pycore_runtime.h>
#endif

#include "fatal.h"
#include "interp.h"
#include "large.h"

struct mcache *_Atomic hot_cache;

/* Of an interpreter, by what runs here; before 3.13 by the headers of this build. */
static size_t interp_nbytes(void) {
    _Static_assert(sizeof(PyInterpreterState) > GA_MAX_SMALL_SIZE,
                   "an interpreter is a large object: interp_forget is asked about no others");
#if PY_VERSION_HEX >= 0x030d0000
    return _PyRuntime.debug_offsets.interpreter_state.size;
#else
    return sizeof(PyInterpreterState);
#endif
}

/* An eighth more or less: who stands on top of us may add to it, and another patch release may
 * have another size.  Not all that is larger: compressors ask for that often. */
bool interp_has_size(size_t nbytes) {
    size_t n = interp_nbytes();
    return nbytes - (n - n / 8) <= n / 4;
}

#if PY_VERSION_HEX < 0x030c0000

/* One GIL for all: whoever holds it may use the main cache. */
void interp_rest(void) { atomic_store(&hot_cache, main_cache); }
void interp_serve(void) {}
void interp_watch(struct mspan *s) { (void)s; }
bool interp_any_watched(void) { return false; }

#else

static struct mcache closed_cache;
static bool serving;

static void init_closed_cache(void) { mcache_init_closed(&closed_cache); }

static void close_hot_path(void) { atomic_store(&hot_cache, &closed_cache); }

void interp_rest(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_closed_cache);
    mutex_lock(&procs.lock);
    serving = false;
    close_hot_path();
    mutex_unlock(&procs.lock);
}

void interp_is_alone(void) {
    if (interp_any_watched())
        return;
    mutex_lock(&procs.lock);
    if (serving && !interp_any_watched() && only_main_interpreter())
        atomic_store(&hot_cache, main_cache);
    mutex_unlock(&procs.lock);
}

/* An interpreter that is in the making took its block before we were asked for blocks.  It is
 * listed under the same lock of the runtime, which this call takes, too: it changes nothing, as
 * there is no thread 0. */
static void await_those_in_the_making(void) {
    if (current_thread_state() != NULL)
        PyThreadState_SetAsyncExc(0, NULL);
}

void interp_serve(void) {
    await_those_in_the_making();
    mutex_lock(&procs.lock);
    serving = true;
    mutex_unlock(&procs.lock);
    interp_is_alone();
}

void interp_watch(struct mspan *s) {
    _Static_assert(sizeof(PyInterpreterState) / 8 * 7 > GA_GUARD_BYTES,
                   "an interpreter lies in the heap, where the end of its block is seen");
    mutex_lock(&procs.lock);
    large_watch(procs.heap, s);
    close_hot_path();
    mutex_unlock(&procs.lock);
}

bool interp_any_watched(void) { return atomic_load(&procs.heap->nwatched) != 0; }

bool interp_close(void) {
    if (interp_hot_cache() != main_cache)
        return false;
    mutex_lock(&procs.lock);
    close_hot_path();
    mutex_unlock(&procs.lock);
    return true;
}

void interp_unseen(void) {
    if (!atomic_exchange(&procs.heap->caches->owner_unseen, true))
        ga_say("goalloc: warning: an interpreter came whose memory goalloc was not asked for, so "
               "another tool keeps raw blocks to itself; objects may have been damaged");
}

#endif

/* The GIL of the main interpreter, as seen from a thread that has no thread state.
 *
 * CPython changes gil->locked under gil->mutex only.  So while we hold the mutex and locked is 0,
 * nobody holds the GIL and nobody gets it: what belongs to its holder is ours for that moment, and
 * what he wrote before he dropped it is visible.  The mutex is never waited for.  locked is -1
 * before the GIL is made and after it has ended; its holder is then unknown, and so is it while the
 * GIL is taken: no.
 *
 * The structure is read as the headers of the build describe it.  Before that is relied on, a
 * holder of the GIL has seen that locked is 1 and that the mutex can be locked and unlocked.
 * Lock: gil->mutex, inside of mcaches.lock and outside of the centrals' and the heap's. */
#define Py_BUILD_CORE 1
#include <Python.h>

#include <internal/pycore_ceval.h>
#include <internal/pycore_interp.h>
#include <internal/pycore_runtime.h>

#include "interp.h"

/* Of the first calls that may test: the GIL might be in the making. */
#define TESTS_MAX 1000

_Atomic bool gil_tested; /* like tests, by holders of any GIL at once */
static _Atomic bool trusted;
static struct _gil_runtime_state *held;

static struct _gil_runtime_state *main_gil(void) {
#if PY_VERSION_HEX < 0x030c0000
    return &_PyRuntime.ceval.gil;
#else
    PyInterpreterState *main = interp_list[1];
    return main != NULL && procs.trust == TRUST_YES ? main->ceval.gil : NULL;
#endif
}

static int locked(struct _gil_runtime_state *gil) {
    return __atomic_load_n((const int *)&gil->locked, __ATOMIC_ACQUIRE);
}

bool gil_try_hold(void) {
    struct _gil_runtime_state *gil = atomic_load(&trusted) ? main_gil() : NULL;
    if (gil == NULL || locked(gil) != 0 || pthread_mutex_trylock(&gil->mutex) != 0)
        return false;
    if (locked(gil) == 0) {
        held = gil;
        return true;
    }
    pthread_mutex_unlock(&gil->mutex);
    return false;
}

void gil_let_go(void) { pthread_mutex_unlock(&held->mutex); }

void gil_test(void) {
    static _Atomic unsigned tests;
    struct _gil_runtime_state *gil = main_gil();
    if (++tests == TESTS_MAX)
        gil_tested = true;
    if (gil == NULL || locked(gil) != 1 || !PyGILState_Check())
        return;
    if (pthread_mutex_trylock(&gil->mutex) != 0)
        return; /* somebody is waiting for the GIL and has it for a moment */
    pthread_mutex_unlock(&gil->mutex);
    gil_tested = true;
    atomic_store(&trusted, true);
}

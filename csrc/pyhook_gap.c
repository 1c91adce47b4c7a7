/* pyhook_gap: CPython 3.11 and 3.12 end the making of an interpreter by a gap: for a moment they
 * put the C library's functions into the table of the raw domain, to free two settings that are
 * usually not there, and then restore what they found (_Py_ClearStandardStreamEncoding).  Threads
 * that run meanwhile, without a GIL or under another, get blocks of the C library and give it ours,
 * and two gaps at one time can leave us out for good.  3.13 has none.
 *
 * From the first interpreter on that is announced, or the first that could be made unannounced,
 *   - blocks of the C library are let through to it
 *   - the calls of free and realloc in the module that has CPython come here, where ours are told
 *   - whoever comes by and finds a gap closes it (3.12): to be put back early is no harm.
 *
 * Invariant: while an interpreter can be in the making, no block of ours reaches the C library.
 * Lock: procs.lock to lead calls here. */
#define Py_BUILD_CORE 1
#include "pyhook_table.h"

#if PY_VERSION_HEX < 0x030d0000

#include "fatal.h"

static _Atomic bool expected;
static _Atomic uintptr_t real_free, real_realloc; /* what CPython called before */

static void led_free(void *p) {
    if (p != NULL && pyhook_owns(p))
        pyhook_functions(RAW)->free(NULL, p);
    else
        ((void (*)(void *))atomic_load(&real_free))(p);
}

static void *led_realloc(void *p, size_t nbytes) {
    if (p != NULL && pyhook_owns(p))
        return pyhook_functions(RAW)->realloc(NULL, p, nbytes);
    return ((void *(*)(void *, size_t))atomic_load(&real_realloc))(p, nbytes);
}

/* The loader looks a function up when it is called first, and only then can a call be led. */
static void call_once(void) {
    const PyMemAllocatorEx *c = &pyhook.previous[RAW];
    c->free(c->ctx, c->realloc(c->ctx, NULL, 1));
}

/* Each time, as memray and its like undo it when they stop. */
static void lead_calls(void) {
    static bool told;
    uintptr_t python = (uintptr_t)&PyMem_RawFree;
    call_once();
    mutex_lock(&procs.lock);
    bool led = os_redirect(python, "free", (uintptr_t)&led_free, &real_free) &&
               os_redirect(python, "realloc", (uintptr_t)&led_realloc, &real_realloc);
    bool tell = !led && !told;
    told |= tell;
    mutex_unlock(&procs.lock);
    if (tell)
        ga_say("goalloc: warning: this Python takes goalloc out of the raw domain for a moment "
               "whenever it makes an interpreter, and its calls of free can't be led to goalloc; "
               "make interpreters while no other thread runs");
}

void pyhook_gap_expect(void) {
    atomic_store(&expected, true);
    if (!pyhook.below_debug) /* they mark each block, so a gap is the end of it in any case */
        lead_calls();
}

bool pyhook_gap_expected(PyMemAllocatorDomain domain) {
    return domain == RAW && atomic_load(&expected);
}

#if PY_VERSION_HEX >= 0x030c0000

#include <internal/pycore_runtime.h>

/* tracemalloc and others that restore what was there before us restore all domains: not a gap. */
void pyhook_gap_close(void) {
    if (GA_LIKELY(!atomic_load_explicit(&expected, memory_order_relaxed)) ||
        !pyhook_is_serving(&pyhook))
        return;
    void *(*const volatile *raw)(void *, size_t) = &_PyRuntime.allocators.standard.raw.malloc;
    void *(*const volatile *obj)(void *, size_t) = &_PyRuntime.allocators.standard.obj.malloc;
    if (GA_UNLIKELY(*raw == pyhook.previous[RAW].malloc && *obj != pyhook.previous[OBJ].malloc))
        pyhook_put_in(RAW);
}

#endif
#endif

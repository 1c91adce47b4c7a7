/* pyhook_gap: CPython 3.11 and 3.12 end the making of an interpreter by a gap: for a moment they
 * put the C library's functions into the table of the raw domain, to free two settings that are
 * usually not there, and then restore what they found (_Py_ClearStandardStreamEncoding).  Threads
 * that run meanwhile, without a GIL or under another, get blocks of the C library and give it ours,
 * and two gaps at one time can leave us out for good.  3.13 has none.
 *
 * From the first interpreter on that is announced, and from install() and uninstall() on, as those
 * made before the one and after the other are not announced,
 *   - blocks of the C library are let through to it
 *   - the calls of free and realloc in the module that has CPython come here, where ours are told
 *   - who finds that a gap stays open closes it (3.12); not earlier, as who makes the interpreter
 *     may have found another tool on top of us.
 *
 * Invariant: while an interpreter can be in the making, no block of ours reaches the C library.
 * Lock: procs.lock to lead calls here. */
#define Py_BUILD_CORE 1
#include "pyhook_table.h"

#if PY_VERSION_HEX < 0x030d0000

#include "fatal.h"

static _Atomic bool expected;

static void led_free(void *p);
static void *led_realloc(void *p, size_t nbytes);

static struct os_call calls_free = {.name = "free", .to = (uintptr_t)&led_free};
static struct os_call calls_realloc = {.name = "realloc", .to = (uintptr_t)&led_realloc};

static void led_free(void *p) {
    if (p != NULL && pyhook_owns(p))
        pyhook_functions(RAW)->free(NULL, p);
    else
        ((void (*)(void *))atomic_load(&calls_free.was))(p);
}

static void *led_realloc(void *p, size_t nbytes) {
    if (p != NULL && pyhook_owns(p))
        return pyhook_functions(RAW)->realloc(NULL, p, nbytes);
    return ((void *(*)(void *, size_t))atomic_load(&calls_realloc.was))(p, nbytes);
}

/* Each time, as memray and its like undo it when they stop.  The loader looks a function up when it
 * is called first, and only then can a call be led. */
static bool lead_calls(void) {
    const PyMemAllocatorEx *c = &pyhook.previous[RAW];
    uintptr_t python = (uintptr_t)c->free; /* static: no PLT entry stands for it */
    mutex_lock(&procs.lock);
    bool led = os_is_redirected(&calls_free) && os_is_redirected(&calls_realloc);
    mutex_unlock(&procs.lock);
    if (led)
        return true;
    c->free(c->ctx, c->realloc(c->ctx, NULL, 1));
    mutex_lock(&procs.lock);
    led = os_redirect(python, &calls_free) && os_redirect(python, &calls_realloc);
    mutex_unlock(&procs.lock);
    return led;
}

bool pyhook_gap_expect(void) {
    atomic_store(&expected, true);
    /* The debug hooks mark each block, so a gap is the end of it in any case. */
    return pyhook.below_debug || lead_calls();
}

void pyhook_gap_announced(void) {
    static _Atomic bool told;
    if (!pyhook_gap_expect() && !atomic_exchange(&told, true))
        ga_say("goalloc: warning: this Python takes goalloc out of the raw domain for a moment "
               "whenever it makes an interpreter, and its calls of free can't be led to goalloc; "
               "make interpreters while no other thread runs");
}

bool pyhook_gap_expected(PyMemAllocatorDomain domain) {
    return domain == RAW && atomic_load(&expected);
}

#if PY_VERSION_HEX >= 0x030c0000

#include <internal/pycore_runtime.h>

#define STAYS_OPEN_NS (1000 * 1000) /* an ordinary one ends after some hundred */

/* tracemalloc and others that restore what was there before us restore all domains: not a gap. */
bool pyhook_gap_is_open(void) {
    void *(*const volatile *raw)(void *, size_t) = &_PyRuntime.allocators.standard.raw.malloc;
    void *(*const volatile *obj)(void *, size_t) = &_PyRuntime.allocators.standard.obj.malloc;
    return atomic_load_explicit(&expected, memory_order_relaxed) && pyhook_is_serving(&pyhook) &&
           *raw == pyhook.previous[RAW].malloc && *obj != pyhook.previous[OBJ].malloc;
}

void pyhook_gap_look(bool at_once) {
    static _Atomic uint64_t since; /* ns; 0: none was open at the last look */
    if (GA_LIKELY(!pyhook_gap_is_open())) {
        if (GA_UNLIKELY(atomic_load_explicit(&since, memory_order_relaxed) != 0))
            atomic_store(&since, 0);
        return;
    }
    uint64_t now = os_nanotime(), before = 0;
    if (at_once || (!atomic_compare_exchange_strong(&since, &before, now) &&
                    now - before > STAYS_OPEN_NS && now > before))
        pyhook_put_in(RAW);
}

#endif
#endif

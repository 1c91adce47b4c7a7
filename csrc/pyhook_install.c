/* pyhook_install: goalloc into CPython's allocator table and out of it, beside others who do the
 * same.
 *
 * What others do.  tracemalloc, the debug hooks and most profilers save the table when they start,
 * put functions of their own on top, and when they stop restore what they saved, without a look at
 * what is there.  So who comes after such a tool is dropped when it stops, and who came before it
 * is called through it and comes back.  Hence
 *   replacing (launch, import) only on a table that is CPython's own: nobody can then restore one
 *                              from before us, under which our blocks would go to a free that knows
 *                              them not
 *   wrapping                   on any table: to be dropped does no harm
 *   the mode                   never remembered only: a call shows whether we are reached
 * The debug hooks go below nobody: in launch mode they are set up again on top of us, as CPython's
 * documentation asks; in a live interpreter its blocks have their marks already, so we wrap.
 *
 * After uninstall our functions stay wherever a tool has them saved or stands on top, and pass on.
 *
 * Lock: `changing`, taken before all ranks and never waited for with a GIL, because holders may
 * wait for a GIL. */
#include "pyhook_table.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "report.h"
#include "wrap_sample.h"

/* Exported by every CPython that is supported, declared by some. */
PyAPI_FUNC(const char *) _PyMem_GetCurrentAllocatorName(void);

#define PYMALLOC_DEBUG "pymalloc_debug"
#ifdef Py_GIL_DISABLED
#define FREE_THREADED true
#else
#define FREE_THREADED false
#endif

static pthread_mutex_t changing = PTHREAD_MUTEX_INITIALIZER;

static void renew_changing(void) {
    pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;
    changing = fresh; /* in a child of fork: its holder is not there */
}

static void watch_forks(void) { pthread_atfork(NULL, NULL, renew_changing); }

static void begin_change(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    if (pthread_mutex_trylock(&changing) == 0)
        return;
    Py_BEGIN_ALLOW_THREADS
    pthread_mutex_lock(&changing);
    Py_END_ALLOW_THREADS
}

static void end_change(void) { pthread_mutex_unlock(&changing); }

/* ---- how things stand ----------------------------------------------------------------------- */

static bool is_serving(void) { return pyhook_is_serving(&pyhook); }

static bool all_reached(void) {
    return (pyhook_gap_is_open() || pyhook_reached(RAW)) && pyhook_reached(MEM) &&
           pyhook_reached(OBJ);
}

enum pyhook_mode pyhook_mode(void) {
    if (is_serving() && all_reached())
        return pyhook.mode;
    return wrap_is_in() ? PYHOOK_WRAP : PYHOOK_NONE;
}

static const char *name_obstacle(const char *name) {
    if (name == NULL) /* also if some are one's, some another's */
        return "another tool has replaced or wrapped Python's memory allocators";
    if (strcmp(name, "pymalloc") == 0)
        return NULL;
    if (strcmp(name, PYMALLOC_DEBUG) == 0)
        return "Python's debug hooks are on the memory allocators (PYTHONMALLOC=debug, -X dev or a "
               "debug build), and mark every block since the start";
    return "PYTHONMALLOC asks for another allocator than Python's own";
}

/* NULL, or why the table as it is must not be replaced. */
static const char *table_obstacle(void) {
    if (FREE_THREADED)
        return "this Python is free-threaded, and its object allocator cannot be replaced";
    return name_obstacle(_PyMem_GetCurrentAllocatorName());
}

static bool tracemalloc_is_tracing(void) {
    PyObject *module = PyImport_ImportModule("_tracemalloc");
    PyObject *tracing = module ? PyObject_CallMethod(module, "is_tracing", NULL) : NULL;
    bool yes = tracing == Py_True;
    Py_XDECREF(tracing);
    Py_XDECREF(module);
    PyErr_Clear();
    return yes;
}

/* From an earlier install: in the table, or below a tool that came later and will restore us. */
static bool is_attached(PyMemAllocatorDomain domain) {
    return pyhook_on_top(domain) || pyhook_reached(domain);
}

static const char *import_obstacle(bool tracing) {
    if (is_attached(RAW) && is_attached(MEM) && is_attached(OBJ))
        return NULL;
    if (tracing)
        return "tracemalloc is tracing already, and would drop goalloc when it stops";
    return table_obstacle();
}

const char *pyhook_obstacle(void) {
    return pyhook_mode() != PYHOOK_NONE ? NULL : import_obstacle(tracemalloc_is_tracing());
}

/* ---- replacing ------------------------------------------------------------------------------ */

/* All functions of a domain, or free and realloc only, which serve old blocks and ours alike. */
static void set_table(PyMemAllocatorDomain domain, bool all) {
    PyMemAllocatorEx a = *pyhook_functions(domain);
    a.ctx = pyhook.previous[domain].ctx;
    if (!all) {
        a.malloc = pyhook.previous[domain].malloc;
        a.calloc = pyhook.previous[domain].calloc;
    }
    PyMem_SetAllocator(domain, &a);
}

void pyhook_put_in(PyMemAllocatorDomain domain) { set_table(domain, true); }

static void save_arena_table(void) {
    PyObjectArenaAllocator now;
    PyObject_GetArenaAllocator(&now);
    if (now.free != pyhook_arena_free)
        pyhook.previous_arena = now;
}

static void set_arena_table(void) {
    PyObjectArenaAllocator ours = {pyhook.previous_arena.ctx, pyhook_arena_alloc,
                                   pyhook_arena_free};
    PyObject_SetArenaAllocator(&ours);
}

/* Last: from here on every interpreter to come is announced.  In a debugging run nobody uses it. */
static void open_hot_path(void) {
    if (pyhook.debug == NULL)
        interp_serve();
}

static const char *start_import(void) {
    if (pyhook_heap() == NULL)
        return "there is no memory for a heap";
    bool below[DOMAINS]; /* a tool that is on top of us already */
    for (int domain = 0; domain < DOMAINS; domain++) {
        below[domain] = !pyhook_on_top(domain) && pyhook_reached(domain);
        if (!below[domain] && !pyhook_on_top(domain))
            PyMem_GetAllocator(domain, &pyhook.previous[domain]);
    }
    save_arena_table();
    interp_rest();
    /* The heap, and previous: threads without this GIL come by as soon as we are in a table. */
    os_publish();
    pyhook_gap_expect(); /* of an interpreter that is in the making now */
    for (int domain = 0; domain < DOMAINS; domain++)
        if (!below[domain])
            set_table(domain, false);
    mcaches_set_open(pyhook_heap(), true);
    pyhook.mode = PYHOOK_IMPORT;
    atomic_store(&pyhook.serving, true);
    for (int domain = 0; domain < DOMAINS; domain++)
        if (!below[domain])
            set_table(domain, true);
    set_arena_table();
    open_hot_path();
    return NULL;
}

static void stop_serving(void) {
    if (!is_serving())
        return;
    pyhook.mode = PYHOOK_NONE; /* launch mode too: from now on there are others' blocks */
    atomic_store(&pyhook.serving, false);
    interp_rest();
    mcaches_set_open(pyhook_heap(), false);
    pyhook_gap_expect(); /* malloc does not come by any more to announce it */
    for (int domain = 0; domain < DOMAINS; domain++)
        if (pyhook_on_top(domain)) /* else who is on top of us goes on calling, and is passed on */
            set_table(domain, false);
}

/* ---- in and out ----------------------------------------------------------------------------- */

static const char *install(enum pyhook_mode wanted, bool tracing) {
    static const char *const already[] = {
        [PYHOOK_LAUNCH] = "goalloc is installed already, in launch mode; uninstall() it first",
        [PYHOOK_IMPORT] = "goalloc is installed already, in import mode; uninstall() it first",
        [PYHOOK_WRAP] = "goalloc is installed already, in wrap mode; uninstall() it first",
    };
    enum pyhook_mode now = pyhook_mode();
    if (now != PYHOOK_NONE)
        return wanted == PYHOOK_NONE || wanted == now ? NULL : already[now];
    stop_serving(); /* what another tool has left of us in the table, if anything */
    wrap_take_out();
    const char *why = import_obstacle(tracing);
    if (wanted != PYHOOK_WRAP && why == NULL)
        return start_import();
    if (wanted == PYHOOK_IMPORT)
        return why;
    wrap_sample_into(pyhook_heap());
    return wrap_put_in();
}

const char *pyhook_install(enum pyhook_mode wanted) {
    bool tracing = tracemalloc_is_tracing(); /* runs Python: not under the lock */
    begin_change();
    const char *why = install(wanted, tracing);
    end_change();
    return why;
}

void pyhook_uninstall(void) {
    begin_change();
    stop_serving();
    wrap_take_out();
    end_change();
}

/* ---- launch --------------------------------------------------------------------------------- */

/* What is previous when there is nothing to save: the C library, by the rules of the table. */

static void *c_malloc(void *ctx, size_t size) {
    (void)ctx;
    return malloc(ga_max(size, 1));
}

static void *c_calloc(void *ctx, size_t nelem, size_t elsize) {
    (void)ctx;
    return nelem == 0 || elsize == 0 ? calloc(1, 1) : calloc(nelem, elsize);
}

static void *c_realloc(void *ctx, void *p, size_t size) {
    (void)ctx;
    return realloc(p, ga_max(size, 1));
}

static void c_free(void *ctx, void *p) {
    (void)ctx;
    free(p);
}

__attribute__((visibility("default"))) const char *goalloc_launch(int argc, char **argv) {
    PyPreConfig preconfig;
    PyPreConfig_InitPythonConfig(&preconfig);
    PyStatus status = Py_PreInitializeFromBytesArgs(&preconfig, argc, argv);
    if (PyStatus_Exception(status))
        return "Python did not preinitialize";
    const char *name = _PyMem_GetCurrentAllocatorName();
    bool debug = name != NULL && strcmp(name, PYMALLOC_DEBUG) == 0;
    const char *why = table_obstacle();
    if (why != NULL && !debug)
        return why;
    if (pyhook_heap() == NULL)
        return "there is no memory for a heap";
    static const PyMemAllocatorEx c_library = {NULL, c_malloc, c_calloc, c_realloc, c_free};
    pyhook.mode = PYHOOK_LAUNCH;
    pyhook.below_debug = debug;
    for (int domain = 0; domain < DOMAINS; domain++) {
        if (debug) /* which the table holds now */
            pyhook.previous[domain] = c_library;
        else
            PyMem_GetAllocator(domain, &pyhook.previous[domain]);
    }
    interp_rest();
    atomic_store(&pyhook.serving, true);
    for (int domain = 0; domain < DOMAINS; domain++)
        set_table(domain, true);
    save_arena_table();
    set_arena_table();
    open_hot_path();
    if (debug)
        PyMem_SetupDebugHooks();
    return NULL;
}

static pid_t report_pid; /* 0: there is nothing to report, or it has been */

static void write_report(void) {
    if (getpid() != report_pid) /* a forked child inherits the handlers, and is not asked for */
        return;
    report_pid = 0;
    report_write(pyhook_heap(), STDERR_FILENO);
}

/* For `goalloc run --stats`: the report goes to stderr when the interpreter of this process has
 * ended, which comes before an unhandled Ctrl-C kills it, or else when the process exits. */
__attribute__((visibility("default"))) void goalloc_stats_at_exit(void) {
    report_pid = getpid();
    Py_AtExit(write_report);
    atexit(write_report);
}

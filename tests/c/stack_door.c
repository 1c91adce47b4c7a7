/* The module stack_door: the walker of pystack as Python functions, and hooks that call it at any
 * allocation.  Built by test_pystack.py together with pystack.c and what that needs. */
#define PY_SSIZE_T_CLEAN
#include "pystack.h"

#include "config.h"
#include "lock.h"

enum { MAX = 4096, DOMAINS = 3 };

static struct os os;
static struct persistentalloc persistent;
static struct budget budget;
static struct locations locations;
static struct pystack stack;

static struct mutex lock; /* around all of the above and below */

/* The last walk of the hooks. */
static uint32_t last[MAX], last_thread;
static size_t last_n, last_size;
static int last_domain = -1;
static uint64_t walks, empty_walks;

static PyMemAllocatorEx below[DOMAINS];
static size_t watch_size, watch_max;

/* ---- as Python objects ---------------------------------------------------------------------- */

static PyObject *text_object(uint32_t id) {
    const struct text *t = locations_text(&locations, id);
    return PyUnicode_DecodeUTF8(t->bytes, t->nbytes, "strict");
}

/* (name, file, first line, line) */
static PyObject *location_object(uint32_t id) {
    const struct location *where = locations_get(&locations, id);
    const struct function *f = locations_function(&locations, where->function);
    return Py_BuildValue("(NNii)", text_object(f->name), text_object(f->file), f->first_line,
                         where->line);
}

/* ([location, ...], (native id, name)) */
static PyObject *stack_object(const uint32_t *locs, size_t n, uint32_t thread) {
    PyObject *list = PyList_New((Py_ssize_t)n);
    for (size_t i = 0; list != NULL && i < n; i++)
        PyList_SetItem(list, (Py_ssize_t)i, location_object(locs[i]));
    const struct thread *t = locations_thread(&locations, thread);
    return Py_BuildValue("(N(KN))", list, (unsigned long long)t->native_id, text_object(t->name));
}

static PyObject *door_walk(PyObject *self, PyObject *args) {
    uint32_t locs[MAX], thread;
    int max = MAX, attached = 1;
    (void)self;
    if (!PyArg_ParseTuple(args, "|ip", &max, &attached))
        return NULL;
    if (max < 1 || max > MAX)
        return PyErr_Format(PyExc_ValueError, "max: 1 to %d", MAX);
    mutex_lock(&lock);
    size_t n = (attached ? pystack_walk_attached : pystack_walk)(&stack, &locations, locs,
                                                                 (size_t)max, &thread);
    mutex_unlock(&lock);
    return stack_object(locs, n, thread); /* locations only grow, and the GIL is ours */
}

/* The same by a thread that has dropped the GIL. */
static PyObject *door_walk_detached(PyObject *self, PyObject *none) {
    uint32_t locs[8], thread;
    size_t n;
    (void)self;
    (void)none;
    Py_BEGIN_ALLOW_THREADS
    mutex_lock(&lock);
    n = pystack_walk(&stack, &locations, locs, 8, &thread);
    mutex_unlock(&lock);
    Py_END_ALLOW_THREADS
    return stack_object(locs, n, thread);
}

/* ---- hooks ---------------------------------------------------------------------------------- */

static void watch(int domain, size_t size) {
    static uint32_t locs[MAX];
    uint32_t thread;
    if (size < watch_size)
        return;
    mutex_lock(&lock);
    size_t n = (domain != 0 ? pystack_walk_attached : pystack_walk)(&stack, &locations, locs,
                                                                    watch_max, &thread);
    walks++;
    empty_walks += n == 1 && locs[0] == LOCATION_NO_FRAME;
    memcpy(last, locs, n * sizeof locs[0]);
    last_n = n;
    last_thread = thread;
    last_domain = domain;
    last_size = size;
    mutex_unlock(&lock);
}

static int domain_of(void *ctx) { return (int)((PyMemAllocatorEx *)ctx - below); }

/* pymalloc gets what is large from the raw domain: that is no other allocation. */
static __thread bool inside;

static void *watch_malloc(void *ctx, size_t size) {
    PyMemAllocatorEx *a = ctx;
    bool outermost = !inside;
    if (outermost)
        watch(domain_of(ctx), size);
    inside = true;
    void *p = a->malloc(a->ctx, size);
    inside = !outermost;
    return p;
}

static void *watch_calloc(void *ctx, size_t n, size_t size) {
    PyMemAllocatorEx *a = ctx;
    bool outermost = !inside;
    if (outermost)
        watch(domain_of(ctx), n * size);
    inside = true;
    void *p = a->calloc(a->ctx, n, size);
    inside = !outermost;
    return p;
}

static void *watch_realloc(void *ctx, void *p, size_t size) {
    PyMemAllocatorEx *a = ctx;
    bool outermost = !inside;
    if (outermost)
        watch(domain_of(ctx), size);
    inside = true;
    p = a->realloc(a->ctx, p, size);
    inside = !outermost;
    return p;
}

static void watch_free(void *ctx, void *p) {
    PyMemAllocatorEx *a = ctx;
    a->free(a->ctx, p);
}

/* hook(size, max): walks at every allocation of at least `size` bytes, up to max frames. */
static PyObject *door_hook(PyObject *self, PyObject *args) {
    Py_ssize_t size, max;
    (void)self;
    if (!PyArg_ParseTuple(args, "nn", &size, &max))
        return NULL;
    watch_size = (size_t)size;
    watch_max = (size_t)max;
    if (below[0].malloc == NULL)
        for (int i = 0; i < DOMAINS; i++) {
            PyMem_GetAllocator((PyMemAllocatorDomain)i, &below[i]);
            PyMemAllocatorEx a = {&below[i], watch_malloc, watch_calloc, watch_realloc, watch_free};
            PyMem_SetAllocator((PyMemAllocatorDomain)i, &a);
        }
    Py_RETURN_NONE;
}

/* (stack, thread, domain, size) of the last walk, and no more of them. */
static PyObject *door_last(PyObject *self, PyObject *none) {
    (void)self;
    (void)none;
    watch_size = SIZE_MAX;
    PyObject *where = stack_object(last, last_n, last_thread);
    return Py_BuildValue("(Nin)", where, last_domain, (Py_ssize_t)last_size);
}

/* (walks, those of no Python frame, dropped locations, bytes) */
static PyObject *door_counts(PyObject *self, PyObject *none) {
    (void)self;
    (void)none;
    return Py_BuildValue("(KKKK)", (unsigned long long)walks, (unsigned long long)empty_walks,
                         (unsigned long long)locations.dropped,
                         (unsigned long long)atomic_load(&budget.used));
}

/* alloc(domain, size, detached): an allocation in C, of a thread that has dropped the GIL or
 * not. */
static PyObject *door_alloc(PyObject *self, PyObject *args) {
    int domain, detached;
    Py_ssize_t size;
    (void)self;
    if (!PyArg_ParseTuple(args, "inp", &domain, &size, &detached))
        return NULL;
    if (detached) {
        Py_BEGIN_ALLOW_THREADS
        PyMem_RawFree(PyMem_RawMalloc((size_t)size));
        Py_END_ALLOW_THREADS
    } else if (domain == 0) {
        PyMem_RawFree(PyMem_RawMalloc((size_t)size));
    } else {
        PyMem_Free(PyMem_Malloc((size_t)size));
    }
    Py_RETURN_NONE;
}

/* ---- the module ----------------------------------------------------------------------------- */

static PyMethodDef methods[] = {
    {"walk", door_walk, METH_VARARGS, NULL},
    {"walk_detached", door_walk_detached, METH_NOARGS, NULL},
    {"hook", door_hook, METH_VARARGS, NULL},
    {"last", door_last, METH_NOARGS, NULL},
    {"counts", door_counts, METH_NOARGS, NULL},
    {"alloc", door_alloc, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool ready;

static void before_fork(void) { mutex_lock(&lock); }
static void after_fork(void) { mutex_unlock(&lock); }

static void init(void) {
    os_init(&os);
    persistentalloc_init(&persistent, &os);
    budget_init(&budget, &persistent, 64 * GA_MIB);
    mutex_init(&lock, GA_RANK_PROFILE, "door");
    pthread_atfork(before_fork, after_fork, after_fork);
    ready = locations_init(&locations, &budget) && pystack_init(&stack, &budget);
}

static int exec_module(PyObject *module) {
    (void)module;
    pthread_once(&once, init);
    if (!ready) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)exec_module},
#if PY_VERSION_HEX >= 0x030c0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "stack_door", .m_methods = methods, .m_slots = slots,
};

PyMODINIT_FUNC PyInit_stack_door(void) { return PyModuleDef_Init(&definition); }

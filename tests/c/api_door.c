/* A module that shows goalloc's C API to Python as functions on addresses, as its tests need it;
 * and churn(), threads that have no thread state. */
#include <Python.h>

#include <goalloc/goalloc.h>

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define PLACES 64

static PyObject *door_malloc(PyObject *self, PyObject *args) {
    unsigned long long n;
    int noscan;
    (void)self;
    if (!PyArg_ParseTuple(args, "Kp", &n, &noscan))
        return NULL;
    return PyLong_FromVoidPtr(noscan ? goalloc_malloc_noscan(n) : goalloc_malloc(n));
}

static PyObject *door_calloc(PyObject *self, PyObject *args) {
    unsigned long long nmemb, n;
    int noscan;
    (void)self;
    if (!PyArg_ParseTuple(args, "KKp", &nmemb, &n, &noscan))
        return NULL;
    return PyLong_FromVoidPtr(noscan ? goalloc_calloc_noscan(nmemb, n) : goalloc_calloc(nmemb, n));
}

static PyObject *door_realloc(PyObject *self, PyObject *args) {
    unsigned long long p, n;
    int noscan;
    (void)self;
    if (!PyArg_ParseTuple(args, "KKp", &p, &n, &noscan))
        return NULL;
    void *old = (void *)(uintptr_t)p;
    return PyLong_FromVoidPtr(noscan ? goalloc_realloc_noscan(old, n) : goalloc_realloc(old, n));
}

static PyObject *door_aligned_alloc(PyObject *self, PyObject *args) {
    unsigned long long align, n;
    (void)self;
    if (!PyArg_ParseTuple(args, "KK", &align, &n))
        return NULL;
    return PyLong_FromVoidPtr(goalloc_aligned_alloc(align, n));
}

static PyObject *door_free(PyObject *self, PyObject *address) {
    (void)self;
    goalloc_free(PyLong_AsVoidPtr(address));
    Py_RETURN_NONE;
}

static PyObject *door_usable_size(PyObject *self, PyObject *address) {
    (void)self;
    return PyLong_FromSize_t(goalloc_usable_size(PyLong_AsVoidPtr(address)));
}

static PyObject *door_is_ours(PyObject *self, PyObject *address) {
    (void)self;
    return PyBool_FromLong(goalloc_is_ours(PyLong_AsVoidPtr(address)));
}

/* ---- threads -------------------------------------------------------------------------------- */

static _Atomic(unsigned char *) places[PLACES];

/* Puts a block of its own into a random place, and frees what another thread had put there. */
static void *churn(void *arg) {
    unsigned rounds = *(unsigned *)arg, seed = (unsigned)(uintptr_t)pthread_self();
    for (unsigned i = 0; i < rounds; i++) {
        seed = seed * 1664525u + 1013904223u;
        size_t n = 1 + (seed >> 16) % 3000;
        unsigned char *p = i % 2 ? goalloc_malloc(n) : goalloc_malloc_noscan(n);
        memset(p, (int)n, n);
        unsigned char *other = atomic_exchange(&places[(seed >> 8) % PLACES], p);
        if (i % 3 == 0 && other != NULL)
            other = goalloc_realloc(other, n);
        goalloc_free(other);
    }
    return NULL;
}

static PyObject *door_churn(PyObject *self, PyObject *args) {
    pthread_t threads[16];
    unsigned nthreads, rounds, started = 0;
    (void)self;
    if (!PyArg_ParseTuple(args, "II", &nthreads, &rounds))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    while (started < nthreads && started < 16 &&
           pthread_create(&threads[started], NULL, churn, &rounds) == 0)
        started++;
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < PLACES; i++)
        goalloc_free(atomic_exchange(&places[i], NULL));
    Py_END_ALLOW_THREADS
    if (started != nthreads)
        return PyErr_Format(PyExc_RuntimeError, "%u threads could be started", started);
    Py_RETURN_NONE;
}

/* ---- module --------------------------------------------------------------------------------- */

static PyMethodDef methods[] = {
    {"malloc", door_malloc, METH_VARARGS, NULL},
    {"calloc", door_calloc, METH_VARARGS, NULL},
    {"realloc", door_realloc, METH_VARARGS, NULL},
    {"aligned_alloc", door_aligned_alloc, METH_VARARGS, NULL},
    {"free", door_free, METH_O, NULL},
    {"usable_size", door_usable_size, METH_O, NULL},
    {"is_ours", door_is_ours, METH_O, NULL},
    {"churn", door_churn, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "api_door", .m_size = 0,
                                    .m_methods = methods};

PyMODINIT_FUNC PyInit_api_door(void) {
    PyObject *door = goalloc_import() < 0 ? NULL : PyModule_Create(&module);
#ifdef Py_GIL_DISABLED
    if (door != NULL)
        PyUnstable_Module_SetGIL(door, Py_MOD_GIL_NOT_USED);
#endif
    return door;
}

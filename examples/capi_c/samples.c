/* A Python extension in C whose data live in goalloc's heap: a growing array of doubles.
 *
 *     python setup.py build_ext --inplace
 *     python -c "from samples import Samples; s = Samples(); s.append(1.5); print(s.mean(), s.nbytes)" */
#include <Python.h>
#include <goalloc/goalloc.h>

struct samples {
    PyObject_HEAD
    double *data; /* noscan: numbers only */
    size_t length;
};

static PyObject *samples_append(PyObject *self, PyObject *number) {
    struct samples *s = (struct samples *)self;
    double value = PyFloat_AsDouble(number);
    if (value == -1.0 && PyErr_Occurred())
        return NULL;
    size_t room = s->data == NULL ? 0 : goalloc_usable_size(s->data) / sizeof *s->data;
    if (s->length == room) {
        double *data = goalloc_realloc_noscan(s->data, (2 * room + 1) * sizeof *data);
        if (data == NULL)
            return PyErr_NoMemory();
        s->data = data;
    }
    s->data[s->length++] = value;
    Py_RETURN_NONE;
}

static PyObject *samples_mean(PyObject *self, PyObject *unused) {
    struct samples *s = (struct samples *)self;
    (void)unused;
    if (s->length == 0) {
        PyErr_SetString(PyExc_ValueError, "there are no samples");
        return NULL;
    }
    double sum = 0;
    for (size_t i = 0; i < s->length; i++)
        sum += s->data[i];
    return PyFloat_FromDouble(sum / (double)s->length);
}

static PyObject *samples_nbytes(PyObject *self, void *unused) {
    struct samples *s = (struct samples *)self;
    (void)unused;
    return PyLong_FromSize_t(s->data == NULL ? 0 : goalloc_usable_size(s->data));
}

static PyObject *samples_address(PyObject *self, void *unused) {
    (void)unused;
    return PyLong_FromVoidPtr(((struct samples *)self)->data);
}

static Py_ssize_t samples_len(PyObject *self) { return (Py_ssize_t)((struct samples *)self)->length; }

static void samples_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    goalloc_free(((struct samples *)self)->data);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef samples_methods[] = {
    {"append", samples_append, METH_O, "Adds a number."},
    {"mean", samples_mean, METH_NOARGS, "The mean of all numbers."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef samples_getset[] = {
    {"nbytes", samples_nbytes, NULL, "Bytes that the numbers may take before they move.", NULL},
    {"address", samples_address, NULL, "Where they are: goalloc.span_of() knows it.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot samples_slots[] = {
    {Py_tp_dealloc, samples_dealloc}, {Py_tp_methods, samples_methods},
    {Py_tp_getset, samples_getset},   {Py_sq_length, samples_len},
    {0, NULL},
};

static PyType_Spec samples_spec = {
    .name = "samples.Samples",
    .basicsize = sizeof(struct samples),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = samples_slots,
};

static int samples_exec(PyObject *module) {
    if (goalloc_import() < 0)
        return -1;
    PyObject *type = PyType_FromSpec(&samples_spec);
    int failed = type == NULL ? -1 : PyModule_AddObjectRef(module, "Samples", type);
    Py_XDECREF(type);
    return failed;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, samples_exec}, {0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "samples", .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit_samples(void) { return PyModuleDef_Init(&module); }

/* pystart: goalloc's Python side, run when a launched interpreter is ready and its program is not
 * yet begun.
 *
 * No start-up file serves for that: sitecustomize has room for one, a .pth must lie in
 * site-packages, and both can be switched off.  An audit hook may be set before the interpreter is
 * made, and CPython raises one of the events cpython.run_* exactly then, for a script, -m, -c and
 * stdin alike.  C hooks can't be taken out again, so this one is set only in processes that were
 * asked for more than an allocator; afterwards it costs them a call per audited event.
 *
 * Invariant: whatever fails here is said on stderr in one line, and the program runs.
 * Lock: none; `begun` changes while there is one thread. */
#include <Python.h>
#include <stdbool.h>
#include <string.h>

static const char code[] =
    "import sys\n"
    "try:\n"
    /* before a goalloc.py of the program, which may lie beside it */
    "    sys.path.insert(0, folder)\n"
    "    try:\n"
    "        from goalloc import startup\n"
    "    finally:\n"
    "        sys.path.remove(folder)\n"
    "    startup.launched(children)\n"
    "except Exception as error:\n"
    "    print('goalloc: warning:', error, file=sys.stderr)\n";

static char package_parent[4096];
static bool with_children;
static bool begun;

static PyObject *variables(void) {
    PyObject *all = PyDict_New();
    PyObject *folder = PyUnicode_DecodeFSDefault(package_parent);
    if (all == NULL || folder == NULL || PyDict_SetItemString(all, "folder", folder) < 0 ||
        PyDict_SetItemString(all, "children", with_children ? Py_True : Py_False) < 0)
        Py_CLEAR(all);
    Py_XDECREF(folder);
    return all;
}

static int at_event(const char *event, PyObject *args, void *data) {
    (void)args;
    (void)data;
    if (begun || strncmp(event, "cpython.run_", strlen("cpython.run_")) != 0)
        return 0;
    begun = true;
    PyObject *all = variables();
    PyObject *result = all ? PyRun_String(code, Py_file_input, all, all) : NULL;
    Py_XDECREF(result);
    Py_XDECREF(all);
    if (result == NULL)
        PyErr_Print();
    return 0;
}

/* Before the interpreter is made.  core: the path of this shared object, in the folder of the
 * package; children: whether child Pythons will run on goalloc too. */
__attribute__((visibility("default"))) void goalloc_run_at_start(const char *core, bool children) {
    const char *end = strrchr(core, '/');
    while (end != NULL && end > core && *--end != '/')
        ;
    size_t n = end != NULL ? (size_t)(end - core) : 0;
    if (n == 0 || n >= sizeof package_parent)
        return;
    memcpy(package_parent, core, n);
    with_children = children;
    PySys_AddAuditHook(at_event, NULL);
}

# Py_Initialize after Py_Finalize: the module can be imported again.
#
# Cython notes for each number of an interpreter that it has the module, and forgets it only where the
# garbage collector clears the module, which at the end of an interpreter it does not.  The next
# Py_Initialize makes one with the same number.  So the interpreter's own dictionary says whether it has
# the module, and where it has not, what was noted is of a former one.

cdef extern from *:
    """
    #define NOTE_OF_MODULE "goalloc._core"

    static struct PyModuleDef __pyx_moduledef;
    static PyObject *__Pyx_State_FindModule(void *);
    static int __Pyx_State_RemoveModule(void *);
    static PyObject *(*create_once)(PyObject *spec, PyModuleDef *def);

    static PyObject *create_again(PyObject *spec, PyModuleDef *def) {
        PyObject *notes = PyInterpreterState_GetDict(PyInterpreterState_Get());
        bool noted = notes != NULL && PyDict_GetItemString(notes, NOTE_OF_MODULE) != NULL;
        if (!noted && __Pyx_State_FindModule(NULL) != NULL)
            __Pyx_State_RemoveModule(NULL);
        return create_once(spec, def);
    }

    /* For the interpreter that is importing the module, and for those to come. */
    static int allow_again(void) {
        for (PyModuleDef_Slot *slot = __pyx_moduledef.m_slots; slot->slot != 0; slot++) {
            if (slot->slot != Py_mod_create || slot->value == (void *)create_again)
                continue;
            create_once = (PyObject *(*)(PyObject *, PyModuleDef *))slot->value;
            slot->value = (void *)create_again;
        }
        PyObject *notes = PyInterpreterState_GetDict(PyInterpreterState_Get());
        return notes == NULL ? -1 : PyDict_SetItemString(notes, NOTE_OF_MODULE, Py_None);
    }
    """
    int allow_again() except -1

allow_again()

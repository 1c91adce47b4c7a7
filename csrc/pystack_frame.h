/* How CPython 3.11 to 3.15 keeps its frames: everything that differs between versions.
 *
 * Plain reads of the structures that the internal headers of the build describe.  From 3.13 on
 * CPython says itself where its fields are; frame_layout_is_known compares that with the headers.
 * Those of 3.11 and 3.12 change no more.
 *
 * What is read is at rest: a thread walks its own frames only, while it is attached, and a frame
 * is linked in when it is ready and out before it is taken apart. */
#ifndef GA_PYSTACK_FRAME_H
#define GA_PYSTACK_FRAME_H

#ifndef Py_BUILD_CORE
#define Py_BUILD_CORE 1
#endif
#include <Python.h>

#if PY_VERSION_HEX >= 0x030e0000
#include <internal/pycore_interpframe.h>
#else
#include <internal/pycore_frame.h>
#endif
#include <internal/pycore_code.h>
#include <internal/pycore_runtime.h>

#include "interp.h"

/* Owners from here on are no functions: C code that runs Python code, trampolines. */
#if PY_VERSION_HEX >= 0x030e0000
#define FRAME_OWNERS_SKIPPED FRAME_OWNED_BY_INTERPRETER
#elif PY_VERSION_HEX >= 0x030c0000
#define FRAME_OWNERS_SKIPPED FRAME_OWNED_BY_CSTACK
#else
#define FRAME_OWNERS_SKIPPED (FRAME_OWNED_BY_FRAME_OBJECT + 1)
#endif

/* Of the calling thread, if it is attached.  In 3.11 CPython knows only whose the GIL is: the
 * thread's own, if it is the state by which the thread is known, or if the caller says that he
 * holds it. */
GA_INLINE PyThreadState *frame_thread_state(bool holds_gil) {
    PyThreadState *tstate = current_thread_state();
#if PY_VERSION_HEX < 0x030c0000
    if (!holds_gil && tstate != PyGILState_GetThisThreadState())
        return NULL;
#endif
    (void)holds_gil;
    return tstate;
}

/* The innermost frame; its `previous` is who called.  A state that is taken apart loses the
 * memory of its frames first, while it still points to them. */
GA_INLINE struct _PyInterpreterFrame *frame_first(PyThreadState *tstate) {
    if (tstate->datastack_chunk == NULL)
        return NULL;
#if PY_VERSION_HEX >= 0x030d0000
    return tstate->current_frame;
#else
    return tstate->cframe != NULL ? tstate->cframe->current_frame : NULL;
#endif
}

/* NULL: not a function's, or one that has not begun; CPython does not show those either. */
GA_INLINE PyCodeObject *frame_code(struct _PyInterpreterFrame *f) {
    if (f->owner >= FRAME_OWNERS_SKIPPED)
        return NULL;
#if PY_VERSION_HEX >= 0x030e0000
    if (PyStackRef_IsNull(f->f_executable))
        return NULL;
    PyObject *code = PyStackRef_AsPyObjectBorrow(f->f_executable);
#elif PY_VERSION_HEX >= 0x030d0000
    PyObject *code = f->f_executable;
#else
    PyObject *code = (PyObject *)f->f_code;
#endif
    if (code == NULL || !PyCode_Check(code) || _PyFrame_IsIncomplete(f))
        return NULL;
    return (PyCodeObject *)code;
}

/* Which code unit it is at; of a frame before its first one a number beyond all. */
GA_INLINE uint32_t frame_unit(struct _PyInterpreterFrame *f) {
    return (uint32_t)_PyInterpreterFrame_LASTI(f);
}

/* No two code objects of an interpreter have the same, wherever they are; 0: it has none. */
GA_INLINE uint32_t frame_code_version(const PyCodeObject *code) {
#if PY_VERSION_HEX >= 0x030c0000
    return code->co_version;
#else
    (void)code;
    return 0;
#endif
}

#if PY_VERSION_HEX >= 0x030c0000 && !defined(Py_GIL_DISABLED)
#define FRAME_CAN_MARK 1
#else
#define FRAME_CAN_MARK 0 /* no versions, or only under a lock that may let other threads go first */
#endif

static inline void frame_the_mark(void *data) { (void)data; }

/* Interpreters begin without. */
GA_INLINE bool frame_is_marked(const PyInterpreterState *interp) {
    return FRAME_CAN_MARK && interp->co_extra_user_count != 0 &&
           interp->co_extra_freefuncs[0] == frame_the_mark;
}

/* That of the calling thread, which is attached.  Only as the first: who sets such data asks for
 * memory for as many indices as there are, and then fills in as many as there are. */
GA_INLINE bool frame_mark(const PyInterpreterState *interp) {
#if FRAME_CAN_MARK
    return interp->co_extra_user_count == 0 &&
           PyUnstable_Eval_RequestCodeExtraIndex(frame_the_mark) == 0;
#else
    (void)interp;
    return false;
#endif
}

GA_INLINE bool frame_layout_is_known(void) {
#if PY_VERSION_HEX >= 0x030d0000
    const struct _Py_DebugOffsets *o = &_PyRuntime.debug_offsets;
    return o->thread_state.current_frame == offsetof(PyThreadState, current_frame) &&
           o->thread_state.datastack_chunk == offsetof(PyThreadState, datastack_chunk) &&
           o->interpreter_frame.previous == offsetof(struct _PyInterpreterFrame, previous) &&
           o->interpreter_frame.executable == offsetof(struct _PyInterpreterFrame, f_executable) &&
           o->interpreter_frame.instr_ptr == offsetof(struct _PyInterpreterFrame, instr_ptr) &&
           o->interpreter_frame.owner == offsetof(struct _PyInterpreterFrame, owner) &&
           o->code_object.firstlineno == offsetof(PyCodeObject, co_firstlineno) &&
           o->code_object.filename == offsetof(PyCodeObject, co_filename) &&
           o->code_object.qualname == offsetof(PyCodeObject, co_qualname) &&
           o->code_object.linetable == offsetof(PyCodeObject, co_linetable) &&
           o->code_object.co_code_adaptive == offsetof(PyCodeObject, co_code_adaptive) &&
           o->bytes_object.ob_sval == offsetof(PyBytesObject, ob_sval) &&
           o->unicode_object.state == offsetof(PyASCIIObject, state) &&
           o->unicode_object.asciiobject_size == sizeof(PyASCIIObject);
#else
    return true;
#endif
}

#endif

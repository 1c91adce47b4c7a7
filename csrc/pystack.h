/* pystack: where in the Python program is the calling thread?  The walker of the heap profile.
 *
 * Called at any allocation, so also by threads without a thread state, while frames, code objects
 * and interpreters are being made and unmade, during garbage collection, and with an exception set.
 * So it reads and does nothing else, but that it marks interpreters (issuer_of): it allocates
 * nothing of Python's, changes no reference count, calls no Python code, raises nothing, and takes
 * no lock but that of its memory (persistentalloc's).
 *
 * A stack is made of the functions that sys._getframe() would find; of what is deeper than the
 * caller has room for nothing is looked at.  The line is that of f_lineno; where an instruction has
 * none, the function's first.  Names and paths longer than PYSTACK_TEXT_MAX bytes are cut.  Lone
 * surrogates are question marks.
 *
 * Threads are known by their native id (threading.get_native_id()) and by the name that the system
 * has for them, which is asked for at the first walks of each and now and then later: the
 * program's, until somebody sets one; from 3.14 on, threading does.  threading's own names can't be
 * read from here; who reads the profile can ask for those of the native ids that live.
 *
 * A cache remembers the locations of instructions.  It is keyed by address, but code objects come
 * and go: an entry is good for the code object of the same version, or, where that isn't known, for
 * one of the same names, first line and location table; see is_valid.
 *
 * Lock: the caller's, the one that guards the locations, around everything. */
#ifndef GA_PYSTACK_H
#define GA_PYSTACK_H

#include <Python.h>

#include "locations.h"

#define PYSTACK_TEXT_MAX 4096 /* bytes of UTF-8: PATH_MAX */

struct known_place;

struct pystack {
    struct budget *budget;
    struct known_place *cache; /* NULL: Python's structures are not what this build expects */
    size_t ncache;             /* a power of two */
    size_t used;
    const PyObject *filename; /* of the walk that goes on: the last one looked at, */
    const struct text *file;  /* and what it is; NULL: another */
    char scratch[2][PYSTACK_TEXT_MAX]; /* a name and a path that are not ASCII */
};

/* False: no memory. */
bool pystack_init(struct pystack *s, struct budget *budget);
void pystack_destroy(struct pystack *s);

/* The walkers: ctx is a struct pystack.  The stack of the calling thread, innermost first, and
 * what the thread is.  max >= 1 locations at most: of a deeper stack the last is
 * LOCATION_TRUNCATED.  The answer is never 0: a thread that is not attached is at
 * LOCATION_NO_FRAME.
 * pystack_walk_attached is for callers that hold the GIL (the domains mem and obj): in 3.11 the
 * other can't tell that in a subinterpreter. */
size_t pystack_walk(void *ctx, struct locations *l, uint32_t *locs, size_t max, uint32_t *thread);
size_t pystack_walk_attached(void *ctx, struct locations *l, uint32_t *locs, size_t max,
                             uint32_t *thread);

#endif

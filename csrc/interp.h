/* interp: whose cache is it?  The mcache of the caller, by domain.
 *
 * mem and obj: the P of Go is an interpreter with an object allocator of its own, exactly as
 * CPython divides pymalloc: the main interpreter and all that share its allocator (and so its GIL)
 * are one P, each other interpreter is one.  While there is only the main interpreter, its cache
 * belongs to whoever calls: he holds the GIL.  As soon as there are several, the thread state
 * decides, at every call: nothing about "my interpreter" is remembered.  Where the thread state is
 * unknown (NULL) the orphan cache serves, under a lock.  The hot path does not ask how many there
 * are: the cache that it uses is another one by then (interp_alone.c).
 *
 * CPython's structures are read at the places that the headers of the build give; whether they are
 * right is tested once at run time.  If they are not, the main cache serves everybody under a lock.
 *
 * raw: the thread.  Its cache is made at its first call and ended by a pthread key.
 *
 * The scavenger has no thread state and no GIL.  It may use the cache of a P whose users bracket
 * their calls (mcache_try_stop), and the main one while its GIL is free and can't be
 * taken (interp_gil.c).
 *
 * Lock: procs.lock for the list of Ps, before all others. */
#ifndef GA_INTERP_H
#define GA_INTERP_H

#include <Python.h>

#include "background.h"

/* One interpreter with an allocator of its own, other than the main one. */
struct proc {
    PyInterpreterState *_Atomic interp; /* NULL: ended, the next new one takes over */
    struct mcentral *central;
    struct mcache *cache;
    struct proc *next;
};

/* Are CPython's structures where the headers of the build say? */
enum proc_trust { TRUST_UNTESTED, TRUST_YES, TRUST_NO };

struct procs {
    struct mheap *heap;
    struct mutex lock;
    struct proc *_Atomic first;
    struct mutex *more_lock; /* of a floor above, which fork takes too; or NULL */
    _Atomic(enum proc_trust) trust; /* found out by whoever comes first, under any GIL */
};

/* Those of the process heap. */
extern GA_HIDDEN struct procs procs;
/* Apart from it, since every call reads them. */
extern GA_HIDDEN struct mcache *main_cache;
extern GA_HIDDEN struct mcache *_Atomic hot_cache;
/* CPython's: [0] newest, [1] main */
extern GA_HIDDEN PyInterpreterState *const volatile *interp_list;
extern GA_HIDDEN __thread struct mcache *thread_cache;

/* NULL: not attached.  In 3.11 it is that of whoever holds the GIL. */
GA_INLINE PyThreadState *current_thread_state(void) {
#if PY_VERSION_HEX >= 0x030d0000
    return PyThreadState_GetUnchecked();
#else
    return _PyThreadState_UncheckedGet();
#endif
}

/* False: out of memory. */
bool procs_init(struct mheap *h);

GA_INLINE bool only_main_interpreter(void) {
#if PY_VERSION_HEX < 0x030c0000
    return true; /* one GIL for all */
#else
    /* The main one changes only while none runs: one read for both needs no volatile. */
    return interp_list[0] == *(PyInterpreterState *const *)&interp_list[1];
#endif
}

/* interp_alone.c: what the hot path of mem and obj uses: the main cache, or a closed one, which is
 * published with it. */
GA_INLINE struct mcache *interp_hot_cache(void) {
    return atomic_load_explicit(&hot_cache, memory_order_acquire);
}
/* When goalloc does not serve mem and obj, at first before it is in the table; and when it does, by
 * who may hold no lock. */
void interp_rest(void);
void interp_serve(void);
/* Could a raw block of nbytes be for another interpreter to live in? */
bool interp_has_size(size_t nbytes);
/* The raw block of s, which could be, has been made. */
void interp_watch(struct mspan *s);
bool interp_any_watched(void);
/* For holders of the main GIL who find the hot path closed, and no other interpreter. */
void interp_is_alone(void);
/* For who has found another interpreter: was the hot path open? */
bool interp_close(void);
/* It was, and the caller's interpreter has an allocator of its own. */
void interp_unseen(void);

/* For mem and obj; never NULL.  Between the two no one else uses the cache, and the world does not
 * stop. */
struct mcache *interp_enter(void);
void interp_leave(struct mcache *c);
/* The same for frame stacks, which CPython also frees after it has dropped the GIL for good. */
struct mcache *interp_enter_stacks(void);
/* The memory [p, p + nbytes) is about to be freed: the P of an interpreter that lived in it
 * ends. */
void interp_forget(uintptr_t p, size_t nbytes);

/* For raw: the thread's cache, or the orphan cache, locked, where there can be none. */
struct mcache *thread_enter_slow(void);
void thread_leave_slow(struct mcache *c);
/* The orphan cache, whoever calls; thread_leave_slow leaves it, too. */
struct mcache *orphan_enter(void);

/* interp_gil.c: uses the caches of the main GIL while nobody holds that GIL.  The answer is for a
 * moment: who gets true must call gil_let_go soon, since nobody gets the GIL meanwhile.  gil_test
 * is called by a holder of the GIL, until it has seen whether CPython's structure is what this
 * build expects. */
bool gil_try_hold(void);
void gil_let_go(void);
void gil_test(void);
extern GA_HIDDEN _Atomic bool gil_tested;

/* Around fork(): everything at rest, and in the child the caches of the lost threads given back. */
void procs_prepare_fork(void);
void procs_parent_fork(void);
void procs_child_fork(void);

#endif

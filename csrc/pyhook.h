/* pyhook: goalloc in CPython's allocator table.  The top floor. */
#ifndef GA_PYHOOK_H
#define GA_PYHOOK_H

#include "malloc.h"
#include "wrap.h"

enum pyhook_mode { PYHOOK_NONE, PYHOOK_LAUNCH, PYHOOK_IMPORT, PYHOOK_WRAP };

/* The process heap; NULL until the first install or pyhook_heap() call could make it. */
struct mheap *pyhook_heap(void);
/* What it is now, whatever others have done to the table meanwhile; needs a thread state. */
enum pyhook_mode pyhook_mode(void);

/* Into the table of a live interpreter: PYHOOK_IMPORT, PYHOOK_WRAP, or PYHOOK_NONE for import where
 * it can be and else wrap.  Needs a thread state.  NULL on success (also when it is installed
 * already, and no other mode is asked for), else one sentence that says why not. */
const char *pyhook_install(enum pyhook_mode wanted);
/* New blocks come from the previous allocator again; ours are still freed by us. */
void pyhook_uninstall(void);
/* Launch mode: between Py_PreInitialize and Py_InitializeFromConfig; called by the preloaded shim
 * through dlsym.  Same result. */
const char *goalloc_launch(int argc, char **argv);
/* One sentence why import mode cannot be now, or NULL: the test without the deed. */
const char *pyhook_obstacle(void);

/* One in so many new blocks is guarded from now on (guard.h); 0: none, 1: all.  *before: the former
 * rate.  NULL, or one sentence why it can't be. */
const char *pyhook_set_guard_rate(struct mheap *h, uint64_t rate, uint64_t *before);

#endif

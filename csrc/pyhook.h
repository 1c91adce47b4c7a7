/* pyhook: goalloc in CPython's allocator table.  The only floor that knows Python.h. */
#ifndef GA_PYHOOK_H
#define GA_PYHOOK_H

#include "malloc.h"

enum pyhook_mode { PYHOOK_NONE, PYHOOK_LAUNCH, PYHOOK_IMPORT };

/* The process heap; NULL until the first install or pyhook_heap() call could make it. */
struct mheap *pyhook_heap(void);
enum pyhook_mode pyhook_mode(void);

/* Import mode: into the table of a live interpreter; needs the GIL.  NULL on success (also when it is
 * installed already), else one sentence that says why not. */
const char *pyhook_install(void);
/* New blocks come from the previous allocator again; ours are still freed by us. */
void pyhook_uninstall(void);
/* Launch mode: between Py_PreInitialize and Py_InitializeFromConfig; called by the preloaded shim
 * through dlsym.  Same result. */
const char *goalloc_launch(int argc, char **argv);
/* One sentence why this interpreter cannot have goalloc now, or NULL: the test without the deed. */
const char *pyhook_obstacle(void);

#endif

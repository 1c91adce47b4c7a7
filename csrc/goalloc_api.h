/* goalloc_api: the table of functions that other extensions get through a capsule (goalloc.h). */
#ifndef GA_GOALLOC_API_H
#define GA_GOALLOC_API_H

#include "goalloc.h"

/* NULL: there is no memory for a heap. */
const struct goalloc_api *goalloc_api_table(void);

#endif

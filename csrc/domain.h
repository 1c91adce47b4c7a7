/* domain: CPython's allocator domains, and the line that ends a process which mixes them up.
 *
 * The numbers are those of PyMemAllocatorDomain; the C API for other extensions comes behind.
 * No state, no locks. */
#ifndef GA_DOMAIN_H
#define GA_DOMAIN_H

#include "fatal.h"

enum ga_domain { DOMAIN_RAW, DOMAIN_MEM, DOMAIN_OBJ, DOMAIN_API, GA_NUM_DOMAINS };
enum ga_call { CALL_FREE, CALL_REALLOC };

/* "raw", "mem", "obj", "api" */
const char *domain_name(enum ga_domain domain);
/* "PyMem_RawFree" and so on. */
const char *domain_function(enum ga_domain domain, enum ga_call call);
/* whose: a domain's name, or several where it is not known which. */
_Noreturn void domain_throw(const char *whose, const void *p, enum ga_domain called,
                            enum ga_call call);

#endif

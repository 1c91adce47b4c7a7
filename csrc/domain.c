/* See domain.h. */
#include "domain.h"

static const struct {
    const char *name, *function[2]; /* by ga_call */
} domains[GA_NUM_DOMAINS] = {
    [DOMAIN_RAW] = {"raw", {"PyMem_RawFree", "PyMem_RawRealloc"}},
    [DOMAIN_MEM] = {"mem", {"PyMem_Free", "PyMem_Realloc"}},
    [DOMAIN_OBJ] = {"obj", {"PyObject_Free", "PyObject_Realloc"}},
    [DOMAIN_API] = {"api", {"goalloc_free", "goalloc_realloc"}},
};

const char *domain_name(enum ga_domain domain) { return domains[domain].name; }

const char *domain_function(enum ga_domain domain, enum ga_call call) {
    return domains[domain].function[call];
}

void domain_throw(const char *whose, const void *p, enum ga_domain called, enum ga_call call) {
    ga_throw("%s block %p %s by %s", whose, (void *)p, call == CALL_FREE ? "freed" : "reallocated",
             domain_function(called, call));
}

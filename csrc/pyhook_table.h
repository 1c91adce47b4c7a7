/* pyhook_table: what the two halves of pyhook share: the functions that stand in CPython's table
 * (pyhook.c), and how they get in and out (pyhook_install.c).
 *
 * Lock: see pyhook_install.c; the functions themselves read without one. */
#ifndef GA_PYHOOK_TABLE_H
#define GA_PYHOOK_TABLE_H

#include "pyhook.h"

#include "debug.h"
#include "guard.h"
#include "interp.h"

#define DOMAINS 3
#define RAW PYMEM_DOMAIN_RAW
#define MEM PYMEM_DOMAIN_MEM
#define OBJ PYMEM_DOMAIN_OBJ

struct pyhook {
    _Atomic(enum pyhook_mode) mode; /* PYHOOK_LAUNCH or PYHOOK_IMPORT while serving */
    _Atomic bool serving;           /* false after uninstall: what is new comes from previous */
    bool below_debug;               /* launch mode, and CPython's debug hooks on top */
    PyMemAllocatorEx previous[DOMAINS];
    PyObjectArenaAllocator previous_arena;
    struct debugger *debug; /* NULL unless GOALLOC_DEBUG is set; set with the heap, once */
};

extern GA_HIDDEN struct pyhook pyhook;

/* Acquire: who sees that it has ended must see the mode that ended with it. */
GA_INLINE bool pyhook_is_serving(const struct pyhook *hook) {
    return atomic_load_explicit(&hook->serving, memory_order_acquire);
}

/* In import mode pymalloc goes on serving what it had, and takes large blocks from raw: a raw block
 * of ours may then be one of mem or obj. */
GA_INLINE bool pyhook_raw_is_raw(const struct pyhook *hook) { return hook->mode == PYHOOK_LAUNCH; }

/* ---- pyhook_gap.c: 3.11 and 3.12 take us out of the raw domain for moments ------------------- */

#if PY_VERSION_HEX < 0x030d0000
/* From here on, until the process ends.  False: blocks of ours can come to the C library. */
bool pyhook_gap_expect(void);
/* An interpreter is about to be made. */
void pyhook_gap_announced(void);
/* May blocks of the C library come to the functions of this domain? */
bool pyhook_gap_expected(PyMemAllocatorDomain domain);
#else
GA_INLINE bool pyhook_gap_expect(void) { return true; }
GA_INLINE void pyhook_gap_announced(void) {}
GA_INLINE bool pyhook_gap_expected(PyMemAllocatorDomain domain) {
    (void)domain;
    return false;
}
#endif

#if PY_VERSION_HEX >= 0x030c0000 && PY_VERSION_HEX < 0x030d0000
bool pyhook_gap_is_open(void);
/* Closes one that stays open, as it does where two under different GILs have saved and restored
 * crosswise; or any, at once. */
void pyhook_gap_look(bool at_once);
#else
GA_INLINE bool pyhook_gap_is_open(void) { return false; } /* it is under the caller's GIL */
GA_INLINE void pyhook_gap_look(bool at_once) { (void)at_once; }
#endif

/* A raw block of nbytes is about to be made by calloc, as CPython makes interpreters. */
GA_INLINE void pyhook_gap_announce(PyMemAllocatorDomain domain, size_t nbytes) {
    if (domain == RAW && GA_UNLIKELY(interp_has_size(nbytes)))
        pyhook_gap_announced();
}

/* The cache of the caller, by domain. */
GA_INLINE struct mcache *pyhook_enter(PyMemAllocatorDomain domain) {
    pyhook_gap_look(false);
    struct mcache *c = domain == RAW ? thread_enter_slow() : interp_enter();
    c->domain = (uint8_t)domain; /* a label for the profile */
    return c;
}
GA_INLINE void pyhook_leave(PyMemAllocatorDomain domain, struct mcache *c) {
    if (domain == RAW)
        thread_leave_slow(c);
    else
        interp_leave(c);
}

/* For the layout that the heap has; context not set. */
const PyMemAllocatorEx *pyhook_functions(PyMemAllocatorDomain domain);
void *pyhook_arena_alloc(void *ctx, size_t size);
void pyhook_arena_free(void *ctx, void *p, size_t size);

/* Is p in memory of ours? */
bool pyhook_owns(const void *p);
/* What stands in the table for the raw domain, called by who is not Python; p is ours. */
void pyhook_free_raw(void *p);

/* p is not ours: fatal where nobody else can have made it. */
void pyhook_expect_foreign(PyMemAllocatorDomain domain, const char *op, void *p);
/* p is about to be freed; an interpreter may live in it. */
void pyhook_forget_interp(PyMemAllocatorDomain domain, void *p);
/* A call that is passed on came by (pyhook_reached). */
void pyhook_saw(PyMemAllocatorDomain domain);

/* ---- pyhook_guard.c -------------------------------------------------------------------------- */

/* The block p that was just made, of size bytes, is due to be guarded: what takes its place, with
 * the first `keep` bytes of it; p itself where that can't be. */
void *pyhook_guard(enum ga_domain domain, void *p, size_t size, size_t keep);
/* p is in guarded memory; what is wrong is fatal. */
void pyhook_guard_free(enum ga_domain domain, void *p, enum ga_call call);
/* The bytes that were asked for. */
size_t pyhook_guard_size(enum ga_domain domain, void *p, enum ga_call call);
/* slow_free of pyhook.c */
void pyhook_slow_free(PyMemAllocatorDomain domain, void *p);

/* pyhook_debug.c: the functions that stand in the table where pyhook.debug is set. */
extern GA_HIDDEN const PyMemAllocatorEx pyhook_debug_hooks[DOMAINS];

/* Puts all functions of a domain into the table. */
void pyhook_put_in(PyMemAllocatorDomain domain);
/* Is ours what stands in the table, be it only free and realloc? */
bool pyhook_on_top(PyMemAllocatorDomain domain);
/* Do mallocs come by, whoever else may stand on top of us?  Found out by one; needs a thread
 * state. */
bool pyhook_reached(PyMemAllocatorDomain domain);

#endif

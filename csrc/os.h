/* The operating system: the only floor that calls mmap and friends.
 *
 * A region of address space is in one of Go's four states:
 *   None      not ours
 *   Reserved  ours, no access (PROT_NONE)
 *   Prepared  may be used after os_used; costs no memory
 *   Ready     may be read and written
 * os_alloc None->Ready, os_reserve None->Reserved, os_map Reserved->Ready, os_unused
 * Ready->Prepared, os_used Prepared->Ready, os_free any->None.  Fresh Ready memory reads as zero,
 * and so does memory that went through os_unused, os_renew or, as the source, os_move.
 *
 * Every call goes through a struct os, which counts it and can make the k-th one fail: that is how
 * tests see each out-of-memory path.  Lock: none; the counters are atomic. */
#ifndef GA_OS_H
#define GA_OS_H

#include <stdatomic.h>

#include "base.h"

struct os {
    _Atomic uint64_t ncalls;  /* calls made so far */
    _Atomic uint64_t fail_at; /* the call with this number (1 is the first) and, if fail_all,
                               * every later one fails; 0: none fails */
    _Atomic bool fail_all;
};

void os_init(struct os *os);
size_t os_page_size(void);

/* All sizes are multiples of the page of the operating system.  NULL or false: no memory, nothing
 * has changed. */
void *os_alloc(struct os *os, size_t nbytes);
/* At hint if that range is free; elsewhere or NULL otherwise (the caller compares). */
void *os_reserve(struct os *os, void *hint, size_t nbytes);
/* Anywhere, aligned to align (a power of two multiple of the page). */
void *os_reserve_aligned(struct os *os, size_t nbytes, size_t align);
bool os_map(struct os *os, void *p, size_t nbytes);
bool os_used(struct os *os, void *p, size_t nbytes);
bool os_unused(struct os *os, void *p, size_t nbytes);
/* Backs Ready pages with memory at once, which takes half as long as one fault for each.  False:
 * not here (Linux 5.14), or no memory; the first of them may be backed all the same. */
bool os_populate(struct os *os, void *p, size_t nbytes);
/* Moves what is in [from, from + nbytes) to `to` by page tables, without touching it; both are
 * Ready, within one mapping of the kernel's each, and apart.  `from` is Prepared then.  False: not
 * possible, `from` is as it was, and what was at `to` may be lost. */
bool os_move(struct os *os, void *from, void *to, size_t nbytes);
/* Whether the system does that rightly, found out by the first call; not counted. */
bool os_moves(void);
/* os_unused for a range that os_move has left in several mappings: they become one again. */
bool os_renew(struct os *os, void *p, size_t nbytes);
/* Asks for huge pages in a range, or for none, also of those that the kernel makes later (and for
 * which it would fill up what was given back).  A kernel without them grants the latter. */
bool os_hugepage(struct os *os, void *p, size_t nbytes, bool huge);
/* Does the system make huge pages of whatever it can, without being asked? */
bool os_huge_pages_unasked(void);
/* Ready->Reserved: what was there is gone.  False: it is as it was. */
bool os_withdraw(struct os *os, void *p, size_t nbytes);
/* As os_withdraw, but what is there stays, and is there again after os_map.  Where the range has a
 * mapping of the kernel's for itself (as after os_hugepage, if what is next to it has other
 * advice), both only change that one: half as much work as to make and to drop one. */
bool os_hide(struct os *os, void *p, size_t nbytes);
void os_free(struct os *os, void *p, size_t nbytes);

/* Makes every running thread of the process pass a full barrier (membarrier).  False where the
 * kernel has none: then both sides of a handshake need a fence of their own.  os_barrier_init says
 * once per process whether it will work. */
bool os_barrier_init(void);
void os_barrier(void);
/* Who sees what is written from here on sees what was written before, even if he loads without
 * acquire (as CPython does its allocator table) on a processor that reorders.  Needs no
 * os_barrier_init; with it the promise holds for loads that a processor makes ahead, too. */
void os_publish(void);

uint64_t os_nanotime(void); /* monotonic, ns */
uint64_t os_walltime(void); /* ns since 1970 */
uint64_t os_cputime(void);           /* ns that the calling thread has run */
uint64_t os_cputime_of_all(void);    /* ns that all threads of the process have */
uint64_t os_cputime_of_others(void); /* ns that all but the calling one have */
uint64_t os_entropy(void);  /* 64 unpredictable bits for seeds */
/* Writes all of it to a file descriptor; errors are ignored (there is nobody left to tell). */
void os_write(int fd, const char *text, size_t nbytes);
void os_yield(void);

/* The calling thread, as the system knows it; its name, which tools that list threads show (to be
 * set, and as it is: at most OS_THREAD_NAME_MAX bytes with the end); and whether a thread of this
 * process that has been joined is gone for the system as well. */
#define OS_THREAD_NAME_MAX 16
int os_thread_id(void);
void os_thread_name(const char *name);
void os_thread_own_name(char name[OS_THREAD_NAME_MAX]);
bool os_thread_gone(int id);
/* The process never had a second thread, and the C library makes use of that: its locks do without
 * atomics.  False where it does not tell. */
bool os_single_threaded(void);

/* os_elf.c: calls of the function `name` in other modules, which go to `to` instead. */
#define OS_CALL_WORDS 4
struct os_call {
    const char *name;
    uintptr_t to;
    _Atomic uintptr_t was;                   /* what was called before `to` first was */
    _Atomic uintptr_t *words[OS_CALL_WORDS]; /* where its address stands */
    unsigned nwords;
};
/* Those of the program or library that has `code`.  False: it calls no such function, or has not
 * yet, or not all of its calls could be changed.  Callers take turns. */
bool os_redirect(uintptr_t code, struct os_call *call);
/* Is it as os_redirect has left it? */
bool os_is_redirected(const struct os_call *call);

/* Bytes that the control groups of this process allow it (os_cgroup.c); UINT64_MAX: no limit.  root
 * comes before every path that is read: "", but for tests. */
uint64_t os_cgroup_memory_limit(const char *root);

#endif

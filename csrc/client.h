/* client: tells a tool that watches every access what a block of ours is, so that it sees a use
 * after free inside our spans as it does with malloc.
 *
 *   GA_CLIENT_ASAN      AddressSanitizer: free slots and pages are poisoned
 *   GA_CLIENT_VALGRIND  memcheck: blocks are known with their stacks, and undefined when they are
 *                       new
 *
 * Without either, which is how a release is built, all of this is nothing.  Blocks are whole slots:
 * an overflow that stays in its slot is for GOALLOC_DEBUG to find.  No state, no locks. */
#ifndef GA_CLIENT_H
#define GA_CLIENT_H

#include "base.h"

#if defined(GA_CLIENT_ASAN)

#include <sanitizer/asan_interface.h>
#define CLIENT_WATCHES 1
#define CLIENT_CLOSE(p, n) __asan_poison_memory_region((void *)(p), n)
#define CLIENT_OPEN(p, n) __asan_unpoison_memory_region((void *)(p), n)
#define CLIENT_MADE(p, n, zero) __asan_unpoison_memory_region((void *)(p), n)
#define CLIENT_FREED(p, n) __asan_poison_memory_region((void *)(p), n)
#define CLIENT_RESIZED(p, before, n)                                                               \
    (CLIENT_CLOSE(p, before), CLIENT_OPEN(p, n)) /* what it has lost stays closed */

#elif defined(GA_CLIENT_VALGRIND)

#include <valgrind/memcheck.h>
#define CLIENT_WATCHES 1
#define CLIENT_CLOSE(p, n) VALGRIND_MAKE_MEM_NOACCESS((void *)(p), n)
#define CLIENT_OPEN(p, n) VALGRIND_MAKE_MEM_DEFINED((void *)(p), n)
#define CLIENT_MADE(p, n, zero) VALGRIND_MALLOCLIKE_BLOCK((void *)(p), n, 0, zero)
#define CLIENT_FREED(p, n) VALGRIND_FREELIKE_BLOCK((void *)(p), 0)
#define CLIENT_RESIZED(p, before, n) VALGRIND_RESIZEINPLACE_BLOCK((void *)(p), before, n, 0)

#else

#define CLIENT_WATCHES 0
#define CLIENT_CLOSE(p, n) ((void)0)         /* pages: nobody may touch them now */
#define CLIENT_OPEN(p, n) ((void)0)          /* pages: anybody may */
#define CLIENT_MADE(p, n, zero) ((void)0)    /* a block of n bytes, zero if known to be */
#define CLIENT_FREED(p, n) ((void)0)         /* the same is none any more */
#define CLIENT_RESIZED(p, before, n) ((void)0) /* a block has n bytes now, at the same place */

#endif

#endif

/* Every tunable and derived constant, with its unit and its reason.
 *
 * The first block is Go's (malloc.go, mheap.go of 1.11-1.13) and gives the allocator its shape; the
 * second is ours: what explicit free, many small heaps and CPython ask for.  Relations between them
 * are asserted at the bottom. */
#ifndef GA_CONFIG_H
#define GA_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#define GA_KIB ((size_t)1 << 10)
#define GA_MIB ((size_t)1 << 20)
#define GA_GIB ((size_t)1 << 30)

/* ---- Go's constants ------------------------------------------------------------------------- */

#define GA_PAGE_SHIFT 13 /* a heap page; independent of the page of the operating system */
#define GA_PAGE_SIZE ((size_t)1 << GA_PAGE_SHIFT)

#define GA_HEAP_ADDR_BITS 48 /* user addresses of x86-64 (47 used) and aarch64 */
#define GA_ARENA_SHIFT 26    /* 64 MiB: one entry of the arena map */
#define GA_ARENA_SIZE ((size_t)1 << GA_ARENA_SHIFT)
#define GA_ARENA_MASK (GA_ARENA_SIZE - 1)
#define GA_ARENA_MAP_LEN ((size_t)1 << (GA_HEAP_ADDR_BITS - GA_ARENA_SHIFT))
#define GA_PAGES_PER_ARENA (GA_ARENA_SIZE >> GA_PAGE_SHIFT)

#define GA_MAX_SMALL_SIZE 32768 /* bytes; above this a block is a page run of its own */
#define GA_TINY_SIZE 16         /* bytes; noscan requests below this share a block of this size */
#define GA_HEAP_GROW_MIN (1 * GA_MIB) /* least bytes by which the heap grows (_HeapAllocChunk) */

#define GA_PERSISTENT_CHUNK (256 * GA_KIB)
#define GA_PERSISTENT_DIRECT (64 * GA_KIB) /* from here on straight from the operating system */
#define GA_FIXALLOC_CHUNK (16 * GA_KIB)

#define GA_ARENA_HINTS 128
#if defined(__aarch64__)
#define GA_ARENA_HINT_BASE ((uintptr_t)0x40 << 32)
#else
#define GA_ARENA_HINT_BASE ((uintptr_t)0xc0 << 32)
#endif
#define GA_ARENA_HINT_STEP ((uintptr_t)1 << 40)
/* where arenas at random places are: above what programs get, below where the kernel maps */
#define GA_ARENA_SCATTER_MIN ((uintptr_t)1 << 36)
#if defined(__aarch64__)
#define GA_ARENA_SCATTER_END ((uintptr_t)1 << 38)
#else
#define GA_ARENA_SCATTER_END ((uintptr_t)1 << 46)
#endif
#define GA_LINEAR_GAP (64 * GA_KIB) /* between bitmap and blocks: a page of any system */

#define GA_STACK_SPAN_SIZE (32 * GA_KIB) /* a manual span that is cut into stacks of one order */
#define GA_STACK_MIN (2 * GA_KIB)        /* order 0; each order doubles */
#define GA_STACK_ORDERS 4
#define GA_STACK_CACHE_SIZE (32 * GA_KIB) /* bytes kept per order in front of the pool */

#define GA_SAMPLE_RATE_DEFAULT (512 * GA_KIB) /* mean bytes between two samples */

/* ---- Ours ----------------------------------------------------------------------------------- */

#define GA_GRANULE_SHIFT 4 /* a bit of the heap bitmap stands for 16 bytes */
#define GA_BITMAP_WORDS (GA_ARENA_SIZE >> (GA_GRANULE_SHIFT + 6)) /* 64-bit words per arena */

#define GA_SCAN_STORE_MAX 1024 /* bytes; up to here a table finds the store of each size */
#define GA_STORE_CAP 1280        /* slots that a store of an interpreter's cache can grow to */
#define GA_STORE_CAP_THREAD 256  /* the same for a thread's cache: there may be many of them ... */
#define GA_STORE_CAP_THREAD_BYTES (256 * GA_KIB) /* ... so its stores have a cap of bytes too */
/* a store starts with at most this many bytes of slots */
#define GA_STORE_LIMIT_BYTES (64 * GA_KIB)
#define GA_STORE_LIMIT_MIN 8               /* ... but never with fewer slots than this */
#define GA_STORE_LIMIT_MAX 256             /* ... nor with more */
#define GA_STORE_BATCH_MAX 256             /* slots of one refill */
#define GA_COARSE_BYTES 4096 /* slots above this are coarse: a store begins to keep them ... */
#define GA_COARSE_SINGLES 16 /* ... after so many were asked for or freed */

/* empty spans that a central keeps before it gives back */
#define GA_CENTRAL_KEEP_BYTES (64 * GA_KIB)
#define GA_CENTRAL_FILLS 8 /* lists of spans with room, by how full they are */

/* backed by one call where a class of small slots takes span after span */
#define GA_POPULATE_PAGES 4

#define GA_SCAVENGE_DELAY_DEFAULT 1000000000u /* ns that memory must have been spare for */
#define GA_SCAVENGE_TICKS 8          /* ticks that make up a delay: how finely time is seen */
#define GA_HELD_TICKS 32     /* ticks in which two thirds of what is held for a busy program go */
#define GA_SWEEP_TICKS 2             /* ticks between two sweeps of the spans for vacant pages */
#define GA_SCAVENGE_TICK_MIN 1000000 /* ns; of however short a delay */
#define GA_SCAVENGE_CHUNK GA_MIB     /* bytes given back under one holding of the heap's lock */
#define GA_SCAVENGE_LOOK 256         /* free runs looked at under one holding of the heap's lock */
#define GA_SWEEP_LOOK 32             /* spans looked into under one holding of a central's lock */
#define GA_TOP_KEPT_PAGES 128 /* free pages that may be kept while more are taken than ever, */
#define GA_TOP_KEPT_PART 16   /* or that part of those in use */
#define GA_TOP_RUN_PAGES 16   /* runs that go back for those */
#define GA_TOP_YIELD 8        /* by that part of what goes back more may be taken, next time */
#define GA_SCAVENGE_PERCENT 1        /* of the time, when the program is at work (Go's) */
#define GA_SCAVENGE_PERCENT_IDLE 50  /* when it is not: nobody is kept waiting */
#define GA_TIGHT_PERCENT 95          /* of the memory limit: from here on nothing spare is kept */

#define GA_HUGE_SHIFT 21 /* 2 MiB: a huge page of x86-64, and of aarch64 with pages of 4 KiB */
#define GA_HUGE_SIZE ((size_t)1 << GA_HUGE_SHIFT)
/* growth for so few is for objects that fill it: no class has longer spans */
#define GA_DENSE_PAGES 12
/* in use: what the last huge page has too much is below 2 % */
#define GA_HUGE_HEAP_MIN (128 * GA_MIB)

/* bytes; a large block that shrinks to so many keeps pages: cheaper than to copy them */
#define GA_CUT_MIN (2 * GA_PAGE_SIZE)
/* bytes; from here on moving page tables is far cheaper than copying */
#define GA_MOVE_MIN (1 * GA_MIB)
/* times its size: room to look for behind a block that grows, and may again */
#define GA_GROW_ROOM 2
/* moves leave mappings behind, and a process has 65530 (vm.max_map_count) */
#define GA_SEAMS_MAX 8192

#define GA_PROFILE_THREADS_MAX 1000 /* told apart */
#define GA_PROFILE_FRAMES_MAX 128 /* of a stack; what lies deeper is cut off and marked */
/* bytes that the profile may take for its own structures */
#define GA_PROFILE_MEMORY_MAX (128 * GA_MIB)
#define GA_SAMPLE_RATE_MAX ((uint64_t)1 << 50) /* so that no distance overflows */
#define GA_DEBUG_CHECK_EVERY 100000 /* operations: a check of a whole heap takes milliseconds */

#define GA_GUARD_SLOTS 4096             /* blocks between guard pages, of up to a page */
#define GA_GUARD_LARGE_SLOTS 2048       /* and larger ones: address space only */
#define GA_GUARD_BYTES (128 * GA_KIB)   /* the largest of them */
#define GA_GUARD_KEPT (1 * GA_MIB)      /* pages of freed ones that stay, for the next to come */
#define GA_GUARD_MARGIN 256             /* bytes on either side of a block that are filled, then */
#define GA_GUARD_SEARCH_RATE 1000       /* one in so many, or more often: not for production */
#define GA_GUARD_PACE 4000000           /* then: ns of processor time from one to the next; */
#define GA_GUARD_BURST 64               /* so many at once when none was due for long */
#define GA_GUARD_WATCH_EVERY 16         /* blocks: a look at who handles faults */
#define GA_GUARD_MAPPED (128 * GA_MIB)  /* bytes that the pages of all live ones may come to */
#define GA_GUARD_STEPS 16 /* of a pool that fills up; with each, half as many new blocks come in */
#define GA_GUARD_RATE_MAX ((uint64_t)1 << 40)
#define GA_GUARD_FRAMES 32              /* of the stacks of such a block */

#define GA_LINEAR_SIZE_DEFAULT ((size_t)64 << 30) /* bytes reserved for the linear layout */

#define GA_CACHE_LINE 64

_Static_assert(GA_MAX_SMALL_SIZE % GA_PAGE_SIZE == 0, "largest class is whole pages");
_Static_assert(GA_HEAP_GROW_MIN % GA_PAGE_SIZE == 0, "the heap grows by whole pages");
_Static_assert(GA_CUT_MIN >= GA_PAGE_SIZE && GA_CUT_MIN <= GA_MAX_SMALL_SIZE &&
                   GA_CUT_MIN % GA_PAGE_SIZE == 0,
               "whole pages, and no more than any large block has");
_Static_assert(GA_MOVE_MIN > GA_MAX_SMALL_SIZE, "only large objects move");
_Static_assert(GA_PAGES_PER_ARENA == 8192, "Go's pagesPerArena");
_Static_assert(GA_STACK_MIN << (GA_STACK_ORDERS - 1) <= GA_STACK_SPAN_SIZE, "orders fit a span");

#endif

/* debug: blocks that remember what was asked for, and are looked at (GOALLOC_DEBUG).
 *
 * A block of n bytes is a slot of the heap with
 *
 *     p          p + n                 p + usable - 16    p + usable
 *     | the block | forbidden bytes ...... | seal             |
 *
 * The forbidden bytes, at least 8, must stay as they are.  The seal holds n, the domain and whether
 * the block lives, and a checksum over those, the address and a secret: what overwrites it is known
 * to have, and what lies about in a slot that never was one does not pass for it.  Fresh memory is
 * filled; so is freed memory, which then waits in a ring before its slot may be used again.  Ring,
 * slots that come out of it and slots that go out again are looked at for writes after the free.
 *
 * Bytes are those of CPython's own debug hooks, which people know when they see them.
 *
 * Every function takes a cache that the caller has entered, and throws at the first thing that is
 * wrong.
 * Lock: debugger.lock for the rings. */
#ifndef GA_DEBUG_H
#define GA_DEBUG_H

#include "domain.h"
#include "malloc.h"

#define DEBUG_FRESH 0xCD
#define DEBUG_DEAD 0xDD
#define DEBUG_FORBIDDEN 0xFD
#define DEBUG_RING_SLOTS 1024
#define DEBUG_RING_BYTES (16 * GA_MIB)
/* What a cache that has no ring of its own gives: its blocks go back at once. */
enum debug_ring { RING_RAW, RING_MAIN, DEBUG_RINGS, RING_NONE = DEBUG_RINGS };

struct ring {
    void *blocks[DEBUG_RING_SLOTS];
    size_t first, n;
    size_t nbytes;
};

struct debugger {
    struct mheap *h;
    uint64_t secret;
    uint64_t check_every; /* operations; 0: never */
    _Atomic uint64_t operations;
    struct mutex lock;
    struct ring rings[DEBUG_RINGS];
};

/* False: out of memory.  The heap must have made no block yet. */
struct debugger *debug_new(struct mheap *h, uint64_t check_every);

/* NULL: out of memory, or an absurd size. */
void *debug_malloc(struct debugger *d, struct mcache *c, size_t size, enum ga_domain domain);
void *debug_calloc(struct debugger *d, struct mcache *c, size_t nmemb, size_t size,
                   enum ga_domain domain);
void *debug_memalign(struct debugger *d, struct mcache *c, size_t align, size_t size,
                     enum ga_domain domain);
/* Always moves: who kept the old address is found out. */
void *debug_realloc(struct debugger *d, struct mcache *c, void *p, size_t size,
                    enum ga_domain domain, enum debug_ring ring);
void debug_free(struct debugger *d, struct mcache *c, void *p, enum ga_domain domain,
                enum debug_ring ring);
/* What was asked for; throws as debug_free does. */
size_t debug_size(struct debugger *d, struct mcache *c, void *p, enum ga_domain domain,
                  enum ga_call call);
/* The same; 0: no live block of that domain, and no harm done. */
size_t debug_peek(const struct debugger *d, void *p, enum ga_domain domain);

/* Counts an operation; true: debug_check is due. */
bool debug_count(struct debugger *d);
/* inspect_check is the caller's.  Looks at the rings, and at every small block of the first set of
 * centrals, whose owner the caller must be.  Stops the world. */
void debug_check(struct debugger *d);

#endif

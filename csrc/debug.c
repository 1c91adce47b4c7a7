/* See debug.h. */
#include "debug.h"

#include <string.h>

#include "inspect.h"

#define SEAL_BYTES sizeof(struct seal)
#define OVERHEAD (8 + SEAL_BYTES) /* the least of forbidden bytes, and the seal */
#define FREED 0x80                /* in `what` */

struct seal {
    uint64_t what; /* size << 8 | FREED | domain */
    uint64_t sum;
};

/* A slot that a block starts in, and what its seal says. */
struct sealed {
    uintptr_t addr;
    size_t usable;
    size_t size;
    enum ga_domain domain;
    bool valid, freed;
    bool blank; /* all zero: there may never have been one */
};

/* ---- seals ---------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t v) {
    v = (v ^ v >> 31) * 0x9e3779b97f4a7c15u;
    v = (v ^ v >> 29) * 0xbf58476d1ce4e5b9u;
    return v ^ v >> 32;
}

static uint64_t sum_of(const struct debugger *d, uintptr_t addr, size_t usable, uint64_t what) {
    return mix(mix(d->secret ^ addr) ^ mix(what) ^ usable);
}

static void seal(const struct debugger *d, const struct sealed *b) {
    struct seal s;
    s.what = (uint64_t)b->size << 8 | (b->freed ? FREED : 0) | b->domain;
    s.sum = sum_of(d, b->addr, b->usable, s.what);
    memcpy((char *)b->addr + b->usable - SEAL_BYTES, &s, SEAL_BYTES);
}

static struct sealed read_seal(const struct debugger *d, uintptr_t addr, size_t usable) {
    struct sealed b = {.addr = addr, .usable = usable};
    struct seal s;
    if (usable < OVERHEAD)
        return b;
    memcpy(&s, (char *)addr + usable - SEAL_BYTES, SEAL_BYTES);
    b.size = s.what >> 8;
    b.freed = s.what & FREED;
    b.domain = s.what & (FREED - 1);
    b.blank = s.what == 0 && s.sum == 0;
    b.valid = s.sum == sum_of(d, addr, usable, s.what);
    return b;
}

/* The slot that starts at p.  usable 0: none does. */
static struct sealed find(const struct debugger *d, const void *p) {
    uintptr_t addr = (uintptr_t)p;
    struct sealed none = {.addr = addr};
    struct mspan *s = mheap_span_of_heap(d->h, addr);
    if (s == NULL || addr >= mspan_limit(s) || s->tiny_parts != NULL ||
        (addr - s->start_addr) % s->elemsize != 0)
        return none;
    return read_seal(d, addr, s->elemsize);
}

/* ---- patterns ------------------------------------------------------------------------------- */

/* The first byte of [p, p + n) that is not `byte`, or n. */
static size_t first_other(const void *p, size_t n, uint8_t byte) {
    const uint8_t *b = p;
    uint64_t word, want = byte * (uint64_t)0x0101010101010101;
    size_t i = 0;
    for (; n - i >= sizeof word; i += sizeof word) { /* a ring may hold megabytes */
        memcpy(&word, b + i, sizeof word);
        if (word != want)
            break;
    }
    while (i < n && b[i] == byte)
        i++;
    return i;
}

static void expect_canary(const struct sealed *b, const char *found) {
    size_t room = b->usable - SEAL_BYTES - b->size;
    size_t i = first_other((char *)b->addr + b->size, room, DEBUG_FORBIDDEN);
    if (i != room)
        ga_throw("overflow of %s block %p of %zu bytes at byte %zu, found by %s",
                 domain_name(b->domain), (void *)b->addr, b->size, b->size + i, found);
}

/* b waits or is free, and was written to.  If its first byte was, and the seal in front of it too,
 * then by what ran from there to here, and who had b is not to blame. */
static void expect_seal_in_front(const struct debugger *d, const struct sealed *b,
                                 const char *found) {
    struct mspan *s = mheap_span_of_heap(d->h, b->addr);
    if (s == NULL || b->addr == s->start_addr || *(uint8_t *)b->addr == DEBUG_DEAD)
        return;
    struct sealed front = read_seal(d, b->addr - s->elemsize, s->elemsize);
    if (front.valid ||
        (front.blank && !heap_bits_live(arena_of(&d->h->map, front.addr), front.addr)))
        return;
    ga_throw(
        "overflow of the block at %p, or underflow of the next one, over its size (a slot of %zu "
        "bytes), found %s",
        (void *)front.addr, front.usable, found);
}

/* In what is not ours any more (in_heap), a page of the system that is zero may have been given
 * back; it can't be the last, which has the seal. */
static void expect_dead(const struct debugger *d, const struct sealed *b, bool in_heap,
                        const char *found) {
    uintptr_t end = b->addr + b->usable - SEAL_BYTES;
    for (uintptr_t at = b->addr, next; at < end; at = next) {
        next = ga_min(ga_align_down(at, os_page_size()) + os_page_size(), end);
        size_t i = first_other((void *)at, next - at, DEBUG_DEAD);
        if (at + i == next ||
            (in_heap && next < end && first_other((void *)at, next - at, 0) == next - at))
            continue;
        expect_seal_in_front(d, b, found);
        ga_throw("write after free to %s block %p of %zu bytes at byte %zu, found %s",
                 domain_name(b->domain), (void *)b->addr, b->size, at + i - b->addr, found);
    }
}

/* ---- malloc --------------------------------------------------------------------------------- */

/* Makes a block of n bytes of the slot at p.  NULL stays NULL. */
static void *dress(struct debugger *d, void *p, size_t n, enum ga_domain domain, uint8_t fill) {
    if (p == NULL)
        return NULL;
    struct mspan *s = mheap_span_of_heap(d->h, (uintptr_t)p);
    struct sealed b = read_seal(d, (uintptr_t)p, s->elemsize);
    bool small = spanclass_sizeclass(s->spanclass) != 0;
    if (b.valid && b.freed && small) /* pages of a large one may have been others' since */
        expect_dead(d, &b, true, "when its memory was used again");
    b = (struct sealed){
        .addr = (uintptr_t)p, .usable = s->elemsize, .size = n, .domain = domain, .valid = true};
    memset(p, fill, n);
    memset((char *)p + n, DEBUG_FORBIDDEN, b.usable - SEAL_BYTES - n);
    seal(d, &b);
    return p;
}

void *debug_malloc(struct debugger *d, struct mcache *c, size_t size, enum ga_domain domain) {
    if (size > PTRDIFF_MAX - OVERHEAD)
        return NULL;
    bool noscan = domain == DOMAIN_RAW || domain == DOMAIN_API;
    return dress(d, ga_malloc(d->h, c, size + OVERHEAD, noscan), size, domain, DEBUG_FRESH);
}

void *debug_calloc(struct debugger *d, struct mcache *c, size_t nmemb, size_t size,
                   enum ga_domain domain) {
    size_t n;
    if (__builtin_mul_overflow(nmemb, size, &n) || n > PTRDIFF_MAX - OVERHEAD)
        return NULL;
    bool noscan = domain == DOMAIN_RAW || domain == DOMAIN_API;
    return dress(d, ga_malloc(d->h, c, n + OVERHEAD, noscan), n, domain, 0);
}

void *debug_memalign(struct debugger *d, struct mcache *c, size_t align, size_t size,
                     enum ga_domain domain) {
    if (size > PTRDIFF_MAX - OVERHEAD)
        return NULL;
    bool noscan = domain == DOMAIN_RAW || domain == DOMAIN_API;
    return dress(d, ga_memalign(d->h, c, align, size + OVERHEAD, noscan), size, domain,
                 DEBUG_FRESH);
}

/* ---- the ring ------------------------------------------------------------------------------- */

/* p waits in a ring.  Its seal also breaks when the block behind it is written to before its
 * start. */
static void expect_waiting(const struct debugger *d, void *p, const char *found) {
    struct sealed b = find(d, p);
    if (!b.valid || !b.freed) {
        expect_seal_in_front(d, &b, found);
        ga_throw(
            "write after free to the block at %p, or underflow of the next one, over its seal (a "
            "slot of %zu bytes), found %s",
            p, b.usable, found);
    }
    expect_dead(d, &b, false, found);
}

static void give_back(struct debugger *d, struct mcache *c, void *p) {
    expect_waiting(d, p, "when it left the ring");
    enum misuse why = ga_free(d->h, c, p);
    if (why != MISUSE_NONE)
        misuse_throw(d->h, why, "free", p);
}

/* The oldest block of a ring, taken out, if there are too many for one of nbytes more. */
static void *take_oldest(struct debugger *d, struct ring *r, size_t nbytes) {
    void *p = NULL;
    mutex_lock(&d->lock);
    if (r->n != 0 && (r->n == DEBUG_RING_SLOTS || r->nbytes + nbytes > DEBUG_RING_BYTES)) {
        p = r->blocks[r->first];
        r->first = (r->first + 1) % DEBUG_RING_SLOTS;
        r->n--;
        r->nbytes -= find(d, p).usable;
    }
    mutex_unlock(&d->lock);
    return p;
}

static bool enter_ring(struct debugger *d, struct ring *r, const struct sealed *b) {
    mutex_lock(&d->lock);
    bool room = r->n < DEBUG_RING_SLOTS && r->nbytes + b->usable <= DEBUG_RING_BYTES;
    if (room) {
        r->blocks[(r->first + r->n++) % DEBUG_RING_SLOTS] = (void *)b->addr;
        r->nbytes += b->usable;
    }
    mutex_unlock(&d->lock);
    return room;
}

static void retire(struct debugger *d, struct mcache *c, const struct sealed *b,
                   enum debug_ring ring) {
    if (ring != RING_NONE) {
        for (void *old; (old = take_oldest(d, &d->rings[ring], b->usable)) != NULL;)
            give_back(d, c, old);
        if (enter_ring(d, &d->rings[ring], b))
            return;
    }
    give_back(d, c, (void *)b->addr);
}

/* ---- free and realloc ----------------------------------------------------------------------- */

/* p as a live block of the domain that is called, or the end. */
static struct sealed expect_live(struct debugger *d, struct mcache *c, void *p,
                                 enum ga_domain domain, enum ga_call call) {
    struct sealed b = find(d, p);
    const char *function = domain_function(domain, call);
    if (b.usable == 0 || !b.valid) { /* it may be one whose seal was overwritten */
        enum misuse why = misuse_of(d->h, c, p);
        if (why == MISUSE_DOMAIN && b.usable != 0)
            domain_throw("mem or obj", p, domain, call);
        if (why != MISUSE_NONE)
            misuse_throw(d->h, why, call == CALL_FREE ? "free" : "realloc", p);
        ga_throw(
            "overflow of the block at %p, or underflow of the next one, over its size (a slot of "
            "%zu bytes), found by %s",
            p, b.usable, function);
    }
    if (b.freed && call == CALL_FREE)
        ga_throw("double free of %p (%s block of %zu bytes, now by %s)", p, domain_name(b.domain),
                 b.size, function);
    if (b.freed)
        ga_throw("realloc of freed %p (%s block of %zu bytes)", p, domain_name(b.domain), b.size);
    if (b.domain != domain)
        domain_throw(domain_name(b.domain), p, domain, call);
    expect_canary(&b, function);
    return b;
}

static void release(struct debugger *d, struct mcache *c, struct sealed *b, enum debug_ring ring) {
    memset((void *)b->addr, DEBUG_DEAD, b->usable - SEAL_BYTES);
    b->freed = true;
    seal(d, b);
    retire(d, c, b, ring);
}

void debug_free(struct debugger *d, struct mcache *c, void *p, enum ga_domain domain,
                enum debug_ring ring) {
    struct sealed b = expect_live(d, c, p, domain, CALL_FREE);
    release(d, c, &b, ring);
}

void *debug_realloc(struct debugger *d, struct mcache *c, void *p, size_t size,
                    enum ga_domain domain, enum debug_ring ring) {
    struct sealed b = expect_live(d, c, p, domain, CALL_REALLOC);
    void *q = debug_malloc(d, c, size, domain);
    if (q == NULL)
        return NULL;
    memcpy(q, p, ga_min(b.size, size));
    release(d, c, &b, ring);
    return q;
}

size_t debug_size(struct debugger *d, struct mcache *c, void *p, enum ga_domain domain,
                  enum ga_call call) {
    return expect_live(d, c, p, domain, call).size;
}

size_t debug_peek(const struct debugger *d, void *p, enum ga_domain domain) {
    struct sealed b = find(d, p);
    return b.valid && !b.freed && b.domain == domain ? b.size : 0;
}

/* ---- check ---------------------------------------------------------------------------------- */

bool debug_count(struct debugger *d) {
    uint64_t n = atomic_fetch_add_explicit(&d->operations, 1, memory_order_relaxed) + 1;
    return d->check_every != 0 && n % d->check_every == 0;
}

static void check_ring(struct debugger *d, struct ring *r) {
    for (size_t i = 0; i < r->n; i++)
        expect_waiting(d, r->blocks[(r->first + i) % DEBUG_RING_SLOTS], "by check");
}

static void check_span(struct debugger *d, const struct mspan *s) {
    for (unsigned i = 0; i < s->nelems; i++) {
        uintptr_t addr = s->start_addr + (size_t)i * s->elemsize;
        if (!heap_bits_live(arena_of(&d->h->map, addr), addr))
            continue;
        struct sealed b = read_seal(d, addr, s->elemsize);
        if (!b.valid)
            ga_throw(
                "overflow of the block at %p, or underflow of the next one, over its size (a slot "
                "of %zu bytes), found by check",
                (void *)addr, s->elemsize);
        if (!b.freed)
            expect_canary(&b, "check");
    }
}

void debug_check(struct debugger *d) {
    struct mheap *h = d->h;
    mutex_lock(&d->lock);
    for (unsigned i = 0; i < DEBUG_RINGS; i++)
        check_ring(d, &d->rings[i]);
    mutex_unlock(&d->lock);
    world_stop(h);
    mutex_lock(&h->lock);
    inspect_show_specials(h, true);
    for (struct mspan *s = inspect_next_span(h, 0); s != NULL;
         s = inspect_next_span(h, mspan_end(s))) {
        bool first_set = s->state == MSPAN_IN_USE && s->central >= h->central &&
                         s->central < h->central + GA_NUM_CENTRALS;
        if (first_set && !spanclass_noscan(s->spanclass) && s->elemsize >= OVERHEAD)
            check_span(d, s);
    }
    inspect_show_specials(h, false);
    mutex_unlock(&h->lock);
    world_start(h);
}

/* ---- start ---------------------------------------------------------------------------------- */

struct debugger *debug_new(struct mheap *h, uint64_t check_every) {
    struct debugger *d = persistentalloc(&h->persistent, sizeof *d, 0, NULL);
    if (d == NULL)
        return NULL;
    d->h = h;
    d->secret = os_entropy();
    d->check_every = check_every;
    h->wipe_spans = true;
    mutex_init(&d->lock, GA_RANK_CHECKS, "debugger");
    return d;
}

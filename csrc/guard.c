/* See guard.h. */
#include "guard.h"

#include <string.h>

#define ALIGN 16

/* ---- slots ---------------------------------------------------------------------------------- */

static struct guard_slot *slot_at(struct guards *g, uintptr_t addr) {
    return &g->slots[guard_slot_index(g, addr)];
}

static struct guard_area *area_for(struct guards *g, size_t size) {
    return size <= g->page ? &g->small : &g->large;
}

static uintptr_t slot_start(const struct guard_area *a, const struct guard_slot *s) {
    return a->base + (size_t)(s - a->slots) * a->stride;
}

/* Where a block stands. */
static uintptr_t place_in(const struct guards *g, const struct guard_area *a,
                          const struct guard_slot *s, size_t size, bool at_start) {
    uintptr_t low = slot_start(a, s), end = low + a->stride - g->page;
    return at_start ? low : end - ga_align_up(ga_max(size, 1), ALIGN);
}

/* The pages of the block of s: [*start, *end). */
static void pages_of(const struct guards *g, const struct guard_slot *s, uintptr_t *start,
                     uintptr_t *end) {
    *start = ga_align_down(s->p, g->page);
    *end = ga_align_up(s->p + ga_max(s->size, 1), g->page);
}

static struct guard_slot *pop(struct guard_area *a, uint32_t *list) {
    if (*list == GUARD_NONE)
        return NULL;
    struct guard_slot *s = &a->slots[*list];
    *list = s->next;
    return s;
}

static void put_retired(struct guards *g, struct guard_area *a, struct guard_slot *s) {
    mutex_lock(&g->lock);
    s->next = a->retired;
    a->retired = (uint32_t)(s - a->slots);
    mutex_unlock(&g->lock);
}

static struct guard_slot *pop_freed(struct guard_area *a) {
    a->nfreed -= a->first != GUARD_NONE;
    return pop(a, &a->first);
}

static struct guard_slot *pop_unused(struct guard_area *a) {
    return a->nused < a->nslots ? &a->slots[a->nused++] : pop(a, &a->retired);
}

static struct guard_slot *take_slot(struct guards *g, struct guard_area *a, bool *at_start) {
    mutex_lock(&g->lock);
    /* Half as many as are kept may be used again: then a few more or fewer live ones are no cause
     * to withdraw any. */
    bool waited = a->keeps != 0 && a->nfreed > a->keeps / 2;
    struct guard_slot *s = waited ? pop_freed(a) : pop_unused(a);
    if (s == NULL)
        s = pop_freed(a);
    *at_start = g->at_start = !g->at_start;
    mutex_unlock(&g->lock);
    return s;
}

/* More wait than are kept: one that is to retire, or NULL. */
static struct guard_slot *pop_surplus(struct guard_area *a) {
    return a->keeps != 0 && a->nfreed > a->keeps ? pop_freed(a) : NULL;
}

/* The slot that is to retire instead, or NULL. */
static struct guard_slot *put_freed(struct guards *g, struct guard_area *a, struct guard_slot *s) {
    uint32_t i = (uint32_t)(s - a->slots);
    mutex_lock(&g->lock);
    s->next = GUARD_NONE;
    *(a->nfreed == 0 ? &a->first : &a->slots[a->last].next) = i;
    a->last = i;
    a->nfreed++;
    s = pop_surplus(a);
    mutex_unlock(&g->lock);
    return s;
}

/* ---- which come in -------------------------------------------------------------------------- */

uint64_t guards_live(const struct guards *g) {
    return atomic_load(&g->small.nlive) + atomic_load(&g->large.nlive);
}

/* 0: nearly empty; GA_GUARD_STEPS: full. */
static unsigned steps_taken(struct guards *g, const struct guard_area *a) {
    uint64_t live = atomic_load(&a->nlive) * GA_GUARD_STEPS / a->nslots;
    uint64_t mapped = atomic_load(&g->mapped) * GA_GUARD_STEPS / GA_GUARD_MAPPED;
    return (unsigned)ga_min(ga_max(live, mapped), GA_GUARD_STEPS);
}

/* Is it time for another? */
static bool is_in_pace(struct guards *g) {
    uint64_t pace = atomic_load(&g->pace);
    if (pace == 0)
        return true;
    mutex_lock(&g->lock);
    uint64_t now = os_cputime_of_all(), burst = GA_GUARD_BURST * pace;
    uint64_t at = ga_max(g->next_at, now - ga_min(now, burst));
    if (at <= now)
        g->next_at = at + pace;
    mutex_unlock(&g->lock);
    return at <= now;
}

bool guard_wants(struct guards *g, size_t size) {
    if (!is_in_pace(g))
        return false;
    unsigned step = steps_taken(g, area_for(g, size));
    if (GA_LIKELY(step == 0))
        return true;
    mutex_lock(&g->lock);
    bool wanted = step < GA_GUARD_STEPS && rng_next(&g->rng) % (1u << step) == 0;
    bool tell = step >= GA_GUARD_STEPS / 2 && !g->told;
    g->told |= tell;
    mutex_unlock(&g->lock);
    if (tell)
        ga_say("goalloc: warning: %zu guarded blocks live, half of what there is room for: of the "
               "blocks to be guarded only one in %u is now; a larger GOALLOC_GUARD leaves more "
               "room",
               (size_t)guards_live(g), 1u << step);
    return wanted;
}

/* ---- malloc --------------------------------------------------------------------------------- */

static void take_trace(const struct guards *g, enum ga_domain domain, struct guard_trace *out) {
    out->n = 0;
    if (g->tracer.take != NULL)
        g->tracer.take(g->tracer.ctx, domain, out);
}

/* What is filled, apart from the block itself: [*from, *to). */
static void margins_of(const struct guards *g, const struct guard_slot *s, uintptr_t *from,
                       uintptr_t *to) {
    uintptr_t start, end;
    pages_of(g, s, &start, &end);
    *from = s->p - ga_min(s->p - start, s->margin);
    *to = ga_min(end, s->p + s->size + s->margin);
}

/* The pages of a block that has its place: accessible, the block zero, and the rest filled. */
static void lay_out(struct guards *g, struct guard_slot *s) {
    uintptr_t from, to;
    margins_of(g, s, &from, &to);
    memset((void *)from, GUARD_FILL, s->p - from);
    if (s->apart)
        memset((void *)s->p, 0, s->size);
    memset((void *)(s->p + s->size), GUARD_FILL, to - (s->p + s->size));
}

void *guard_malloc(struct guards *g, size_t size, enum ga_domain domain) {
    if (size > GA_GUARD_BYTES || atomic_load(&g->mapped) > GA_GUARD_MAPPED - GA_GUARD_BYTES)
        return NULL;
    bool at_start;
    struct guard_area *a = area_for(g, size);
    struct guard_slot *s = take_slot(g, a, &at_start);
    if (s == NULL)
        return NULL;
    uintptr_t p = place_in(g, a, s, size, at_start), start = ga_align_down(p, g->page);
    size_t nbytes = ga_align_up(p + ga_max(size, 1), g->page) - start;
    if (!os_map(g->os, (void *)start, nbytes)) {
        put_retired(g, a, s);
        return NULL;
    }
    if (s->apart)
        atomic_fetch_sub(&g->kept, nbytes);
    atomic_fetch_add(&g->mapped, nbytes);
    s->p = p;
    s->size = size;
    s->margin = a->keeps != 0 ? GA_GUARD_MARGIN : (uint32_t)g->page;
    s->domain = (uint8_t)domain;
    lay_out(g, s);
    take_trace(g, domain, &s->made);
    s->freed.n = 0;
    s->state = GUARD_LIVE;
    atomic_fetch_add(&a->nlive, 1);
    return (void *)s->p;
}

/* ---- free ----------------------------------------------------------------------------------- */

/* The slot of p, which is a live block of the domain that was called, or the end. */
static struct guard_slot *expect_live(struct guards *g, void *p, enum ga_domain domain,
                                      enum ga_call call) {
    struct guard_slot *s = slot_at(g, (uintptr_t)p);
    const char *op = call == CALL_FREE ? "free" : "realloc", *whose = domain_name(s->domain);
    if (s->state == GUARD_UNUSED)
        guard_throw(g, NULL, "%s of unallocated pointer %p (in guarded memory)", op, p);
    if ((uintptr_t)p != s->p)
        guard_throw(g, s, "%s of interior pointer %p (guarded %s block %p of %zu bytes)", op, p,
                    whose, (void *)s->p, s->size);
    if (s->state == GUARD_FREED && call == CALL_FREE)
        guard_throw(g, s, "double free of %p (guarded %s block of %zu bytes, now by %s)", p, whose,
                    s->size, domain_function(domain, call));
    if (s->state == GUARD_FREED)
        guard_throw(g, s, "realloc of freed %p (guarded %s block of %zu bytes)", p, whose, s->size);
    if (s->domain != domain)
        guard_throw(g, s, "%s block %p %s by %s", whose, p,
                    call == CALL_FREE ? "freed" : "reallocated", domain_function(domain, call));
    return s;
}

/* The first byte in [from, to) that is not filled, or to. */
static uintptr_t first_changed(uintptr_t from, uintptr_t to) {
    const unsigned char *p = (const unsigned char *)from;
    /* Each byte is as the one before it: it may be most of a page, and the library is fast. */
    if (from == to || (*p == GUARD_FILL && memcmp(p, p + 1, to - from - 1) == 0))
        return to;
    while (*p == GUARD_FILL)
        p++;
    return (uintptr_t)p;
}

static void expect_filled(const struct guards *g, const struct guard_slot *s,
                          const char *function) {
    uintptr_t start, end, limit = s->p + s->size;
    margins_of(g, s, &start, &end);
    uintptr_t behind = first_changed(limit, end), before = first_changed(start, s->p);
    if (behind != end)
        guard_throw(g, s, "overflow of %s block %p of %zu bytes at byte %zu, found by %s",
                    domain_name(s->domain), (void *)s->p, s->size, behind - s->p, function);
    if (before != s->p)
        guard_throw(
            g, s, "underflow of %s block %p of %zu bytes, %zu bytes before its start, found by %s",
            domain_name(s->domain), (void *)s->p, s->size, s->p - before, function);
}

/* Nobody may use the pages of s from now on.  False: the system does not let us. */
static bool withdraw(struct guards *g, struct guard_slot *s) {
    uintptr_t start, end;
    pages_of(g, s, &start, &end);
    if (!os_withdraw(g->os, (void *)start, end - start))
        return false;
    s->apart = false;
    return true;
}

/* The same, and what is in its page stays. */
static bool hide(struct guards *g, struct guard_slot *s) {
    void *page = (void *)ga_align_down(s->p, g->page);
    if (!s->apart && !os_hugepage(g->os, page, g->page, false))
        return false;
    s->apart = os_hide(g->os, page, g->page);
    if (s->apart)
        atomic_fetch_add(&g->kept, g->page);
    return s->apart;
}

/* A system without room for another mapping may still change one: what can't be withdrawn is
 * hidden, if it is a page. */
static void close_slot(struct guards *g, struct guard_area *a, struct guard_slot *s) {
    uintptr_t start, end;
    pages_of(g, s, &start, &end);
    atomic_fetch_sub(&g->mapped, end - start);
    bool closed = a->keeps != 0 ? hide(g, s) || withdraw(g, s)
                                : withdraw(g, s) || (a == &g->small && hide(g, s));
    if (!closed) { /* then it is only zero when used again */
        memset((void *)start, 0, end - start);
        s->apart = false;
    }
}

static void retire(struct guards *g, struct guard_area *a, struct guard_slot *s) {
    if (s->apart && withdraw(g, s))
        atomic_fetch_sub(&g->kept, g->page);
    put_retired(g, a, s);
}

void guard_free(struct guards *g, void *p, enum ga_domain domain, enum ga_call call) {
    struct guard_slot *s = expect_live(g, p, domain, call);
    struct guard_area *a = area_for(g, s->size);
    take_trace(g, domain, &s->freed);
    expect_filled(g, s, domain_function(domain, call));
    s->state = GUARD_FREED;
    atomic_fetch_sub(&a->nlive, 1);
    close_slot(g, a, s);
    if ((s = put_freed(g, a, s)) != NULL)
        retire(g, a, s);
}

size_t guard_size(struct guards *g, void *p, enum ga_domain domain, enum ga_call call) {
    return expect_live(g, p, domain, call)->size;
}

size_t guard_peek(struct guards *g, const void *p, enum ga_domain *domain) {
    struct guard_slot *s = slot_at(g, (uintptr_t)p);
    if (s->state != GUARD_LIVE || s->p != (uintptr_t)p)
        return SIZE_MAX;
    *domain = s->domain;
    return s->size;
}

/* ---- start and end -------------------------------------------------------------------------- */

static size_t struct_bytes(void) { return ga_align_up(sizeof(struct guards), os_page_size()); }

/* Returns where it ends. */
static uintptr_t area_init(struct guard_area *a, uintptr_t base, size_t stride, uint32_t nslots,
                           struct guard_slot *slots) {
    a->base = base;
    a->stride = stride;
    a->nslots = nslots;
    a->slots = slots;
    a->first = a->retired = GUARD_NONE;
    return base + nslots * stride;
}

struct guards *guards_new(struct os *os, const struct guard_tracer *tracer) {
    struct guards *g = os_alloc(os, struct_bytes());
    if (g == NULL)
        return NULL;
    size_t page = os_page_size(), large = ga_align_up(GA_GUARD_BYTES, page) + page;
    size_t nbytes = page + GA_GUARD_SLOTS * 2 * page + GA_GUARD_LARGE_SLOTS * large;
    void *base = os_reserve(os, NULL, nbytes);
    if (base == NULL) {
        os_free(os, g, struct_bytes());
        return NULL;
    }
    g->os = os;
    g->base = (uintptr_t)base;
    g->nbytes = nbytes;
    g->page = page;
    uintptr_t next = area_init(&g->small, g->base + page, 2 * page, GA_GUARD_SLOTS, g->slots);
    area_init(&g->large, next, large, GA_GUARD_LARGE_SLOTS, g->slots + GA_GUARD_SLOTS);
    if (tracer != NULL)
        g->tracer = *tracer;
    mutex_init(&g->lock, GA_RANK_CHECKS, "guards");
    rng_seed(&g->rng, os_entropy());
    return g;
}

void guards_expect(struct guards *g, uint64_t rate) {
    struct guard_area *a = &g->small;
    struct guard_slot *s;
    mutex_lock(&g->lock);
    atomic_store(&g->pace, rate <= GA_GUARD_SEARCH_RATE ? 0 : GA_GUARD_PACE);
    g->next_at = 0;
    mutex_unlock(&g->lock);
    atomic_store(&a->keeps, rate <= GA_GUARD_SEARCH_RATE ? 0 : GA_GUARD_KEPT / g->page);
    do {
        mutex_lock(&g->lock);
        s = pop_surplus(a);
        mutex_unlock(&g->lock);
        if (s != NULL)
            retire(g, a, s);
    } while (s != NULL);
}

void guards_delete(struct guards *g) {
    struct os *os = g->os;
    os_free(os, (void *)g->base, g->nbytes);
    mutex_destroy(&g->lock);
    os_free(os, g, struct_bytes());
}

size_t guards_bytes(const struct guards *g) {
    return struct_bytes() + atomic_load(&g->mapped) + atomic_load(&g->kept);
}

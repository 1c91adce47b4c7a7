/* See guard.h. */
#include "guard.h"

#include <string.h>

#define NONE GA_GUARD_SLOTS
#define ALIGN 16

/* ---- slots ---------------------------------------------------------------------------------- */

static uintptr_t slot_start(const struct guards *g, const struct guard_slot *s) {
    return g->base + g->page + (size_t)(s - g->slots) * g->stride;
}

static struct guard_slot *slot_at(struct guards *g, uintptr_t addr) {
    size_t offset = addr - g->base;
    size_t i = offset < g->page ? 0 : (offset - g->page) / g->stride;
    return &g->slots[i];
}

/* The pages of the block of s: [*start, *end). */
static void pages_of(const struct guards *g, const struct guard_slot *s, uintptr_t *start,
                     uintptr_t *end) {
    *start = ga_align_down(s->p, g->page);
    *end = ga_align_up(s->p + ga_max(s->size, 1), g->page);
}

static struct guard_slot *take_slot(struct guards *g, bool *at_start) {
    mutex_lock(&g->lock);
    struct guard_slot *s = NULL;
    if (g->nused < GA_GUARD_SLOTS) {
        s = &g->slots[g->nused++];
    } else if (g->first != NONE) {
        s = &g->slots[g->first];
        if ((g->first = s->next) == NONE)
            g->last = NONE;
    }
    *at_start = g->at_start = !g->at_start;
    mutex_unlock(&g->lock);
    return s;
}

static void put_slot(struct guards *g, struct guard_slot *s) {
    uint32_t i = (uint32_t)(s - g->slots);
    mutex_lock(&g->lock);
    s->next = NONE;
    *(g->last == NONE ? &g->first : &g->slots[g->last].next) = i;
    g->last = i;
    mutex_unlock(&g->lock);
}

/* ---- which come in -------------------------------------------------------------------------- */

/* 0: nearly empty; GA_GUARD_STEPS: full. */
static unsigned steps_taken(struct guards *g) {
    uint64_t live = atomic_load(&g->nlive) * GA_GUARD_STEPS / GA_GUARD_SLOTS;
    uint64_t mapped = atomic_load(&g->mapped) * GA_GUARD_STEPS / GA_GUARD_MAPPED;
    return (unsigned)ga_min(ga_max(live, mapped), GA_GUARD_STEPS);
}

bool guard_wants(struct guards *g) {
    unsigned step = steps_taken(g);
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
               (size_t)atomic_load(&g->nlive), 1u << step);
    return wanted;
}

/* ---- malloc --------------------------------------------------------------------------------- */

static void take_trace(const struct guards *g, enum ga_domain domain, struct guard_trace *out) {
    out->n = 0;
    if (g->tracer.take != NULL)
        g->tracer.take(g->tracer.ctx, domain, out);
}

static void fill_rest(const struct guard_slot *s, uintptr_t start, uintptr_t end) {
    memset((void *)start, GUARD_FILL, s->p - start);
    memset((void *)(s->p + s->size), GUARD_FILL, end - (s->p + s->size));
}

void *guard_malloc(struct guards *g, size_t size, enum ga_domain domain) {
    if (size > GA_GUARD_BYTES || atomic_load(&g->mapped) > GA_GUARD_MAPPED - GA_GUARD_BYTES)
        return NULL;
    bool at_start;
    struct guard_slot *s = take_slot(g, &at_start);
    if (s == NULL)
        return NULL;
    uintptr_t low = slot_start(g, s), start, end;
    s->size = size;
    s->p = at_start ? low : low + GA_GUARD_BYTES - ga_align_up(ga_max(size, 1), ALIGN);
    s->domain = (uint8_t)domain;
    pages_of(g, s, &start, &end);
    if (!os_map(g->os, (void *)start, end - start)) {
        s->state = GUARD_UNUSED;
        put_slot(g, s);
        return NULL;
    }
    fill_rest(s, start, end);
    take_trace(g, domain, &s->made);
    s->freed.n = 0;
    s->state = GUARD_LIVE;
    atomic_fetch_add(&g->nlive, 1);
    atomic_fetch_add(&g->mapped, end - start);
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
    uint64_t filled, word;
    memset(&filled, GUARD_FILL, sizeof filled);
    for (; to - from >= sizeof word; from += sizeof word) { /* it may be most of a page */
        memcpy(&word, (const void *)from, sizeof word);
        if (word != filled)
            break;
    }
    while (from < to && *(const unsigned char *)from == GUARD_FILL)
        from++;
    return from;
}

static void expect_filled(const struct guards *g, const struct guard_slot *s,
                          const char *function) {
    uintptr_t start, end, limit = s->p + s->size;
    pages_of(g, s, &start, &end);
    uintptr_t behind = first_changed(limit, end), before = first_changed(start, s->p);
    if (behind != end)
        guard_throw(g, s, "overflow of %s block %p of %zu bytes at byte %zu, found by %s",
                    domain_name(s->domain), (void *)s->p, s->size, behind - s->p, function);
    if (before != s->p)
        guard_throw(
            g, s, "underflow of %s block %p of %zu bytes, %zu bytes before its start, found by %s",
            domain_name(s->domain), (void *)s->p, s->size, s->p - before, function);
}

void guard_free(struct guards *g, void *p, enum ga_domain domain, enum ga_call call) {
    struct guard_slot *s = expect_live(g, p, domain, call);
    expect_filled(g, s, domain_function(domain, call));
    uintptr_t start, end;
    pages_of(g, s, &start, &end);
    take_trace(g, domain, &s->freed);
    s->state = GUARD_FREED;
    atomic_fetch_sub(&g->nlive, 1);
    atomic_fetch_sub(&g->mapped, end - start);
    if (!os_withdraw(g->os, (void *)start, end - start)) /* then it is only zero when used again */
        memset((void *)start, 0, end - start);
    put_slot(g, s);
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

struct guards *guards_new(struct os *os, const struct guard_tracer *tracer) {
    struct guards *g = os_alloc(os, struct_bytes());
    if (g == NULL)
        return NULL;
    size_t page = os_page_size(), stride = ga_align_up(GA_GUARD_BYTES, page) + page;
    size_t nbytes = page + GA_GUARD_SLOTS * stride;
    void *base = os_reserve(os, NULL, nbytes);
    if (base == NULL) {
        os_free(os, g, struct_bytes());
        return NULL;
    }
    g->os = os;
    g->base = (uintptr_t)base;
    g->nbytes = nbytes;
    g->page = page;
    g->stride = stride;
    if (tracer != NULL)
        g->tracer = *tracer;
    mutex_init(&g->lock, GA_RANK_CHECKS, "guards");
    g->first = g->last = NONE;
    rng_seed(&g->rng, os_entropy());
    return g;
}

void guards_delete(struct guards *g) {
    struct os *os = g->os;
    os_free(os, (void *)g->base, g->nbytes);
    mutex_destroy(&g->lock);
    os_free(os, g, struct_bytes());
}

size_t guards_bytes(const struct guards *g) { return struct_bytes() + atomic_load(&g->mapped); }

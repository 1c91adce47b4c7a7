/* Wrong pointers: they are reported as what they are, and change nothing.  In a debugging run, and
 * between guard pages, they end the process: there they are only asked about.
 *
 * A driver that is alone knows all blocks there are, and may give back any address that is none of
 * them.  Among threads only pointers into blocks of its own are known to be wrong at all times. */
#ifndef GA_TEST_FUZZ_PROBE_H
#define GA_TEST_FUZZ_PROBE_H

#include "fuzz_ops.h"

/* Any kind of misuse. */
#define ANY_MISUSE MISUSE_NONE

static inline void counts_of(struct mheap *h, uint64_t counts[4]) {
    struct memstats m;
    inspect_memstats(h, &m);
    counts[0] = m.mallocs;
    counts[1] = m.frees;
    counts[2] = m.heap_alloc;
    counts[3] = m.heap_objects;
}

static inline void give_wrong(struct driver *d, void *p, enum misuse want) {
    struct mheap *h = d->f->h;
    struct mcache *c = lane_of(d)->c;
    enum misuse why = MISUSE_NONE;
    switch (input_u8(&d->in) % 4) {
    case 0:
        EXPECT(ga_usable_size(h, c, p, &why) == 0);
        break;
    case 1:
        EXPECT(ga_realloc(h, c, p, next_size(d), c->kind == MCACHE_THREAD, &why) == NULL);
        break;
    default:
        why = ga_free(h, c, p);
    }
    if (why == MISUSE_NONE || (want != ANY_MISUSE && why != want))
        fprintf(stderr, "%p is misuse %d, not %d\n", p, why, want);
    EXPECT(why != MISUSE_NONE && (want == ANY_MISUSE || why == want));
    char line[256];
    EXPECT(d->f->threaded || misuse_message(h, why, "free", p, line, sizeof line) > 0);
    EXPECT(misuse_of(h, c, p) == why || d->f->threaded);
}

static inline void probe(struct driver *d, void *p, enum misuse want) {
    uint64_t before[4], after[4];
    const struct lane *l = lane_of(d);
    /* A slow path may let go of the tiny slot that a cache holds, whatever it was called for. */
    bool compare = !d->f->threaded && l->kind != MCACHE_ORPHAN && l->c->tiny.block == 0 &&
                   input_u8(&d->in) % 16 == 0;
    if (compare)
        counts_of(d->f->h, before);
    give_wrong(d, p, want);
    if (compare) {
        counts_of(d->f->h, after);
        EXPECT(memcmp(before, after, sizeof before) == 0);
    }
}

static inline void ask_guarded(struct driver *d, const struct block *b) {
    struct guards *g = guards_of(d->f);
    enum ga_domain whose;
    EXPECT(guard_peek(g, b->p, &whose) == b->size && whose == b->domain);
    unsigned char *p = b->p + 1 + input_u16(&d->in) % ga_max(b->size, 15); /* behind: no access */
    EXPECT(guard_peek(g, p, &whose) == SIZE_MAX || d->f->threaded);
}

static inline void ask_debugger(struct driver *d, const struct block *b) {
    const struct debugger *g = d->f->debug;
    unsigned char *p = b->p + 1 + input_u32(&d->in) % (b->usable - 1);
    EXPECT(debug_peek(g, b->p, b->domain) == b->size);
    EXPECT(debug_peek(g, b->p, (b->domain + 1) % GA_NUM_DOMAINS) == 0);
    EXPECT(debug_peek(g, p, b->domain) == 0);
    const struct shadow *s = &d->shadow;
    void *freed = s->freed[input_u8(&d->in) % FREED_LEN];
    if (freed != NULL && !d->f->threaded && shadow_find(&d->shadow, freed) == NULL)
        EXPECT(debug_peek(g, freed, b->domain) == 0);
}

/* Inside of a live block. */
static inline void probe_inside(struct driver *d) {
    struct shadow *s = &d->shadow;
    struct lane *l = lane_of(d);
    if (s->nlive == 0)
        return;
    struct block *b = &s->live[input_below(&d->in, s->nlive)];
    if (b->guarded)
        ask_guarded(d, b);
    else if (d->f->debug != NULL)
        ask_debugger(d, b);
    if (b->guarded || d->f->debug != NULL || b->usable < 2 || (b->tiny && d->f->threaded))
        return;
    unsigned char *p = b->p + 1 + input_u32(&d->in) % (b->usable - 1);
    bool domain = !b->noscan && !b->large && l->kind == MCACHE_THREAD;
    if (d->f->threaded && !domain && !lane_may_free(l, b))
        return; /* the words of its bitmap are under another GIL */
    if (shadow_find(s, p) == NULL) /* parts stand side by side */
        probe(d, p, domain ? MISUSE_DOMAIN : b->tiny ? ANY_MISUSE : MISUSE_INTERIOR);
    if (domain)
        probe(d, b->p, MISUSE_DOMAIN);
    EXPECT(block_holds(b, b->p, b->size));
}

static inline void probe_foreign(struct driver *d) {
    void *const foreign[] = {d, &d, (void *)8, d->f->h, (void *)UINTPTR_MAX,
                             (void *)((uintptr_t)1 << 47),
                             (void *)((uintptr_t)input_u32(&d->in) << 32)};
    void *p = foreign[input_below(&d->in, sizeof foreign / sizeof foreign[0])];
    if (p != NULL && !arena_is_ours(&d->f->h->map, (uintptr_t)p))
        probe(d, p, MISUSE_FOREIGN);
}

/* What has been freed and was not made again. */
static inline void probe_freed(struct driver *d) {
    struct shadow *s = &d->shadow;
    if (s->nfreed == 0)
        return;
    void *p = s->freed[input_below(&d->in, (uint32_t)ga_min(s->nfreed, FREED_LEN))];
    if (shadow_find(s, p) == NULL)
        probe(d, p, ANY_MISUSE);
    if (s->just_freed != NULL && lane_of(d)->kind != MCACHE_THREAD)
        probe(d, s->just_freed, MISUSE_DOUBLE_FREE);
}

/* Anywhere in an arena. */
static inline void probe_wild(struct driver *d) {
    const struct arena_map *m = &d->f->h->map;
    if (m->nall == 0)
        return;
    uintptr_t start = m->all[input_below(&d->in, (uint32_t)m->nall)]->start;
    size_t offset = input_u32(&d->in) >> input_u8(&d->in) % 16 & GA_ARENA_MASK;
    void *p = (void *)(start + (input_u8(&d->in) & 1 ? offset : offset & ~(size_t)15));
    if (p != d->f->ballast && shadow_find(&d->shadow, p) == NULL)
        probe(d, p, ANY_MISUSE);
}

static inline void op_probe(struct driver *d) {
    unsigned dice = d->f->debug != NULL ? 0 : input_u8(&d->in);
    switch (dice % (d->f->threaded ? 4 : 8)) {
    case 0: case 1:
        probe_inside(d);
        break;
    case 2:
        probe_foreign(d);
        break;
    case 3:
        if (d->nstacks != 0)
            probe(d, d->stack[0].p, MISUSE_UNALLOCATED);
        break;
    case 4: case 5: case 6:
        probe_freed(d);
        break;
    default:
        probe_wild(d);
    }
}

#endif

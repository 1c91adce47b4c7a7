/* Operations on blocks and stacks, each compared with the shadow. */
#ifndef GA_TEST_FUZZ_OPS_H
#define GA_TEST_FUZZ_OPS_H

#include "fuzz_door.h"

/* ---- sizes ---------------------------------------------------------------------------------- */

static inline size_t size_in_class(struct input *in, unsigned class) {
    unsigned gap = class_to_size[class] - class_to_size[class - 1];
    return class_to_size[class] - (size_t)input_below(in, gap);
}

static inline size_t any_small(struct input *in) {
    return size_in_class(in, 1 + input_below(in, GA_NUM_SIZE_CLASSES - 1));
}

/* All powers of two in [2^from, 2^to) alike. */
static inline size_t log_size(struct input *in, unsigned from, unsigned to) {
    unsigned bits = from + input_below(in, to - from);
    return ((size_t)1 << bits) + input_below(in, (uint32_t)1 << bits);
}

static inline size_t habit_size(struct driver *d) {
    struct input *in = &d->in;
    switch (d->habit.mode) {
    case 0: case 1: case 2:
        return size_in_class(in, 1 + d->habit.class % (GA_NUM_SIZE_CLASSES - 1));
    case 3: case 4:
        return any_small(in);
    case 5:
        return input_below(in, 24);
    case 6:
        return log_size(in, 0, 15);
    case 7:
        return log_size(in, 15, 20);
    case 8:
        return input_below(in, 32) == 0 ? log_size(in, 20, 25) : log_size(in, 13, 18);
    default:
        return input_below(in, 64) == 0 ? log_size(in, 15, 22) : any_small(in);
    }
}

/* Within what a driver may have; huge ones only where there is hardly anything else. */
static inline size_t next_size(struct driver *d) {
    size_t size = habit_size(d);
    return d->shadow.bytes + size > d->f->budget ? size % 64 : size;
}

static inline void new_habit(struct driver *d) {
    d->habit.mode = (uint8_t)input_below(&d->in, 12);
    d->habit.class = (uint8_t)input_u8(&d->in);
    d->habit.growth = (uint8_t)input_u8(&d->in);
}

static inline size_t absurd_size(struct input *in) {
    static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 4096, (size_t)PTRDIFF_MAX + 1, PTRDIFF_MAX,
                                   (size_t)PTRDIFF_MAX - GA_PAGE_SIZE, (size_t)1 << 47};
    return sizes[input_below(in, sizeof sizes / sizeof sizes[0])];
}

/* ---- allocating ----------------------------------------------------------------------------- */

/* A part of a tiny block: what is asked for must be small and noscan, but a sampled request gets a
 * block of its own. */
static inline bool is_tiny(struct driver *d, const struct block *b, size_t align) {
    uintptr_t addr = (uintptr_t)b->p;
    bool part = arena_of(&d->f->h->map, addr)->pageclass[arena_page(addr)] == GA_PAGE_TINY;
    bool small = b->noscan && d->f->debug == NULL && b->size < GA_TINY_SIZE && align <= 8;
    EXPECT(part ? small : !small || atomic_load(&d->f->sampled));
    return part;
}

/* What the heap is asked for. */
static inline size_t asked(const struct driver *d, size_t size) {
    return d->f->debug != NULL ? size + SEALED_BYTES : ga_max(size, 1);
}

/* Of the profile, for a block that is made now. */
static inline uint32_t rate_now(const struct driver *d) {
    bool known = !d->f->threaded && d->f->h->caches->guard_rate == 0;
    return known ? atomic_load(&d->f->rate) : RATE_ANY;
}

/* Has what b becomes for that size pages of its own, because b has? */
static inline bool keeps_pages(const struct driver *d, const struct block *b, size_t size) {
    return b->large && d->f->debug == NULL && asked(d, size) >= GA_CUT_MIN;
}

/* Of a block of the heap: what its address and its slot must be. */
static inline void measure_block(struct driver *d, struct block *b, size_t align) {
    size_t whole = asked(d, b->size);
    b->large |= whole > GA_MAX_SMALL_SIZE || align > GA_PAGE_SIZE;
    b->tiny = is_tiny(d, b, align);
    EXPECT(b->usable >= whole && (uintptr_t)b->p % align == 0);
    if (b->large)
        EXPECT(b->usable % GA_PAGE_SIZE == 0 && (uintptr_t)b->p % GA_PAGE_SIZE == 0);
    else if (b->tiny)
        b->usable = whole; /* what the next part gets is not ours */
    else if (align == 1 && (!b->noscan || whole >= GA_TINY_SIZE))
        EXPECT(b->usable == class_to_size[size_to_class(whole)] && (uintptr_t)b->p % 8 == 0);
}

/* Enters a block that has just been made; large: it keeps pages that it had. */
static inline void enter_block(struct driver *d, struct block *b, size_t align) {
    struct shadow *s = &d->shadow;
    b->usable = door_usable(d, b);
    b->large &= !b->guarded;
    b->tiny = false;
    b->set = lane_of(d)->set;
    b->rate = rate_now(d);
    if (b->guarded)
        EXPECT(guards_own(guards_of(d->f), b->p) && (uintptr_t)b->p % 16 == 0);
    else
        measure_block(d, b, align);
    EXPECT(shadow_find(s, b->p) == NULL);
    s->just_freed = NULL;
    block_fill(b, s->tags++);
    shadow_add(s, b);
}

static inline void op_absurd(struct driver *d) {
    struct mheap *h = d->f->h;
    struct mcache *c = lane_of(d)->c;
    size_t size = absurd_size(&d->in), align = (size_t)1 << input_below(&d->in, 63);
    bool noscan = input_u8(&d->in) & 1;
    EXPECT(ga_malloc(h, c, size, noscan) == NULL);
    EXPECT(door_malloc(d, BY_MALLOC, 0, size, noscan ? DOMAIN_RAW : DOMAIN_MEM) == NULL);
    EXPECT(ga_calloc(h, c, size / 2, 3, noscan) == NULL);
    EXPECT(ga_memalign(h, c, align, size, noscan) == NULL);
    EXPECT(ga_memalign(h, c, align | 3, 8, noscan) == NULL);
    if (align >= (size_t)1 << 47)
        EXPECT(ga_memalign(h, c, align, 1, noscan) == NULL);
}

/* The heap has made a block: so does its count of small ones. */
static inline void count_made(struct driver *d, size_t size, size_t align) {
    d->shadow.nsmall += asked(d, size) <= GA_MAX_SMALL_SIZE && align <= GA_PAGE_SIZE;
}

/* Fresh memory of a debugging run is filled, at its ends at least. */
static inline bool is_fresh(const unsigned char *p, size_t n) {
    for (size_t i = 0; i < ga_min(n, EDGE); i++)
        if (p[i] != DEBUG_FRESH || p[n - 1 - i] != DEBUG_FRESH)
            return false;
    return true;
}

static inline void op_alloc(struct driver *d) {
    struct input *in = &d->in;
    struct lane *l = lane_of(d);
    struct block b = {.size = next_size(d)};
    unsigned dice = input_u8(in);
    enum how how = dice % 8 == 0 ? BY_CALLOC : dice % 8 == 1 ? BY_MEMALIGN : BY_MALLOC;
    size_t align = 1, n = 1, size = b.size;
    b.noscan = l->kind == MCACHE_THREAD || (l->kind != MCACHE_INTERP && dice & 16);
    b.domain = b.noscan    ? (dice & 32 ? DOMAIN_API : DOMAIN_RAW)
               : dice & 32 ? DOMAIN_OBJ
                           : DOMAIN_MEM;
    if (how == BY_CALLOC) {
        n = 1 + size / 3 % 7;
        size /= n;
        b.size = n * size;
    } else if (how == BY_MEMALIGN) {
        n = align = (size_t)1 << input_below(in, dice & 64 ? 22 : 14);
    }
    if ((b.p = door_malloc(d, how, n, size, b.domain)) == NULL) {
        mcache_take_guard(l->c);
        EXPECT(may_fail(d));
        return;
    }
    EXPECT(how != BY_CALLOC || all_zero(b.p, b.size, dice >= 240));
    EXPECT(d->f->debug == NULL || how == BY_CALLOC || is_fresh(b.p, b.size));
    count_made(d, b.size, align);
    if (align <= 16)
        door_guard(d, &b, 0);
    enter_block(d, &b, align);
}

/* ---- freeing, resizing ---------------------------------------------------------------------- */

/* A live block that the lane may free; NULL: chance found none. */
static inline struct block *pick(struct driver *d) {
    struct shadow *s = &d->shadow;
    if (s->nlive == 0)
        return NULL;
    for (int tries = 0; tries < 8; tries++) {
        struct block *b = &s->live[input_below(&d->in, s->nlive)];
        if (lane_may_free(lane_of(d), b))
            return b;
    }
    return NULL;
}

/* b has been freed, and is a copy. */
static inline void note_freed(struct driver *d, const struct block *b) {
    enum ga_domain whose;
    if (!b->guarded)
        shadow_note_freed(&d->shadow, b->p);
    else if (!d->f->threaded)
        EXPECT(guard_peek(guards_of(d->f), b->p, &whose) == SIZE_MAX);
}

static inline void free_block(struct driver *d, struct block *live) {
    struct block b = *live;
    EXPECT(block_holds(&b, b.p, b.size));
    shadow_remove(&d->shadow, live);
    door_free(d, &b, CALL_FREE);
    note_freed(d, &b);
}

static inline void op_free(struct driver *d) {
    struct block *b = pick(d);
    if (b != NULL)
        free_block(d, b);
}

/* As programs do: append, halve, a page more or less, or anything. */
static inline size_t realloc_size(struct driver *d, size_t size) {
    size_t next;
    switch (input_u8(&d->in) % 8) {
    case 0: case 1:
        next = size + size / 8 + 6;
        break;
    case 2:
        next = size / 2;
        break;
    case 3:
        next = size - size / 4;
        break;
    case 4:
        next = size + GA_PAGE_SIZE;
        break;
    case 5:
        next = size > GA_PAGE_SIZE ? size - GA_PAGE_SIZE : 0;
        break;
    default:
        next = habit_size(d);
    }
    return d->shadow.bytes + next > d->f->budget || next > 48 * GA_MIB ? next % 4096 : next;
}

/* b stays where it is, with room for size. */
static inline void resized_in_place(struct driver *d, struct block *b, size_t size,
                                    enum ga_domain domain) {
    struct block next = *b;
    EXPECT(!b->tiny); /* a part always moves */
    shadow_remove(&d->shadow, b);
    next.size = size;
    size_t usable = door_usable(d, &next);
    EXPECT(usable >= size && (next.large || usable == next.usable));
    if (usable != next.usable) { /* it is another block to the profile */
        next.rate = rate_now(d);
        next.domain = (uint8_t)domain;
    }
    next.usable = usable;
    d->shadow.just_freed = NULL;
    block_fill(&next, d->shadow.tags++);
    shadow_add(&d->shadow, &next);
}

/* What was b, which is freed, is at next. */
static inline void resized_elsewhere(struct driver *d, struct block *b, struct block *next) {
    struct block old = *b;
    EXPECT(block_holds(&old, next->p, ga_min(old.size, next->size)));
    shadow_remove(&d->shadow, b);
    note_freed(d, &old);
    enter_block(d, next, 1);
}

/* To the functions of which domain a program gives b on a lane; noscan: a block that moves is. */
static inline enum ga_domain realloc_domain(const struct block *b, bool noscan) {
    return noscan == is_raw(b->domain) ? (enum ga_domain)b->domain
           : noscan                    ? DOMAIN_RAW
                                       : DOMAIN_MEM;
}

static inline void op_realloc(struct driver *d) {
    struct lane *l = lane_of(d);
    struct block *b = pick(d);
    unsigned dice = input_u8(&d->in);
    if (b == NULL || (b->tiny && d->f->threaded))
        return; /* what is copied of a part reaches into its neighbour, which may be another's */
    if (d->f->debug != NULL && !lane_serves(l, b->noscan))
        return; /* a mix-up of domains, which ends a debugging run */
    bool noscan = l->kind == MCACHE_THREAD || (l->kind != MCACHE_INTERP && dice & 1);
    if (d->f->debug != NULL)
        noscan = b->noscan;
    bool absurd = dice >= 252;
    struct block next = {.size = absurd ? absurd_size(&d->in) : realloc_size(d, b->size)};
    next.domain = (uint8_t)realloc_domain(b, noscan);
    next.noscan = noscan;
    EXPECT(block_holds(b, b->p, b->size));
    next.p = door_realloc(d, b, next.size, next.domain);
    EXPECT(!(absurd && next.p != NULL));
    if (next.p == NULL) {
        mcache_take_guard(l->c);
        EXPECT((absurd || may_fail(d)) && block_holds(b, b->p, b->size));
        return;
    }
    bool moved = next.p != b->p;
    EXPECT(moved || d->f->debug == NULL);
    next.large = keeps_pages(d, b, next.size);
    if (moved && !next.large)
        count_made(d, next.size, 1);
    EXPECT(block_holds(b, next.p, ga_min(b->size, next.size)));
    door_guard(d, &next, next.size);
    if (moved || next.guarded)
        resized_elsewhere(d, b, &next);
    else
        resized_in_place(d, b, next.size, next.domain);
}

/* ---- stacks --------------------------------------------------------------------------------- */

static inline void op_stack(struct driver *d) {
    struct mheap *h = d->f->h;
    struct lane *l = lane_of(d);
    if (l->c->shared)
        mcache_enter(l->c);
    mcache_obey(l->c); /* as all callers do */
    if (d->nstacks == STACKS_MAX || (d->nstacks > 0 && input_u8(&d->in) & 1)) {
        struct stack *s = &d->stack[input_below(&d->in, d->nstacks)];
        EXPECT(s->p[0] == (unsigned char)s->size && s->p[s->size - 1] == 0x5a);
        EXPECT(stack_free(h, &l->c->stackcache, s->p, s->size));
        *s = d->stack[--d->nstacks];
    } else {
        size_t size = log_size(&d->in, 6, input_u8(&d->in) % 8 ? 14 : 18);
        unsigned char *p = stack_alloc(h, &l->c->stackcache, size);
        EXPECT(p != NULL || may_fail(d));
        if (p != NULL) {
            d->shadow.just_freed = NULL;
            memset(p, 0x5a, ga_min(size, 4096));
            p[0] = (unsigned char)size;
            p[size - 1] = 0x5a;
            d->stack[d->nstacks++] = (struct stack){p, size};
        }
    }
    if (l->c->shared)
        mcache_leave(l->c);
}

/* ---- exchange ------------------------------------------------------------------------------- */

/* Blocks that any thread may free go from one driver to another. */
static inline void op_exchange(struct driver *d) {
    struct field *f = d->f;
    struct shadow *s = &d->shadow;
    struct block *b = s->nlive != 0 ? &s->live[input_below(&d->in, s->nlive)] : NULL;
    pthread_mutex_lock(&f->exchange_lock);
    if (b != NULL && is_anyones(b) && f->nexchange < EXCHANGE_LEN) {
        f->exchange[f->nexchange++] = *b;
        shadow_remove(s, b);
    }
    if (f->nexchange != 0 && s->nlive < LIVE_MAX && input_u8(&d->in) & 1) {
        struct block *out = &f->exchange[input_below(&d->in, f->nexchange)];
        shadow_add(s, out);
        *out = f->exchange[--f->nexchange];
    }
    pthread_mutex_unlock(&f->exchange_lock);
}

#endif

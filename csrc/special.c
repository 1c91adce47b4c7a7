/* See special.h.
 *
 * Invariants: every slot between a special's place by its hash and the slot it is in is used; at
 * most three quarters of the slots are. */
#include "special.h"

#include "fatal.h"

#define ANY_KIND UINT32_MAX

static size_t min_slots(void) { return os_page_size() / sizeof(struct special); }

void specials_init(struct specials *t, struct budget *budget) {
    mutex_init(&t->lock, GA_RANK_SPECIAL, "specials.lock");
    t->budget = budget;
    t->slots = NULL;
    t->nslots = 0;
    atomic_init(&t->n, 0);
    t->filter = NULL;
}

void specials_destroy(struct specials *t) {
    if (t->slots != NULL)
        budget_return_pages(t->budget, t->slots, t->nslots * sizeof t->slots[0]);
    t->slots = NULL;
    t->nslots = 0;
    mutex_destroy(&t->lock);
}

/* ---- the table; with the lock --------------------------------------------------------------- */

/* Blocks are multiples of 8. */
static size_t home_of(const struct specials *t, uintptr_t addr) {
    uint64_t hash = (uint64_t)(addr >> 3) * UINT64_C(0x9e3779b97f4a7c15);
    return (size_t)(hash >> 32) & (t->nslots - 1);
}

/* The slot of a special, or the free one where it would go. */
static size_t find_slot(const struct specials *t, uintptr_t addr, uint32_t kind) {
    size_t i = home_of(t, addr);
    while (t->slots[i].addr != 0 &&
           (t->slots[i].addr != addr || (kind != ANY_KIND && t->slots[i].kind != kind)))
        i = (i + 1) & (t->nslots - 1);
    return i;
}

static size_t count(const struct specials *t) {
    return atomic_load_explicit(&t->n, memory_order_relaxed);
}

static void set_count(struct specials *t, size_t n) {
    atomic_store_explicit(&t->n, n, memory_order_relaxed);
}

static bool resize(struct specials *t, size_t nslots) {
    struct special *before = t->slots;
    size_t nbefore = t->nslots;
    struct special *slots = budget_pages(t->budget, nslots * sizeof slots[0]);
    if (slots == NULL)
        return false;
    t->slots = slots;
    t->nslots = nslots;
    for (size_t i = 0; i < nbefore; i++)
        if (before[i].addr != 0)
            slots[find_slot(t, before[i].addr, before[i].kind)] = before[i];
    if (before != NULL)
        budget_return_pages(t->budget, before, nbefore * sizeof before[0]);
    return true;
}

static bool make_room(struct specials *t) {
    if (t->nslots != 0 && count(t) + 1 <= t->nslots / 4 * 3)
        return true;
    return resize(t, ga_max(2 * t->nslots, min_slots()));
}

static void count_in_filter(struct specials *t, const struct special *s, int by) {
    if (s->kind == SPECIAL_WRAPPED)
        atomic_fetch_add_explicit(special_filter_at(t->filter, s->addr), (uint16_t)by,
                                  memory_order_relaxed);
}

/* Empties slot i, and moves what would not be found behind a gap into it. */
static void remove_slot(struct specials *t, size_t i) {
    size_t mask = t->nslots - 1;
    count_in_filter(t, &t->slots[i], -1);
    for (size_t j = (i + 1) & mask; t->slots[j].addr != 0; j = (j + 1) & mask) {
        size_t home = home_of(t, t->slots[j].addr);
        if (((j - home) & mask) >= ((j - i) & mask)) { /* home is at i or before */
            t->slots[i] = t->slots[j];
            i = j;
        }
    }
    t->slots[i].addr = 0;
    set_count(t, count(t) - 1);
}

static void shrink(struct specials *t) {
    if (t->nslots > min_slots() && count(t) < t->nslots / 16)
        /* without memory for a smaller one it stays */
        resize(t, ga_max(t->nslots / 4, min_slots()));
}

/* ---- entry points --------------------------------------------------------------------------- */

void specials_begin_wrapped(struct specials *t, struct special_filter *f) {
    mutex_lock(&t->lock);
    t->filter = f;
    mutex_unlock(&t->lock);
}

bool specials_add(struct specials *t, uintptr_t addr, enum special_kind kind, uint32_t record) {
    GA_CHECK(addr != 0);
    mutex_lock(&t->lock);
    bool ok = (kind != SPECIAL_WRAPPED || t->filter != NULL) && make_room(t);
    if (ok) {
        struct special *s = &t->slots[find_slot(t, addr, kind)];
        bool new = s->addr == 0;
        *s = (struct special){addr, kind, record};
        if (new) {
            set_count(t, count(t) + 1);
            count_in_filter(t, s, 1);
        }
    }
    mutex_unlock(&t->lock);
    return ok;
}

/* One load for the many heaps that have none.  No special that the caller may ask for can be
 * missed: he has come to know of the block after it was added. */
static bool is_empty(const struct specials *t) { return count(t) == 0; }

/* The slot, or NULL. */
static struct special *look(const struct specials *t, uintptr_t addr, uint32_t kind) {
    if (t->nslots == 0 || addr == 0)
        return NULL;
    struct special *s = &t->slots[find_slot(t, addr, kind)];
    return s->addr != 0 ? s : NULL;
}

bool specials_take(struct specials *t, uintptr_t addr, enum special_kind kind, uint32_t *record) {
    if (is_empty(t))
        return false;
    mutex_lock(&t->lock);
    struct special *s = look(t, addr, kind);
    if (s != NULL) {
        *record = s->record;
        remove_slot(t, (size_t)(s - t->slots));
        shrink(t);
    }
    mutex_unlock(&t->lock);
    return s != NULL;
}

bool specials_has(struct specials *t, uintptr_t addr) {
    if (is_empty(t))
        return false;
    mutex_lock(&t->lock);
    bool found = look(t, addr, ANY_KIND) != NULL;
    mutex_unlock(&t->lock);
    return found;
}

/* What a removal moves to slot i has not been seen; what it moves to the end of the table has. */
void specials_take_all(struct specials *t, enum special_kind kind,
                       void (*visit)(const struct special *s, void *ctx), void *ctx) {
    mutex_lock(&t->lock);
    for (size_t i = 0; i < t->nslots; i++)
        while (t->slots[i].addr != 0 && t->slots[i].kind == (uint32_t)kind) {
            visit(&t->slots[i], ctx);
            remove_slot(t, i);
        }
    if (t->nslots != 0)
        shrink(t);
    if (kind == SPECIAL_WRAPPED)
        t->filter = NULL;
    mutex_unlock(&t->lock);
}

void specials_each(struct specials *t, void (*visit)(const struct special *s, void *ctx),
                   void *ctx) {
    if (is_empty(t))
        return;
    mutex_lock(&t->lock);
    for (size_t i = 0; i < t->nslots; i++)
        if (t->slots[i].addr != 0)
            visit(&t->slots[i], ctx);
    mutex_unlock(&t->lock);
}

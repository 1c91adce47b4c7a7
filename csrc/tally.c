/* See tally.h. */
#include "tally.h"

struct tally *tally_take(struct tallies *ts) {
    for (struct tally *t = atomic_load(&ts->first); t != NULL; t = t->next)
        if (!atomic_load_explicit(&t->taken, memory_order_relaxed) &&
            !atomic_exchange(&t->taken, true))
            return t;
    struct tally *t = os_alloc(&ts->os, ga_align_up(sizeof *t, os_page_size()));
    if (t == NULL)
        return NULL;
    atomic_store(&t->taken, true);
    t->next = atomic_load(&ts->first);
    while (!atomic_compare_exchange_weak(&ts->first, &t->next, t))
        ;
    return t;
}

/* Release, as all stores to taken: who takes it over goes on from the counts that it was left
 * with. */
void tally_leave(struct tally *t) { atomic_store(&t->taken, false); }

void tallies_after_fork(struct tallies *ts, struct tally *mine) {
    for (struct tally *t = atomic_load(&ts->first); t != NULL; t = t->next) {
        sampler_forget(&t->sampler);
        atomic_store(&t->taken, t == mine);
    }
}

static void add(const struct tally *t, struct tally_sums *out) {
    for (unsigned spc = 0; spc < GA_NUM_SPAN_CLASSES; spc++) {
        out->mallocs[spc] += atomic_load_explicit(&t->mallocs[spc], memory_order_relaxed);
        out->bytes[spc] += atomic_load_explicit(&t->bytes[spc], memory_order_relaxed);
    }
    out->frees += atomic_load_explicit(&t->frees, memory_order_relaxed);
}

void tallies_sum(struct tallies *ts, struct tally_sums *out) {
    *out = (struct tally_sums){0};
    add(&ts->shared, out);
    for (const struct tally *t = atomic_load(&ts->first); t != NULL; t = t->next)
        add(t, out);
}

void tallies_shared_malloc(struct tallies *ts, size_t nbytes, bool noscan) {
    spanclass_t spc = tally_class(nbytes, noscan);
    atomic_fetch_add_explicit(&ts->shared.mallocs[spc], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&ts->shared.bytes[spc], nbytes, memory_order_relaxed);
}

void tallies_shared_free(struct tallies *ts) {
    atomic_fetch_add_explicit(&ts->shared.frees, 1, memory_order_relaxed);
}

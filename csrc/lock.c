/* lock: mutexes, and in debug builds the proof that they are taken in rising rank.
 *
 * Each thread keeps the mutexes that it holds on a small stack.  Invariant: ranks on it rise
 * strictly from bottom to top, so there are never more than there are ranks.  The check comes
 * before the wait: a wrong order dies with a message even on the runs where it would not have
 * deadlocked.  The stack is the thread's own and needs no lock. */
#include "lock.h"

#include "fatal.h"

void mutex_init(struct mutex *l, enum ga_lock_rank rank, const char *name) {
    l->rank = rank;
    l->name = name;
    GA_CHECK(pthread_mutex_init(&l->m, NULL) == 0);
}

void mutex_destroy(struct mutex *l) { GA_CHECK(pthread_mutex_destroy(&l->m) == 0); }

#ifdef GA_DEBUG_LOCKS

static __thread struct {
    struct mutex *stack[GA_RANK_LEAF + 1];
    unsigned depth;
} held;

void mutex_lock(struct mutex *l) {
    if (held.depth > 0) {
        const struct mutex *top = held.stack[held.depth - 1];
        if (l->rank <= top->rank)
            ga_throw("lock order: %s (rank %u) taken under %s (rank %u)", l->name,
                     (unsigned)l->rank, top->name, (unsigned)top->rank);
    }
    GA_CHECK(pthread_mutex_lock(&l->m) == 0);
    held.stack[held.depth++] = l;
}

void mutex_unlock(struct mutex *l) {
    unsigned i = held.depth;
    while (i > 0 && held.stack[i - 1] != l)
        i--;
    if (i == 0)
        ga_throw("unlock of %s, which this thread does not hold", l->name);
    held.depth--;
    for (i--; i < held.depth; i++) /* unlocking in any order is fine */
        held.stack[i] = held.stack[i + 1];
    GA_CHECK(pthread_mutex_unlock(&l->m) == 0);
}

#endif

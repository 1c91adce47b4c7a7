/* A mutex with a rank.  Locks are taken in rising rank only; a build with GA_DEBUG_LOCKS checks it
 * on every lock and throws with both names.  csrc/README.md says why the order is this one. */
#ifndef GA_LOCK_H
#define GA_LOCK_H

#include <pthread.h>

#include "base.h"

enum ga_lock_rank {
    GA_RANK_PROCS,   /* procs.lock: the list of interpreters' caches */
    GA_RANK_CACHES,  /* mcaches.lock: the list of caches; held while the world is stopped */
    GA_RANK_ORPHAN,  /* mcaches.orphan_lock: the cache of callers that own none */
    GA_RANK_STACK,   /* stackpools.lock */
    GA_RANK_CENTRAL, /* mcentral.lock, one per span class */
    GA_RANK_HEAP,    /* mheap.lock */
    GA_RANK_PROFILE, /* profile.lock */
    GA_RANK_SPECIAL, /* specials.lock */
    GA_RANK_CHECKS,  /* debugger.lock: rings of blocks that wait; guards.lock */
    GA_RANK_LEAF,    /* persistentalloc.lock, background.lock: nothing is locked under them */
};

struct mutex {
    pthread_mutex_t m;
    enum ga_lock_rank rank;
    const char *name;
};

void mutex_init(struct mutex *l, enum ga_lock_rank rank, const char *name);
void mutex_destroy(struct mutex *l);

#ifdef GA_DEBUG_LOCKS
void mutex_lock(struct mutex *l);
void mutex_unlock(struct mutex *l);
#else
GA_INLINE void mutex_lock(struct mutex *l) { pthread_mutex_lock(&l->m); }
GA_INLINE void mutex_unlock(struct mutex *l) { pthread_mutex_unlock(&l->m); }
#endif

#endif

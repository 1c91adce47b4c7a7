/* pyhook_guard: among the blocks of Python, some that stand between guard pages (guard.h).
 *
 * A cache says that one is due (mcache_sample.c).  The block that it has just handed out is then
 * replaced.  Being in no arena, it comes to the slow half of free and realloc, and from there to
 * here.
 *
 * Lock: procs.lock while the pool is made. */
#include "pyhook_table.h"

#include <string.h>

#include "locations.h"

static struct guards *the_guards(void) { return atomic_load(&pyhook_heap()->guards); }

/* ---- stacks --------------------------------------------------------------------------------- */

static void take_stack(void *ctx, enum ga_domain domain, struct guard_trace *out) {
    struct profile *p = ((struct mheap *)ctx)->profile;
    const struct profile_walker *w = &p->walker;
    bool attached = domain == DOMAIN_MEM || domain == DOMAIN_OBJ;
    mutex_lock(&p->lock);
    out->n = (uint32_t)(attached ? w->walk_attached : w->walk)(w->ctx, &p->locations, out->locs,
                                                               GA_GUARD_FRAMES, &out->thread);
    mutex_unlock(&p->lock);
}

#define SHOWN_MAX 256 /* bytes of a name or path that are shown */

static const char *shown(const struct locations *l, uint64_t text, char buf[SHOWN_MAX]) {
    const struct text *t = locations_text(l, text);
    size_t n = ga_min(t->nbytes, SHOWN_MAX - 1);
    memcpy(buf, t->bytes, n);
    buf[n] = '\0';
    return buf;
}

/* In a signal handler, so without the lock: what is interned stays. */
static void write_stack(void *ctx, const struct guard_trace *trace, const char *title) {
    const struct locations *l = &((struct mheap *)ctx)->profile->locations;
    const struct thread *thread = locations_thread(l, trace->thread);
    char name[SHOWN_MAX], file[SHOWN_MAX];
    ga_say("%s by thread %zu (%s), most recent call first:", title, (size_t)thread->native_id,
           shown(l, thread->name, name));
    for (uint32_t i = 0; i < trace->n; i++) {
        const struct location *at = locations_get(l, trace->locs[i]);
        const struct function *f = locations_function(l, at->function);
        shown(l, f->name, name);
        if (at->function < LOCATIONS_RESERVED)
            ga_say("  %s", name);
        else
            ga_say("  File \"%s\", line %u in %s", shown(l, f->file, file), (unsigned)at->line,
                   name);
    }
}

/* ---- making --------------------------------------------------------------------------------- */

/* False: there is no memory for it. */
static bool make_pool(struct mheap *h) {
    if (atomic_load(&h->guards) != NULL)
        return true;
    struct guard_tracer tracer = {take_stack, write_stack, h};
    mutex_lock(&procs.lock);
    struct guards *g = atomic_load(&h->guards);
    if (g == NULL && (g = guards_new(&h->os, &tracer)) != NULL) {
        procs.more_lock = &g->lock;
        atomic_store(&h->guards, g);
    }
    mutex_unlock(&procs.lock);
    return g != NULL;
}

const char *pyhook_set_guard_rate(struct mheap *h, uint64_t rate, uint64_t *before) {
    if (rate != 0 && pyhook.debug != NULL)
        return "in a debugging run (GOALLOC_DEBUG) every block is watched, and none is guarded";
    if (rate != 0 && !make_pool(h))
        return "there is no memory for guarded blocks";
    if (rate != 0) {
        guards_expect(atomic_load(&h->guards), rate);
        guard_watch(atomic_load(&h->guards));
    }
    *before = mcaches_set_guard_rate(h, rate);
    return NULL;
}

void *pyhook_guard(enum ga_domain domain, void *p, size_t size, size_t keep) {
    struct guards *g = the_guards();
    bool wanted = g != NULL && p != NULL && guard_wants(g, size);
    void *q = wanted ? guard_malloc(g, size, domain) : NULL;
    if (q == NULL)
        return p;
    memcpy(q, p, keep);
    pyhook_slow_free(domain == DOMAIN_API ? RAW : (PyMemAllocatorDomain)domain, p);
    guard_watch_on(g);
    return q;
}

/* ---- free and realloc ----------------------------------------------------------------------- */

/* Whose p rightly is that came to the functions of a domain; pyhook_raw_is_raw says why. */
static enum ga_domain owner(enum ga_domain domain, const void *p) {
    enum ga_domain whose;
    bool large_of_pymalloc = (domain == DOMAIN_MEM || domain == DOMAIN_OBJ) &&
                             !pyhook_raw_is_raw(&pyhook) &&
                             guard_peek(the_guards(), p, &whose) != SIZE_MAX && whose == DOMAIN_RAW;
    return large_of_pymalloc ? DOMAIN_RAW : domain;
}

void pyhook_guard_free(enum ga_domain domain, void *p, enum ga_call call) {
    domain = owner(domain, p);
    size_t size = guard_size(the_guards(), p, domain, call);
    if (domain == DOMAIN_RAW && size > GA_MAX_SMALL_SIZE) /* as any interpreter is */
        interp_forget((uintptr_t)p, size);
    guard_free(the_guards(), p, domain, call);
}

size_t pyhook_guard_size(enum ga_domain domain, void *p, enum ga_call call) {
    return guard_size(the_guards(), p, owner(domain, p), call);
}

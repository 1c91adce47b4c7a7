/* See wrap.h. */
#include "wrap.h"

#include <pthread.h>

#include "fatal.h"
#include "wrap_sample.h"

/* Different tables that we have been put on in one process.  Tools save and restore the same
 * few. */
#define TABLES_MAX 64

static PyMemAllocatorEx tables[WRAP_DOMAINS][TABLES_MAX];
static unsigned ntables[WRAP_DOMAINS];
static const PyMemAllocatorEx *_Atomic below[WRAP_DOMAINS];
static _Atomic bool counting;
static struct tallies tallies;
static pthread_key_t thread_key;

/* Initial-exec, so small: a larger block can't be had by a library that is loaded late. */
static __thread struct {
    struct tally *tally;
    bool inside; /* a call is being served below, or is none of the program's */
    bool ending; /* the tally has been left; other destructors may still allocate */
    bool seen[WRAP_DOMAINS];
} self __attribute__((tls_model("initial-exec")));

/* ---- counting ------------------------------------------------------------------------------- */

static void thread_end(void *tally) {
    self.ending = true;
    self.tally = NULL;
    tally_leave(tally);
}

static void after_fork(void) { tallies_after_fork(&tallies, self.tally); }

static void init_threads(void) {
    GA_CHECK(pthread_key_create(&thread_key, thread_end) == 0);
    GA_CHECK(pthread_atfork(NULL, NULL, after_fork) == 0);
}

/* NULL: the shared one is to be used. */
static GA_NOINLINE struct tally *first_tally(void) {
    if (self.ending)
        return NULL;
    struct tally *t = tally_take(&tallies);
    if (t != NULL && pthread_setspecific(thread_key, t) != 0) {
        tally_leave(t);
        return NULL;
    }
    return self.tally = t;
}

static void count_malloc(PyMemAllocatorDomain domain, void *p, size_t nbytes) {
    bool noscan = domain == PYMEM_DOMAIN_RAW;
    struct tally *t = GA_LIKELY(self.tally != NULL) ? self.tally : first_tally();
    if (GA_LIKELY(t != NULL)) {
        tally_malloc(t, nbytes, noscan);
        wrap_sample(t, domain, p, nbytes);
    } else {
        tallies_shared_malloc(&tallies, nbytes, noscan);
        wrap_sample_shared(domain, p, nbytes);
    }
}

static void count_free(void) {
    struct tally *t = GA_LIKELY(self.tally != NULL) ? self.tally : first_tally();
    if (GA_LIKELY(t != NULL))
        tally_free(t);
    else
        tallies_shared_free(&tallies);
}

void wrap_sums(struct tally_sums *out) { tallies_sum(&tallies, out); }

/* ---- passing on ----------------------------------------------------------------------------- */

GA_INLINE const PyMemAllocatorEx *allocator_below(PyMemAllocatorDomain domain) {
    return atomic_load_explicit(&below[domain], memory_order_acquire);
}

/* Around each call below.  True: it is one of the program's. */
GA_INLINE bool enter(PyMemAllocatorDomain domain) {
    self.seen[domain] = true;
    bool outermost = !self.inside;
    self.inside = true;
    return outermost;
}

/* True: to be counted. */
GA_INLINE bool leave(bool outermost) {
    if (outermost)
        self.inside = false;
    return outermost && atomic_load_explicit(&counting, memory_order_relaxed);
}

GA_INLINE void *pass_malloc(PyMemAllocatorDomain domain, size_t size) {
    const PyMemAllocatorEx *a = allocator_below(domain);
    bool outermost = enter(domain);
    void *p = a->malloc(a->ctx, size);
    if (GA_LIKELY(leave(outermost) && p != NULL))
        count_malloc(domain, p, size);
    return p;
}

GA_INLINE void *pass_calloc(PyMemAllocatorDomain domain, size_t nelem, size_t elsize) {
    const PyMemAllocatorEx *a = allocator_below(domain);
    bool outermost = enter(domain);
    void *p = a->calloc(a->ctx, nelem, elsize);
    if (GA_LIKELY(leave(outermost) && p != NULL)) /* then the product is one */
        count_malloc(domain, p, nelem * elsize);
    return p;
}

/* Counts as the free of the old block and the malloc of the new one, wherever that is. */
GA_INLINE void *pass_realloc(PyMemAllocatorDomain domain, void *p, size_t size) {
    const PyMemAllocatorEx *a = allocator_below(domain);
    bool outermost = enter(domain);
    uint32_t bucket;
    bool sampled = outermost && p != NULL && wrap_forget(p, &bucket);
    void *q = a->realloc(a->ctx, p, size);
    if (GA_UNLIKELY(sampled && q == NULL))
        wrap_keep(p, bucket);
    if (GA_LIKELY(leave(outermost) && q != NULL)) {
        count_malloc(domain, q, size);
        if (p != NULL)
            count_free();
    }
    return q;
}

GA_INLINE void pass_free(PyMemAllocatorDomain domain, void *p) {
    const PyMemAllocatorEx *a = allocator_below(domain);
    bool outermost = enter(domain);
    uint32_t bucket;
    if (outermost)
        wrap_forget(p, &bucket);
    a->free(a->ctx, p);
    if (GA_LIKELY(leave(outermost) && p != NULL))
        count_free();
}

#define FUNCTIONS(name, domain)                                                                    \
    static void *name##_malloc(void *ctx, size_t size) {                                           \
        (void)ctx;                                                                                 \
        return pass_malloc(domain, size);                                                          \
    }                                                                                              \
    static void *name##_calloc(void *ctx, size_t nelem, size_t elsize) {                           \
        (void)ctx;                                                                                 \
        return pass_calloc(domain, nelem, elsize);                                                 \
    }                                                                                              \
    static void *name##_realloc(void *ctx, void *p, size_t size) {                                 \
        (void)ctx;                                                                                 \
        return pass_realloc(domain, p, size);                                                      \
    }                                                                                              \
    static void name##_free(void *ctx, void *p) {                                                  \
        (void)ctx;                                                                                 \
        pass_free(domain, p);                                                                      \
    }

FUNCTIONS(raw, PYMEM_DOMAIN_RAW)
FUNCTIONS(mem, PYMEM_DOMAIN_MEM)
FUNCTIONS(obj, PYMEM_DOMAIN_OBJ)

static const PyMemAllocatorEx functions[WRAP_DOMAINS] = {
    [PYMEM_DOMAIN_RAW] = {NULL, raw_malloc, raw_calloc, raw_realloc, raw_free},
    [PYMEM_DOMAIN_MEM] = {NULL, mem_malloc, mem_calloc, mem_realloc, mem_free},
    [PYMEM_DOMAIN_OBJ] = {NULL, obj_malloc, obj_calloc, obj_realloc, obj_free},
};

/* ---- where we are in the table -------------------------------------------------------------- */

void *wrap_domain_malloc(PyMemAllocatorDomain domain, size_t size) {
    return domain == PYMEM_DOMAIN_RAW   ? PyMem_RawMalloc(size)
           : domain == PYMEM_DOMAIN_MEM ? PyMem_Malloc(size)
                                        : PyObject_Malloc(size);
}

void wrap_domain_free(PyMemAllocatorDomain domain, void *p) {
    if (domain == PYMEM_DOMAIN_RAW)
        PyMem_RawFree(p);
    else if (domain == PYMEM_DOMAIN_MEM)
        PyMem_Free(p);
    else
        PyObject_Free(p);
}

static bool on_top(PyMemAllocatorDomain domain) {
    PyMemAllocatorEx now;
    PyMem_GetAllocator(domain, &now);
    return now.malloc == functions[domain].malloc;
}

/* Found out by a call, since others may be on top of us, or have taken us out. */
static bool reached(PyMemAllocatorDomain domain) {
    bool inside = self.inside;
    self.inside = true; /* not the program's */
    self.seen[domain] = false;
    wrap_domain_free(domain, wrap_domain_malloc(domain, 1));
    self.inside = inside;
    return self.seen[domain];
}

bool wrap_is_in(void) {
    return atomic_load(&counting) && reached(PYMEM_DOMAIN_RAW) && reached(PYMEM_DOMAIN_MEM) &&
           reached(PYMEM_DOMAIN_OBJ);
}

/* A copy of a that stays as it is; NULL: there are too many. */
static const PyMemAllocatorEx *keep(PyMemAllocatorDomain domain, const PyMemAllocatorEx *a) {
    PyMemAllocatorEx *known = tables[domain];
    for (unsigned i = 0; i < ntables[domain]; i++)
        if (known[i].ctx == a->ctx && known[i].malloc == a->malloc &&
            known[i].calloc == a->calloc && known[i].realloc == a->realloc &&
            known[i].free == a->free)
            return &known[i];
    if (ntables[domain] == TABLES_MAX)
        return NULL;
    known[ntables[domain]] = *a;
    return &known[ntables[domain]++];
}

const char *wrap_put_in(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_threads);
    const PyMemAllocatorEx *found[WRAP_DOMAINS] = {NULL};
    for (int domain = 0; domain < WRAP_DOMAINS; domain++) {
        PyMemAllocatorEx now;
        if (reached(domain)) /* else a tool that has us below would call us for ever */
            continue;
        PyMem_GetAllocator(domain, &now);
        if ((found[domain] = keep(domain, &now)) == NULL)
            return "other tools have put too many different allocators into Python's table";
    }
    for (int domain = 0; domain < WRAP_DOMAINS; domain++)
        if (found[domain] != NULL)
            atomic_store_explicit(&below[domain], found[domain], memory_order_release);
    os_publish(); /* threads without the GIL look into the table at any moment */
    for (int domain = 0; domain < WRAP_DOMAINS; domain++) {
        if (found[domain] == NULL)
            continue;
        PyMemAllocatorEx a = functions[domain];
        /* Of the same context: a reader that sees the new one beside the old function does well. */
        a.ctx = found[domain]->ctx;
        PyMem_SetAllocator(domain, &a);
    }
    atomic_store(&counting, true);
    return NULL;
}

void wrap_take_out(void) {
    atomic_store(&counting, false);
    wrap_sample_end();
    for (int domain = 0; domain < WRAP_DOMAINS; domain++) {
        PyMemAllocatorEx a;
        if (on_top(domain)) {
            a = *allocator_below(domain);
            PyMem_SetAllocator(domain, &a);
        }
    }
}

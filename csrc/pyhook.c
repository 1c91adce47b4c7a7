/* pyhook: the functions of goalloc in CPython's allocator table.  See pyhook.h; malloc.c has the
 * overview, and pyhook_install.c how they get there.
 *
 * A call arrives with the domain it is of, and nothing else that can be relied on: while the table
 * is being changed CPython's readers may see an old context beside a new function, so ours ignore
 * it, and the functions go in in two steps, free and realloc first: they know whose a block is.
 *
 * Whose: a block in one of our arenas is ours, now and after uninstall.  Any other belongs to the
 * allocator that was there before: import mode hands it on; in launch mode there was none, and it
 * is fatal (but for pyhook_gap.c).
 *
 * The hot path of mem and obj is store_pop and store_push on interp_hot_cache, which is the main
 * interpreter's, or closed as soon as there are others.
 * Lock: none here. */
#include "pyhook_table.h"

#include <string.h>

#include "fatal.h"
#include "pystack.h"
#include "settings.h"

struct pyhook pyhook;
static struct mheap heap;
static struct profile profile; /* of the heap; in wrap mode of the allocator below */
static struct pystack pystack;
static bool heap_ready; /* set once, by make_heap */
/* Calls of this thread that came by while we do not serve (pyhook_reached). */
static __thread bool seen[DOMAINS] __attribute__((tls_model("initial-exec")));

static bool is_serving(void) { return pyhook_is_serving(&pyhook); }

/* ---- hot ------------------------------------------------------------------------------------ */

static void *slow_malloc(PyMemAllocatorDomain domain, size_t size);
static void *slow_calloc(PyMemAllocatorDomain domain, size_t nelem, size_t elsize);
static void *slow_realloc(PyMemAllocatorDomain domain, void *p, size_t size);
static void slow_free(PyMemAllocatorDomain domain, void *p);

/* The granule of a new block, here and below; 0: slow_malloc. */
GA_INLINE uintptr_t hot_malloc(size_t size) {
    struct mcache *c = interp_hot_cache();
    if (GA_LIKELY(size <= GA_SCAN_STORE_MAX))
        return store_pop(c, mcache_scan_class(c, size), false);
    if (GA_UNLIKELY(size > GA_MAX_SMALL_SIZE))
        return 0;
    return store_pop(c, make_spanclass(size_to_class(size), false), false);
}

GA_INLINE uintptr_t raw_malloc(size_t size) {
    struct mcache *c = thread_cache;
    if (GA_UNLIKELY(c == NULL || size < GA_TINY_SIZE || size > GA_MAX_SMALL_SIZE))
        return 0;
    mcache_enter(c);
    uintptr_t granule = store_pop(c, make_spanclass(size_to_class(size), true), true);
    mcache_leave(c);
    return granule;
}

/* What free and realloc need to know of a pointer, given by its granule (granule_of). */
struct found {
    struct mcache *cache;
    size_t class;        /* of its page; one whose store is closed if it is none of a small block */
    uint64_t *bits;      /* the word that its bit is in */
};

/* False: not a block of the hot path, slow_free finds out why.  An address that is no multiple of
 * 16 is none that the rotated one finds. */
GA_INLINE bool hot_find(uintptr_t granule, enum arena_layout layout, struct found *f) {
    f->cache = interp_hot_cache();
    if (layout == LAYOUT_LINEAR) {
        const struct linear_window *w = &heap.map.linear;
        uintptr_t offset = granule - (w->start >> GA_GRANULE_SHIFT);
        if (GA_UNLIKELY(offset >= linear_mapped(w) >> GA_GRANULE_SHIFT))
            return false;
        f->bits = w->bitmap_end[0] - 1 - (offset >> 6);
        f->class = w->pageclass[offset >> (GA_PAGE_SHIFT - GA_GRANULE_SHIFT)];
    } else {
        uintptr_t i = granule >> (GA_ARENA_SHIFT - GA_GRANULE_SHIFT);
        if (GA_UNLIKELY(i >= GA_ARENA_MAP_LEN))
            return false;
        struct heap_arena *ha = arena_or_none(&heap.map, i);
        uintptr_t word = granule >> 6 & (GA_BITMAP_WORDS - 1);
        f->bits = ha->own_bitmap[0] + word;
        f->class = ha->own_pageclass[word >> (GA_PAGE_SHIFT - GA_GRANULE_SHIFT - 6)];
    }
    return true;
}

GA_INLINE void hot_free(PyMemAllocatorDomain domain, void *p, enum arena_layout layout) {
    struct found f;
    uintptr_t granule = granule_of((uintptr_t)p);
    GA_FORGET(granule); /* p is made of it again where it is wanted, so it need not be kept */
    if (GA_UNLIKELY(!hot_find(granule, layout, &f) ||
                    !store_push(f.cache, f.class, f.bits, granule, false)))
        slow_free(domain, (void *)granule_addr(granule));
}

static GA_NOINLINE void *slow_move(PyMemAllocatorDomain domain, void *q, void *p, size_t nbytes) {
    memcpy(q, p, nbytes);
    slow_free(domain, p);
    return q;
}

/* p, a live block of class `from`, does not fit any more.  Its slot goes first, so that nothing is
 * left to do after the copy: until the caller goes on nobody takes it, and goalloc itself writes
 * nothing into free slots. */
static GA_NOINLINE void *hot_move(PyMemAllocatorDomain domain, void *p, size_t size, size_t from,
                                  uint64_t *bits) {
    uintptr_t granule = hot_malloc(size), old = granule_of((uintptr_t)p);
    if (GA_UNLIKELY(granule == 0))
        return slow_realloc(domain, p, size);
    void *q = (void *)granule_addr(granule);
    size_t nbytes = ga_min(store_elemsize(from), size);
    if (GA_UNLIKELY(CLIENT_WATCHES || !store_push(interp_hot_cache(), from, bits, old, false)))
        return slow_move(domain, q, p, nbytes);
    return memcpy(q, p, nbytes);
}

GA_INLINE void *hot_realloc(PyMemAllocatorDomain domain, void *p, size_t size,
                            enum arena_layout layout) {
    struct found f;
    uintptr_t granule = granule_of((uintptr_t)p);
    if (GA_UNLIKELY(!hot_find(granule, layout, &f) || mcache_is_closed(f.cache, f.class) ||
                    !(*f.bits >> (granule & 63) & 1)))
        return slow_realloc(domain, p, size);
    return GA_LIKELY(realloc_fits(store_elemsize(f.class), size))
               ? p
               : hot_move(domain, p, size, f.class, f.bits);
}

GA_INLINE bool raw_free(void *p) {
    uintptr_t addr = (uintptr_t)p;
    struct mcache *c = thread_cache;
    const struct heap_arena *ha = arena_of(&heap.map, addr);
    if (GA_UNLIKELY(c == NULL || ha == NULL || addr % 8 != 0))
        return false;
    mcache_enter(c);
    unsigned class = ha->pageclass[arena_page(addr)];
    bool done = store_push(c, class, heap_bits_word(ha, addr), granule_of(addr), true);
    mcache_leave(c);
    return done;
}

GA_INLINE void *hook_malloc(PyMemAllocatorDomain domain, size_t size) {
    uintptr_t granule = domain == RAW ? raw_malloc(size) : hot_malloc(size);
    return GA_LIKELY(granule != 0) ? (void *)granule_addr(granule) : slow_malloc(domain, size);
}

GA_INLINE void *hook_calloc(PyMemAllocatorDomain domain, size_t nelem, size_t elsize) {
    size_t nbytes;
    if (GA_UNLIKELY(__builtin_mul_overflow(nelem, elsize, &nbytes)))
        return NULL;
    uintptr_t granule = domain == RAW ? raw_malloc(nbytes) : hot_malloc(nbytes);
    return GA_LIKELY(granule != 0) ? memset((void *)granule_addr(granule), 0, nbytes)
                                   : slow_calloc(domain, nelem, elsize);
}

GA_INLINE void hook_free(PyMemAllocatorDomain domain, void *p, enum arena_layout layout) {
    if (domain != RAW)
        hot_free(domain, p, layout);
    else if (GA_UNLIKELY(!raw_free(p)))
        slow_free(domain, p);
}

/* ---- slow ----------------------------------------------------------------------------------- */

/* Bytes to ask the core for: as the fast half does (mcache_scan_class). */
static size_t domain_size(PyMemAllocatorDomain domain, size_t size) {
    return domain == RAW ? size : ga_max(size, GA_TINY_SIZE);
}

/* The raw block p has been made, perhaps for another interpreter.  (One that is not ours was made
 * after uninstall, and interp_serve will find whoever came meanwhile.) */
static void watch(void *p, size_t nbytes) {
    struct mspan *s = interp_has_size(nbytes) ? mheap_span_of_heap(&heap, (uintptr_t)p) : NULL;
    if (s != NULL)
        interp_watch(s);
}

static GA_NOINLINE void *slow_malloc(PyMemAllocatorDomain domain, size_t size) {
    if (!is_serving()) {
        seen[domain] = true;
        return pyhook.previous[domain].malloc(pyhook.previous[domain].ctx, size);
    }
    struct mcache *c = pyhook_enter(domain);
    void *p = ga_malloc(&heap, c, domain_size(domain, size), domain == RAW);
    bool guarded = mcache_take_guard(c);
    pyhook_leave(domain, c);
    if (GA_UNLIKELY(guarded))
        p = pyhook_guard((enum ga_domain)domain, p, size, 0);
    if (p == NULL && !is_serving()) /* uninstalled just now: the cache was closed */
        p = pyhook.previous[domain].malloc(pyhook.previous[domain].ctx, size);
    if (domain == RAW)
        watch(p, size);
    return p;
}

static GA_NOINLINE void *slow_calloc(PyMemAllocatorDomain domain, size_t nelem, size_t elsize) {
    size_t nbytes = nelem * elsize; /* hook_calloc has seen that it is one */
    pyhook_gap_announce(domain, nbytes);
    if (!is_serving())
        return pyhook.previous[domain].calloc(pyhook.previous[domain].ctx, nelem, elsize);
    struct mcache *c = pyhook_enter(domain);
    void *p = ga_calloc(&heap, c, 1, domain_size(domain, nbytes), domain == RAW);
    bool guarded = mcache_take_guard(c);
    pyhook_leave(domain, c);
    if (GA_UNLIKELY(guarded))
        p = pyhook_guard((enum ga_domain)domain, p, nbytes, 0);
    if (p == NULL && !is_serving())
        p = pyhook.previous[domain].calloc(pyhook.previous[domain].ctx, nelem, elsize);
    if (domain == RAW)
        watch(p, nbytes);
    return p;
}

static bool is_guarded(const void *p) { return guards_own(atomic_load(&heap.guards), p); }

bool pyhook_owns(const void *p) { return arena_is_ours(&heap.map, (uintptr_t)p) || is_guarded(p); }

void pyhook_saw(PyMemAllocatorDomain domain) { seen[domain] = true; }

/* p is in none of our arenas: it is the previous allocator's, or the process ends.  A debug build
 * of Python makes a few raw blocks through its debug hooks before we come below those, and others
 * while they make an interpreter (pyhook_gap.c). */
GA_COLD void pyhook_expect_foreign(PyMemAllocatorDomain domain, const char *op, void *p) {
#ifdef Py_DEBUG
    if (domain == RAW)
        return;
#endif
    if (pyhook.mode == PYHOOK_LAUNCH && !pyhook_gap_expected(domain))
        misuse_throw(&heap, MISUSE_FOREIGN, op, p);
}

void pyhook_forget_interp(PyMemAllocatorDomain domain, void *p) {
    if (domain != RAW || (atomic_load(&procs.first) == NULL && !interp_any_watched()))
        return;
    struct mspan *s = mheap_span_of_heap(&heap, (uintptr_t)p);
    if (s == NULL) /* made in a gap */
        interp_forget((uintptr_t)p, 1);
    if (s == NULL || spanclass_sizeclass(s->spanclass) != 0) /* any interpreter is a large object */
        return;
    interp_forget((uintptr_t)p, s->elemsize);
    pyhook_gap_look(true); /* as long as one is watched, for none may come unannounced */
}

/* p is ours.  Raw blocks are noscan, those of mem and obj are not, and the fast paths of each find
 * their own only; mem and obj share spans, and are told apart by debug.c only. */
static void expect_domain(PyMemAllocatorDomain domain, enum ga_call call, void *p) {
    struct mspan *s = mheap_span_of_heap(&heap, (uintptr_t)p);
    if (s == NULL || spanclass_noscan(s->spanclass) == (domain == RAW))
        return;
    if (domain != RAW && !pyhook_raw_is_raw(&pyhook))
        return;
    struct mcache *c = pyhook_enter(domain);
    enum misuse why = misuse_of(&heap, c, p);
    pyhook_leave(domain, c);
    if (why == MISUSE_NONE || why == MISUSE_DOMAIN)
        domain_throw(domain == RAW ? "mem or obj" : "raw", p, (enum ga_domain)domain, call);
}

static GA_NOINLINE void slow_free(PyMemAllocatorDomain domain, void *p) {
    if (p == NULL)
        return;
    if (!arena_is_ours(&heap.map, (uintptr_t)p)) {
        if (is_guarded(p)) {
            pyhook_guard_free((enum ga_domain)domain, p, CALL_FREE);
            return;
        }
        pyhook_expect_foreign(domain, "free", p);
        pyhook_forget_interp(domain, p);
        pyhook.previous[domain].free(pyhook.previous[domain].ctx, p);
        return;
    }
    expect_domain(domain, CALL_FREE, p);
    pyhook_forget_interp(domain, p);
    struct mcache *c = pyhook_enter(domain);
    enum misuse why = ga_free(&heap, c, p);
    pyhook_leave(domain, c);
    if (GA_UNLIKELY(why != MISUSE_NONE))
        misuse_throw(&heap, why, "free", p);
}

/* A block of ours that moves to the previous allocator. */
static void *move_out(PyMemAllocatorDomain domain, void *p, size_t size) {
    enum misuse why;
    struct mcache *c = pyhook_enter(domain);
    size_t usable = ga_usable_size(&heap, c, p, &why);
    pyhook_leave(domain, c);
    if (why != MISUSE_NONE)
        misuse_throw(&heap, why, "realloc", p);
    void *q = pyhook.previous[domain].malloc(pyhook.previous[domain].ctx, size);
    if (q != NULL) {
        memcpy(q, p, ga_min(usable, size));
        slow_free(domain, p);
    }
    return q;
}

/* A block between guard pages becomes one like any other. */
static void *realloc_guarded(PyMemAllocatorDomain domain, void *p, size_t size) {
    size_t had = pyhook_guard_size((enum ga_domain)domain, p, CALL_REALLOC);
    void *q = slow_malloc(domain, size);
    if (q != NULL) {
        memcpy(q, p, ga_min(had, size));
        pyhook_guard_free((enum ga_domain)domain, p, CALL_REALLOC);
    }
    return q;
}

static GA_NOINLINE void *slow_realloc(PyMemAllocatorDomain domain, void *p, size_t size) {
    if (!arena_is_ours(&heap.map, (uintptr_t)p)) {
        if (is_guarded(p))
            return realloc_guarded(domain, p, size);
        pyhook_expect_foreign(domain, "realloc", p);
        return pyhook.previous[domain].realloc(pyhook.previous[domain].ctx, p, size);
    }
    expect_domain(domain, CALL_REALLOC, p);
    if (!is_serving())
        return move_out(domain, p, size);
    enum misuse why;
    struct mcache *c = pyhook_enter(domain);
    void *q = ga_realloc(&heap, c, p, domain_size(domain, size), domain == RAW, &why);
    bool guarded = mcache_take_guard(c);
    pyhook_leave(domain, c);
    if (GA_UNLIKELY(why != MISUSE_NONE))
        misuse_throw(&heap, why, "realloc", p);
    if (q == NULL && !is_serving()) /* uninstalled just now, as in slow_malloc */
        return move_out(domain, p, size);
    if (GA_UNLIKELY(guarded))
        q = pyhook_guard((enum ga_domain)domain, q, size, size);
    return q;
}

GA_INLINE void *hook_realloc(PyMemAllocatorDomain domain, void *p, size_t size,
                             enum arena_layout layout) {
    if (p == NULL) /* how every list begins */
        return hook_malloc(domain, size);
    return domain == RAW ? slow_realloc(domain, p, size) : hot_realloc(domain, p, size, layout);
}

void pyhook_free_raw(void *p) { hook_free(RAW, p, LAYOUT_SPARSE); }

void pyhook_slow_free(PyMemAllocatorDomain domain, void *p) { slow_free(domain, p); }

/* ---- the functions in the table ------------------------------------------------------------- */

#define HOOKS(name, domain)                                                                        \
    static void *name##_malloc(void *ctx, size_t size) {                                           \
        (void)ctx;                                                                                 \
        return hook_malloc(domain, size);                                                          \
    }                                                                                              \
    static void *name##_calloc(void *ctx, size_t nelem, size_t elsize) {                           \
        (void)ctx;                                                                                 \
        return hook_calloc(domain, nelem, elsize);                                                 \
    }                                                                                              \
    static void *name##_realloc(void *ctx, void *p, size_t size) {                                 \
        (void)ctx;                                                                                 \
        return hook_realloc(domain, p, size, LAYOUT_SPARSE);                                       \
    }                                                                                              \
    static void *name##_realloc_linear(void *ctx, void *p, size_t size) {                          \
        (void)ctx;                                                                                 \
        return hook_realloc(domain, p, size, LAYOUT_LINEAR);                                       \
    }                                                                                              \
    static void name##_free(void *ctx, void *p) {                                                  \
        (void)ctx;                                                                                 \
        hook_free(domain, p, LAYOUT_SPARSE);                                                       \
    }                                                                                              \
    static void name##_free_linear(void *ctx, void *p) {                                           \
        (void)ctx;                                                                                 \
        hook_free(domain, p, LAYOUT_LINEAR);                                                       \
    }

HOOKS(pyraw, RAW)
HOOKS(pymem, MEM)
HOOKS(pyobj, OBJ)

static const PyMemAllocatorEx sparse_hooks[DOMAINS] = {
    [RAW] = {NULL, pyraw_malloc, pyraw_calloc, pyraw_realloc, pyraw_free},
    [MEM] = {NULL, pymem_malloc, pymem_calloc, pymem_realloc, pymem_free},
    [OBJ] = {NULL, pyobj_malloc, pyobj_calloc, pyobj_realloc, pyobj_free},
};
static const PyMemAllocatorEx linear_hooks[DOMAINS] = {
    [RAW] = {NULL, pyraw_malloc, pyraw_calloc, pyraw_realloc_linear, pyraw_free_linear},
    [MEM] = {NULL, pymem_malloc, pymem_calloc, pymem_realloc_linear, pymem_free_linear},
    [OBJ] = {NULL, pyobj_malloc, pyobj_calloc, pyobj_realloc_linear, pyobj_free_linear},
};

/* Least size of a pymalloc arena (obmalloc.c: 1 MiB, or 256 KiB without its radix tree).  A frame's
 * chunk is smaller but for frames of tens of thousands of slots. */
#define PYMALLOC_ARENA_MIN (256 * GA_KIB)

/* CPython asks for the chunks of its frame stacks here, and pymalloc for its arenas.  Those must
 * not lie in ours, or pymalloc's blocks would pass for our own: it is at work in import mode, where
 * a block of its that grows stays with it. */
void *pyhook_arena_alloc(void *ctx, size_t size) {
    (void)ctx;
    if (!is_serving() || (pyhook.mode != PYHOOK_LAUNCH && size >= PYMALLOC_ARENA_MIN))
        return pyhook.previous_arena.alloc(pyhook.previous_arena.ctx, size);
    struct mcache *c = interp_enter_stacks();
    mcache_obey(c);
    void *p = stack_alloc(&heap, &c->stackcache, size);
    pyhook_leave(OBJ, c);
    return p;
}

void pyhook_arena_free(void *ctx, void *p, size_t size) {
    (void)ctx;
    if (!arena_is_ours(&heap.map, (uintptr_t)p)) {
        pyhook.previous_arena.free(pyhook.previous_arena.ctx, p, size);
        return;
    }
    struct mcache *c = interp_enter_stacks();
    mcache_obey(c);
    bool done = stack_free(&heap, &c->stackcache, p, size);
    pyhook_leave(OBJ, c);
    if (!done)
        misuse_throw(&heap, MISUSE_UNALLOCATED, "free", p);
}

/* ---- the process heap ----------------------------------------------------------------------- */

/* Before there is a cache, which draws its first countdowns when it is made. */
static bool start_profile(uint64_t rate) {
    if (!profile_init(&profile, &heap.profile_budget) ||
        !pystack_init(&pystack, &heap.profile_budget))
        return false;
    profile.walker = (struct profile_walker){pystack_walk, pystack_walk_attached, &pystack};
    heap.profile = &profile;
    mcaches_set_sample_rate(&heap, rate);
    return true;
}

/* What a failure leaves behind stays: its memory cannot be given back by anybody. */
static void make_heap(void) {
    struct settings s;
    settings_read(&s);
    heap_ready = heap_init(&heap, s.layout, s.linear_bytes) && start_profile(s.profile_rate) &&
                 scavenger_init(&heap) && procs_init(&heap) &&
                 pthread_atfork(procs_prepare_fork, procs_parent_fork, procs_child_fork) == 0;
    if (!heap_ready)
        return;
    heap.map.huge = s.huge_pages;
    if (s.random_arenas) /* there is none yet */
        arena_map_scatter(&heap.map, os_entropy());
    scavenger_set_delay(&heap, s.scavenge_delay_ns);
    mheap_set_memory_limit(&heap, s.memory_limit);
    background_init(&heap, s.scavenge_delay_given);
    if (s.debug != 0 && (pyhook.debug = debug_new(&heap, s.debug)) != NULL)
        procs.more_lock = &pyhook.debug->lock;
    const char *why_not = NULL;
    if (s.guard_rate != 0)
        why_not = pyhook_set_guard_rate(&heap, s.guard_rate, &s.guard_rate);
    if (why_not != NULL)
        ga_say("goalloc: warning: GOALLOC_GUARD is ignored: %s", why_not);
}

struct mheap *pyhook_heap(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_heap);
    return heap_ready ? &heap : NULL;
}

/* ---- the table ------------------------------------------------------------------------------ */

const PyMemAllocatorEx *pyhook_functions(PyMemAllocatorDomain domain) {
    if (pyhook.debug != NULL)
        return &pyhook_debug_hooks[domain];
    return heap.map.linear.size != 0 ? &linear_hooks[domain] : &sparse_hooks[domain];
}

bool pyhook_on_top(PyMemAllocatorDomain domain) {
    PyMemAllocatorEx now;
    PyMem_GetAllocator(domain, &now);
    return now.free == sparse_hooks[domain].free || now.free == linear_hooks[domain].free ||
           now.free == pyhook_debug_hooks[domain].free;
}

bool pyhook_reached(PyMemAllocatorDomain domain) {
    seen[domain] = false;
    void *p = wrap_domain_malloc(domain, 1);
    bool ours = p != NULL && heap_ready && pyhook_owns(p);
    wrap_domain_free(domain, p);
    return ours || seen[domain] || (p == NULL && pyhook_on_top(domain));
}

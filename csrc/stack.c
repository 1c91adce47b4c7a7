/* See stack.h for what is served here, malloc.c for the overview. */
#include "stack.h"

#include "fatal.h"

static size_t order_bytes(unsigned order) { return GA_STACK_MIN << order; }

/* GA_STACK_ORDERS: too large for a pool. */
static unsigned order_of(size_t nbytes) {
    unsigned order = 0;
    while (order < GA_STACK_ORDERS && order_bytes(order) < nbytes)
        order++;
    return order;
}

bool stack_init(struct mheap *h) {
    struct stackpools *sp = persistentalloc(&h->persistent, sizeof *sp, 0, NULL);
    if (sp == NULL)
        return false;
    mutex_init(&sp->lock, GA_RANK_STACK, "stackpools");
    for (unsigned order = 0; order < GA_STACK_ORDERS; order++)
        mspan_list_init(&sp->pool[order]);
    h->stacks = sp;
    return true;
}

void stack_destroy(struct mheap *h) {
    mutex_destroy(&h->stacks->lock);
    h->stacks = NULL;
}

/* ---- the pool ------------------------------------------------------------------------------- */

static struct mspan *new_pool_span(struct mheap *h, unsigned order) {
    struct mspan *s = mheap_alloc_manual(h, GA_STACK_SPAN_SIZE >> GA_PAGE_SHIFT);
    if (s == NULL)
        return NULL;
    s->elemsize = order_bytes(order);
    for (uintptr_t at = mspan_end(s); at > s->start_addr;) {
        at -= s->elemsize;
        *(void **)at = s->manual_free_list;
        s->manual_free_list = (void *)at;
    }
    mspan_list_insert(&h->stacks->pool[order], s);
    return s;
}

static void *pool_alloc_locked(struct mheap *h, unsigned order) {
    struct mspan_list *pool = &h->stacks->pool[order];
    struct mspan *s = pool->first;
    if (s == NULL && (s = new_pool_span(h, order)) == NULL)
        return NULL;
    void *p = s->manual_free_list;
    s->manual_free_list = *(void **)p;
    s->alloc_count++;
    if (s->manual_free_list == NULL)
        mspan_list_remove(pool, s);
    return p;
}

static void pool_free_locked(struct mheap *h, unsigned order, void *p) {
    struct mspan_list *pool = &h->stacks->pool[order];
    struct mspan *s = arena_span_of(&h->map, (uintptr_t)p);
    if (s->manual_free_list == NULL)
        mspan_list_insert(pool, s);
    *(void **)p = s->manual_free_list;
    s->manual_free_list = p;
    if (--s->alloc_count == 0) {
        mspan_list_remove(pool, s);
        mheap_free(h, s);
    }
}

/* ---- the cache in front --------------------------------------------------------------------- */

static void cache_push(struct stackcache *c, unsigned order, void *p) {
    *(void **)p = c->order[order].list;
    c->order[order].list = p;
    c->order[order].nbytes += order_bytes(order);
}

static void *cache_pop(struct stackcache *c, unsigned order) {
    void *p = c->order[order].list;
    if (p != NULL) {
        c->order[order].list = *(void **)p;
        c->order[order].nbytes -= order_bytes(order);
    }
    return p;
}

/* Down to keep bytes. */
static void cache_shrink(struct mheap *h, struct stackcache *c, unsigned order, size_t keep) {
    if (c->order[order].nbytes <= keep)
        return;
    mutex_lock(&h->stacks->lock);
    while (c->order[order].nbytes > keep)
        pool_free_locked(h, order, cache_pop(c, order));
    mutex_unlock(&h->stacks->lock);
}

static void *cache_refill(struct mheap *h, struct stackcache *c, unsigned order) {
    mutex_lock(&h->stacks->lock);
    void *p = pool_alloc_locked(h, order);
    while (p != NULL && c->order[order].nbytes < GA_STACK_CACHE_SIZE / 2) {
        void *more = pool_alloc_locked(h, order);
        if (more == NULL)
            break;
        cache_push(c, order, more);
    }
    mutex_unlock(&h->stacks->lock);
    return p;
}

void *stack_alloc(struct mheap *h, struct stackcache *c, size_t nbytes) {
    unsigned order = order_of(nbytes);
    void *p = NULL;
    if (order < GA_STACK_ORDERS) {
        p = cache_pop(c, order);
        if (p == NULL)
            p = cache_refill(h, c, order);
    } else if (nbytes <= PTRDIFF_MAX) {
        struct mspan *s = mheap_alloc_manual(h, ga_align_up(nbytes, GA_PAGE_SIZE) >> GA_PAGE_SHIFT);
        if (s != NULL) {
            s->elemsize = mspan_bytes(s);
            s->alloc_count = 1;
            p = (void *)s->start_addr;
        }
    }
    return p;
}

bool stack_free(struct mheap *h, struct stackcache *c, void *p, size_t nbytes) {
    struct mspan *s = arena_span_of(&h->map, (uintptr_t)p);
    if (s == NULL || s->state != MSPAN_MANUAL)
        return false;
    unsigned order = order_of(nbytes);
    if (order == GA_STACK_ORDERS) {
        GA_CHECK((uintptr_t)p == s->start_addr);
        s->alloc_count = 0;
        mheap_free(h, s);
        return true;
    }
    GA_CHECK(s->elemsize == order_bytes(order));
    cache_push(c, order, p);
    if (c->order[order].nbytes > GA_STACK_CACHE_SIZE)
        cache_shrink(h, c, order, GA_STACK_CACHE_SIZE / 2);
    return true;
}

void stackcache_release(struct mheap *h, struct stackcache *c) {
    for (unsigned order = 0; order < GA_STACK_ORDERS; order++)
        cache_shrink(h, c, order, 0);
}

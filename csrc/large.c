/* See large.h. */
#include "large.h"

#include <string.h>

#include "client.h"
#include "fatal.h"
#include "huge.h"

/* ---- alloc and free ------------------------------------------------------------------------- */

static size_t pages_of(size_t nbytes) {
    return ga_align_up(nbytes, GA_PAGE_SIZE) >> GA_PAGE_SHIFT;
}

static void count_malloc(struct mheap *h, const struct mspan *s) {
    struct large_stats *l = &h->large[spanclass_noscan(s->spanclass)];
    l->mallocs++;
    l->malloc_bytes += s->elemsize;
}

/* The block ends, or becomes another. */
static void count_free(struct mheap *h, struct mspan *s) {
    struct large_stats *l = &h->large[spanclass_noscan(s->spanclass)];
    l->frees++;
    l->free_bytes += s->elemsize;
    if (GA_UNLIKELY(s->watched)) {
        s->watched = false;
        atomic_fetch_sub(&h->nwatched, 1);
    }
}

/* room: bytes that had better be free behind it. */
static struct mspan *alloc_locked(struct mheap *h, size_t nbytes, size_t align, size_t room,
                                  bool noscan) {
    /* What is to move must begin where a page of the system does. */
    size_t align_pages = ga_max(align, nbytes >= GA_MOVE_MIN ? h->os_page : 1) >> GA_PAGE_SHIFT;
    struct mspan *s = mheap_take_run_locked(
        h, (struct run_need){.npages = pages_of(nbytes), .align_pages = ga_max(align_pages, 1),
                            .room = pages_of(room)});
    if (s == NULL)
        return NULL;
    s->inline_bits = 0;
    s->alloc_bits = &s->inline_bits;
    s->tiny_parts = NULL;
    s->central = NULL;
    s->cached = NULL;
    mspan_init_slots(s, make_spanclass(0, noscan));
    mspan_take_only(s);
    count_malloc(h, s);
    mheap_publish_locked(h, s, 0);
    CLIENT_MADE(s->start_addr, s->elemsize, !s->needzero);
    return s;
}

struct mspan *large_alloc(struct mheap *h, size_t nbytes, size_t align, bool noscan) {
    if (nbytes > PTRDIFF_MAX || align > PTRDIFF_MAX)
        return NULL;
    mutex_lock(&h->lock);
    struct mspan *s = alloc_locked(h, nbytes, align, 0, noscan);
    mutex_unlock(&h->lock);
    return s;
}

void large_free(struct mheap *h, struct mspan *s) {
    CLIENT_FREED(s->start_addr, s->elemsize);
    mutex_lock(&h->lock);
    count_free(h, s);
    mheap_free_locked(h, s, true);
    mutex_unlock(&h->lock);
}

void large_watch(struct mheap *h, struct mspan *s) {
    mutex_lock(&h->lock);
    if (!s->watched) {
        s->watched = true;
        atomic_fetch_add(&h->nwatched, 1);
    }
    mutex_unlock(&h->lock);
}

/* ---- in place ------------------------------------------------------------------------------- */

/* Its pages have changed. */
static void recount_locked(struct mheap *h, struct mspan *s, bool noscan) {
    count_free(h, s);
    CLIENT_RESIZED(s->start_addr, s->elemsize, mspan_bytes(s));
    s->spanclass = make_spanclass(0, noscan);
    s->elemsize = mspan_bytes(s);
    count_malloc(h, s);
}

bool large_resize(struct mheap *h, struct mspan *s, size_t nbytes, bool noscan) {
    if (nbytes > PTRDIFF_MAX)
        return false;
    size_t npages = pages_of(nbytes);
    if (npages == s->npages)
        return true;
    mutex_lock(&h->lock);
    bool shrinks = npages < s->npages;
    bool done = shrinks ? mheap_cut_locked(h, s, npages) : mheap_extend_locked(h, s, npages);
    if (done)
        recount_locked(h, s, noscan);
    mutex_unlock(&h->lock);
    return done || shrinks; /* to shrink needs no memory: what can't be cut off stays */
}

/* ---- moving --------------------------------------------------------------------------------- */

/* The next piece of a block that can be moved in one go: pages from addr on. */
static size_t next_piece(struct mheap *h, uintptr_t addr, size_t npages) {
    mutex_lock(&h->lock);
    size_t n = h->map.nseams < GA_SEAMS_MAX ? arena_unseamed(&h->map, addr, npages) : 0;
    mutex_unlock(&h->lock);
    return n;
}

/* Moves one piece. */
static bool move_piece(struct mheap *h, uintptr_t from, uintptr_t to, size_t npages) {
    size_t nbytes = npages << GA_PAGE_SHIFT;
    bool moved = os_move(&h->os, (void *)from, (void *)to, nbytes);
    mutex_lock(&h->lock);
    if (moved) {
        arena_set_mapping(&h->map, to, npages);
    } else {
        arena_set_seam(&h->map, to); /* the kernel may have made a new mapping of it */
        arena_set_seam(&h->map, to + nbytes);
        huge_renewed(&h->map, to, nbytes);
    }
    mutex_unlock(&h->lock);
    return moved;
}

/* Moves what whole pages of the system it can, and copies the rest.  Returns the pages moved. */
static size_t move_contents(struct mheap *h, uintptr_t from, uintptr_t to, size_t nbytes) {
    size_t page = h->os_page, moved = 0;
    size_t left = (from | to) % page == 0 ? ga_align_down(nbytes, page) >> GA_PAGE_SHIFT : 0;
    if (!mheap_renounce_huge(h, from, nbytes)) /* as if given back; first, since it makes seams */
        left = 0;
    for (size_t n; left != 0 && (n = next_piece(h, from, left)) != 0; left -= n) {
        if (!move_piece(h, from, to, n))
            break;
        moved += n;
        from += n << GA_PAGE_SHIFT;
        to += n << GA_PAGE_SHIFT;
        nbytes -= n << GA_PAGE_SHIFT;
    }
    memcpy((void *)to, (void *)from, nbytes);
    return moved;
}

/* s grows into `to`, where the pages come before they are written, if none has come yet. */
static void copy_contents(struct mheap *h, const struct mspan *s, const struct mspan *to) {
    size_t page = h->os_page;
    if (!to->needzero && to->start_addr % page == 0)
        os_populate(&h->os, (void *)to->start_addr, ga_align_down(s->elemsize, page));
    memcpy((void *)to->start_addr, (void *)s->start_addr, s->elemsize);
}

/* What has moved leaves an empty place behind, and mappings, if it had been moved there itself. */
static void free_moved(struct mheap *h, struct mspan *s, size_t moved, size_t moving) {
    bool empty = moved == s->npages;
    mutex_lock(&h->lock);
    arena_set_released(&h->map, s->start_addr, moved, true); /* they are free in a moment */
    h->released += (uint64_t)moved << GA_PAGE_SHIFT;
    h->pages_moving -= moving;
    if (empty && arena_has_seams(&h->map, s->start_addr, s->npages) &&
        os_renew(&h->os, (void *)s->start_addr, s->elemsize)) {
        arena_set_mapping(&h->map, s->start_addr, s->npages);
        huge_renewed(&h->map, s->start_addr, s->elemsize);
    }
    count_free(h, s);
    CLIENT_FREED(s->start_addr, s->elemsize);
    mheap_free_locked(h, s, !empty);
    mutex_unlock(&h->lock);
}

struct mspan *large_move(struct mheap *h, struct mspan *s, size_t nbytes, bool noscan) {
    bool by_tables = s->elemsize >= GA_MOVE_MIN && os_moves();
    if (nbytes > PTRDIFF_MAX)
        return NULL;
    mutex_lock(&h->lock);
    size_t moving = by_tables ? s->npages : 0;
    h->pages_moving += moving;
    size_t room = nbytes > s->elemsize ? ga_min(GA_GROW_ROOM * nbytes, PTRDIFF_MAX) : 0;
    struct mspan *to = alloc_locked(h, nbytes, 1, room, noscan);
    if (to == NULL)
        h->pages_moving -= moving;
    mutex_unlock(&h->lock);
    if (to == NULL)
        return NULL;
    size_t moved = 0;
    if (by_tables)
        moved = move_contents(h, s->start_addr, to->start_addr, s->elemsize);
    else
        copy_contents(h, s, to);
    heap_bits_set(arena_of(&h->map, to->start_addr), to->start_addr, true);
    heap_bits_clear(arena_of(&h->map, s->start_addr), s->start_addr, true);
    free_moved(h, s, moved, moving);
    return to;
}

/* What a central keeps without need: idle spans, and vacant pages inside its spans.
 *
 * A page of the system inside a span in use may be given back while no slot that is out touches it:
 * what is out is known by alloc_bits, and that changes under the central's lock only.  The page
 * reads zero from then on, which nobody relies on, and is counted (mheap.inuse_released) until a
 * slot on it goes out again.
 * Lock: mcentral.lock, taken here. */
#include "mcentral.h"

#define OS_PAGES_MASK (((uint32_t)1 << 24) - 1) /* what mspan.os_released has room for */
_Static_assert(
    GA_DENSE_PAGES * GA_PAGE_SIZE / 4096 <= 24,
    "the smallest pages of a system, of the longest span of small slots, have a bit each");

size_t mcentral_age(struct mheap *h, struct mcentral *mc, uint8_t tick) {
    mutex_lock(&mc->lock);
    size_t spare = mc->least_idle;
    mc->tick = tick;
    mc->least_idle = (uint32_t)(mc->nonempty[0].length - spare); /* as many as will be left */
    mutex_unlock(&mc->lock);
    return spare != 0 ? mcentral_release_idle(h, mc, spare) : 0;
}

/* The first span of the lists from fill on; the idle ones, which age by themselves, are not looked
 * at.  NULL: there are no more. */
static struct mspan *first_from(const struct mcentral *mc, unsigned fill) {
    for (; fill < GA_CENTRAL_FILLS; fill++)
        if (mc->nonempty[fill].first != NULL)
            return mc->nonempty[fill].first;
    return NULL;
}

struct mspan *mcentral_after(const struct mcentral *mc, const struct mspan *s) {
    return s->next != NULL ? s->next : first_from(mc, (unsigned)(s->list - mc->nonempty) + 1);
}

void mcentral_sweep_begin(struct mcentral *mc) {
    mutex_lock(&mc->lock);
    mc->sweep = first_from(mc, 1);
    mutex_unlock(&mc->lock);
}

/* Gives the pages of mask back, run by run, and returns their bytes.  What fails stays. */
static size_t release_os_pages(struct mheap *h, struct mspan *s, uint32_t mask, size_t os_page) {
    size_t given = 0;
    while (mask != 0) {
        unsigned first = ga_ctz64(mask), n = ga_ctz64(~(uint64_t)(mask >> first));
        uint32_t run = (((uint32_t)1 << n) - 1) << first;
        uintptr_t p = s->start_addr + first * os_page;
        if (mheap_renounce_huge(h, p, n * os_page) && os_unused(&h->os, (void *)p, n * os_page)) {
            s->os_released |= run & OS_PAGES_MASK;
            given += n * os_page;
        }
        mask &= ~run;
    }
    mheap_count_inuse_released(h, (int64_t)given);
    return given;
}

bool mcentral_sweep_step(struct mheap *h, struct mcentral *mc, uint8_t min_age,
                         uint64_t *given) {
    size_t os_page = h->os_page;
    mutex_lock(&mc->lock);
    for (unsigned i = 0; i < GA_SWEEP_LOOK && mc->sweep != NULL; i++) {
        struct mspan *s = mc->sweep;
        mc->sweep = mcentral_after(mc, s);
        if ((uint8_t)(mc->tick - s->touched) < min_age ||
            (size_t)(s->nelems - s->alloc_count) * s->elemsize < os_page)
            continue;
        uint32_t vacant = mspan_vacant_os_pages(s, os_page) & ~s->os_released;
        if (vacant != 0)
            *given += release_os_pages(h, s, vacant, os_page);
    }
    bool more = mc->sweep != NULL;
    mutex_unlock(&mc->lock);
    return more;
}

void mcentral_unrelease_slot(struct mheap *h, struct mspan *s, unsigned i) {
    size_t os_page = h->os_page;
    uint32_t again = mspan_os_pages_of_slot(s, i, os_page) & s->os_released;
    s->os_released &= ~again & OS_PAGES_MASK;
    if (again == 0)
        return;
    mheap_count_inuse_released(h, -(int64_t)(ga_popcount64(again) * os_page));
    mutex_lock(&h->lock);
    mheap_keep_limit_locked(h);
    mutex_unlock(&h->lock);
}

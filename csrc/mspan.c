/* Spans as bitmaps of slots, and the lists that they stand in.
 *
 * Slots leave a span in laps: freeindex walks up from 0 over the slots that are in, and starts
 * again when a lap is over.  A slot that comes back behind freeindex, or in the word that freeindex
 * is in, waits for the next lap.
 * Invariants (mspan_check walks them):
 *   alloc_cache is the word of alloc_bits that freeindex lies in, inverted and shifted, as it was
 *   when freeindex came there, but for the slots taken since; with zeros for slots that do not
 *   exist;
 *   freeindex <= nfresh <= nelems, and no slot from nfresh on is out;
 *   alloc_count = popcount(alloc_bits).
 * Lock: the caller holds the one that mspan.h names; nothing is locked here. */
#include "mspan.h"

#include "fatal.h"

/* ---- lists ---------------------------------------------------------------------------------- */

void mspan_list_init(struct mspan_list *l) { *l = (struct mspan_list){NULL, NULL, 0}; }

/* Puts s between two neighbours in l; NULL stands for the end of the list. */
static void list_link(struct mspan_list *l, struct mspan *s, struct mspan *prev,
                      struct mspan *next) {
    if (GA_UNLIKELY(s->list != NULL || s->next != NULL || s->prev != NULL))
        ga_throw("mspan_list: span %p is already in list %p", (void *)s, (void *)s->list);
    s->list = l;
    s->prev = prev;
    s->next = next;
    *(prev ? &prev->next : &l->first) = s;
    *(next ? &next->prev : &l->last) = s;
    l->length++;
}

void mspan_list_insert(struct mspan_list *l, struct mspan *s) { list_link(l, s, NULL, l->first); }

void mspan_list_insert_back(struct mspan_list *l, struct mspan *s) {
    list_link(l, s, l->last, NULL);
}

void mspan_list_remove(struct mspan_list *l, struct mspan *s) {
    if (GA_UNLIKELY(s->list != l))
        ga_throw("mspan_list: span %p is in list %p, not in %p", (void *)s, (void *)s->list,
                 (void *)l);
    *(s->prev ? &s->prev->next : &l->first) = s->next;
    *(s->next ? &s->next->prev : &l->last) = s->prev;
    l->length--;
    s->list = NULL;
    s->next = s->prev = NULL;
}

/* ---- slots ---------------------------------------------------------------------------------- */

/* The slots that are in, of the word that freeindex lies in, from freeindex on. */
static uint64_t window(const struct mspan *s) {
    unsigned word = s->freeindex / 64u;
    if (s->freeindex >= s->nelems)
        return 0;
    uint64_t free = ~s->alloc_bits[word];
    unsigned slots = s->nelems - word * 64u; /* from this word on */
    if (slots < 64)
        free &= ((uint64_t)1 << slots) - 1;
    return free >> (s->freeindex % 64u);
}

void mspan_refill_alloc_cache(struct mspan *s) { s->alloc_cache = window(s); }

void mspan_init_slots(struct mspan *s, spanclass_t spc) {
    unsigned sizeclass = spanclass_sizeclass(spc);
    GA_CHECK(sizeclass < GA_NUM_SIZE_CLASSES && s->alloc_bits != NULL);
    s->spanclass = spc;
    s->divmagic = class_to_divmagic[sizeclass]; /* large: 0, any offset is in slot 0 */
    if (sizeclass == 0) {
        s->elemsize = mspan_bytes(s);
        s->nelems = 1;
    } else {
        GA_CHECK(s->npages == class_to_allocnpages[sizeclass]);
        s->elemsize = class_to_size[sizeclass];
        s->nelems = (uint16_t)(mspan_bytes(s) / s->elemsize);
    }
    s->freeindex = 0;
    s->alloc_count = 0;
    s->nfresh = 0;
    s->watched = false;
    mspan_refill_alloc_cache(s);
}

/* Moves freeindex up to a word with a free slot in it; false if this lap is over. */
static bool seek_window(struct mspan *s) {
    while (s->alloc_cache == 0) {
        unsigned next = (s->freeindex + 64u) & ~63u;
        s->freeindex = (uint16_t)ga_min(next, s->nelems);
        if (s->freeindex == s->nelems)
            return false;
        mspan_refill_alloc_cache(s);
    }
    return true;
}

/* Marks the slots of `chosen`, a non-empty set of the lowest free slots of the window, as taken and
 * moves freeindex behind them. */
static void take_from_window(struct mspan *s, uint64_t chosen, unsigned count) {
    unsigned last = ga_log2(chosen);
    s->alloc_bits[s->freeindex / 64u] |= chosen << (s->freeindex % 64u);
    s->alloc_count = (uint16_t)(s->alloc_count + count);
    s->freeindex = (uint16_t)(s->freeindex + last + 1);
    if (s->freeindex > s->nfresh)
        s->nfresh = s->freeindex;
    if (s->freeindex % 64u == 0)
        mspan_refill_alloc_cache(s);
    else
        s->alloc_cache = s->alloc_cache >> last >> 1; /* last + 1 may be 64 */
}

/* The lowest `want` bits of free, or all if it has no more. */
static uint64_t lowest_bits(uint64_t free, size_t want) {
    uint64_t chosen = free;
    if (want < 64 && (free & (free + 1)) == 0) /* one run, as in a fresh span */
        return free & (((uint64_t)1 << want) - 1);
    if (want >= ga_popcount64(free))
        return free;
    for (; want != 0; want--)
        chosen &= chosen - 1;
    return free ^ chosen;
}

unsigned mspan_take_window(struct mspan *s, size_t want, struct slot_window *w) {
    want = ga_min(want, (size_t)(s->nelems - s->alloc_count));
    if (want == 0)
        return 0;
    if (!seek_window(s)) {
        s->freeindex = 0;
        mspan_refill_alloc_cache(s);
        if (GA_UNLIKELY(!seek_window(s)))
            ga_throw("mspan_take: span %p has fewer free slots than it counts", (void *)s);
    }
    w->base = s->start_addr + s->freeindex * s->elemsize;
    w->mask = lowest_bits(s->alloc_cache, want);
    unsigned count = ga_popcount64(w->mask);
    take_from_window(s, w->mask, count);
    return count;
}

/* Twice in the binary: most of what comes back comes from stores. */
GA_INLINE size_t put(struct mspan *s, const char *slots, size_t n, bool stored) {
    const size_t stride = slot_stride(stored);
    const char *at = slots, *end = slots + n * stride;
    const uintptr_t start = s->start_addr, nbytes = mspan_limit(s) - start;
    uint64_t *bits = s->alloc_bits; /* locals: storing bits leaves them alone */
    const uint64_t magic = s->divmagic;
    for (; at != end; at += stride) {
        uintptr_t offset = slot_addr(at, stored) - start;
        if (offset >= nbytes)
            break;
        uint64_t i = offset * magic >> 32, word = bits[i / 64];
        if (GA_UNLIKELY(!ga_test_and_clear(&word, i)))
            ga_throw("mspan_put: slot %u of span %p is not out", (unsigned)i, (void *)s);
        bits[i / 64] = word;
    }
    size_t done = (size_t)(at - slots) / stride;
    if (GA_UNLIKELY(done == 0))
        ga_throw("mspan_put: %p, in no slot of span %p, is not out",
                 (void *)slot_addr(slots, stored), (void *)s);
    s->alloc_count = (uint16_t)(s->alloc_count - done);
    return done;
}

size_t mspan_put(struct mspan *s, const void *slots, size_t n, bool stored) {
    return stored ? put(s, slots, n, true) : put(s, slots, n, false);
}

/* ---- pages of the system -------------------------------------------------------------------- */

/* Is any of slots [from, to) out? */
static bool any_taken(const struct mspan *s, unsigned from, unsigned to) {
    for (unsigned i = from; i < to; i = (i | 63) + 1) {
        uint64_t taken = s->alloc_bits[i / 64] >> (i % 64);
        if (to - i < 64)
            taken &= ((uint64_t)1 << (to - i)) - 1;
        if (taken != 0)
            return true;
    }
    return false;
}

uint32_t mspan_vacant_os_pages(const struct mspan *s, size_t os_page) {
    uint32_t vacant = 0;
    if (os_page > GA_PAGE_SIZE) /* the span may share it with its neighbours */
        return 0;
    for (size_t at = 0, i = 0; at < mspan_bytes(s); at += os_page, i++) {
        unsigned first = mspan_objindex(s, at), last = mspan_objindex(s, at + os_page - 1);
        if (!any_taken(s, (unsigned)ga_min(first, s->nelems),
                       (unsigned)ga_min(last + 1, s->nelems)))
            vacant |= (uint32_t)1 << i;
    }
    return vacant;
}

uint32_t mspan_os_pages_of_slot(const struct mspan *s, unsigned i, size_t os_page) {
    size_t at = i * s->elemsize;
    unsigned first = (unsigned)(at / os_page), last = (unsigned)((at + s->elemsize - 1) / os_page);
    return ((uint32_t)2 << last) - ((uint32_t)1 << first);
}

/* ---- checks --------------------------------------------------------------------------------- */

static void check_slots(const struct mspan *s) {
    unsigned sizeclass = spanclass_sizeclass(s->spanclass);
    GA_CHECK(sizeclass < GA_NUM_SIZE_CLASSES);
    GA_CHECK(s->divmagic == class_to_divmagic[sizeclass]);
    if (sizeclass == 0)
        GA_CHECK(s->nelems == 1 && s->elemsize == mspan_bytes(s));
    else
        GA_CHECK(s->npages == class_to_allocnpages[sizeclass] &&
                 s->elemsize == class_to_size[sizeclass] &&
                 s->nelems == mspan_bytes(s) / s->elemsize);
    GA_CHECK(s->freeindex <= s->nfresh && s->nfresh <= s->nelems);

    unsigned count = 0;
    for (unsigned word = 0; word < mspan_bits_words(s->nelems); word++) {
        unsigned fresh = s->nfresh > word * 64 ? s->nfresh - word * 64 : 0;
        count += ga_popcount64(s->alloc_bits[word]);
        GA_CHECK(fresh >= 64 || s->alloc_bits[word] >> fresh == 0);
    }
    GA_CHECK(count == s->alloc_count);
    GA_CHECK((s->alloc_cache & ~window(s)) == 0);
}

void mspan_check(const struct mspan *s) {
    if (s->state == MSPAN_DEAD)
        return;
    GA_CHECK(s->npages > 0 && s->start_addr % GA_PAGE_SIZE == 0);
    if (s->list == NULL) {
        GA_CHECK(s->next == NULL && s->prev == NULL);
    } else {
        GA_CHECK((s->prev ? s->prev->next : s->list->first) == s);
        GA_CHECK((s->next ? s->next->prev : s->list->last) == s);
    }
    if (s->state == MSPAN_IN_USE)
        check_slots(s);
}

/* See tiny.h for what a part is, malloc.c for the overview. */
#include "tiny.h"

#include "client.h"

static _Atomic uint32_t *parts_of(const struct mspan *s, uintptr_t addr) {
    return (_Atomic uint32_t *)&s->tiny_parts[(addr - s->start_addr) / GA_TINY_SIZE];
}

static uint32_t live_bit(uintptr_t addr) { return (uint32_t)1 << (addr % GA_TINY_SIZE); }

/* Nothing of the block is live and nobody holds it: it goes back to the free ones. */
static void retire_block(struct mheap *h, struct tiny *t, uintptr_t block) {
    heap_bits_clear(arena_of(&h->map, block), block, true);
    CLIENT_FREED(block, GA_TINY_SIZE);
    if (GA_UNLIKELY(t->closed)) {
        mcentral_put(h, &(void *){(void *)block}, 1);
        return;
    }
    if (t->nslots == GA_TINY_SLOTS) {
        t->nslots /= 2;
        mcentral_put(h, t->slots + t->nslots, GA_TINY_SLOTS - t->nslots);
    }
    t->slots[t->nslots++] = (void *)block;
}

/* Takes one bit off the word of addr's block, and retires the block if that was the last.  False:
 * it was not set. */
static bool drop(struct mheap *h, struct tiny *t, struct mspan *s, uintptr_t addr, uint32_t bit) {
    uint32_t old = atomic_fetch_and(parts_of(s, addr), ~bit);
    if (!(old & bit))
        return false;
    if ((old & ~bit & (GA_TINY_LIVE | GA_TINY_HELD)) == 0)
        retire_block(h, t, ga_align_down(addr, GA_TINY_SIZE));
    return true;
}

static uintptr_t open_block(struct mheap *h, struct tiny *t, struct mcentral *mc,
                            struct mcache *c) {
    if (t->nslots == 0 && !t->closed)
        t->nslots = (uint32_t)mcentral_take(h, mc, c, &t->cached, GA_TINY_SLOTS / 2, t->slots);
    if (t->nslots == 0)
        return 0;
    uintptr_t block = (uintptr_t)t->slots[--t->nslots];
    atomic_store(parts_of(arena_span_of(&h->map, block), block), 1);
    heap_bits_set(arena_of(&h->map, block), block, true);
    CLIENT_MADE(block, GA_TINY_SIZE, false);
    t->blocks++;
    return block;
}

void *tiny_alloc(struct mheap *h, struct tiny *t, struct mcentral *mc, struct mcache *c,
                 size_t size, size_t align) {
    size_t offset = ga_align_up(t->offset, align);
    if (t->block != 0 && offset + size <= GA_TINY_SIZE) {
        uint32_t start = (uint32_t)1 << offset | (offset ? GA_TINY_EVER(offset) : 0);
        atomic_fetch_or(parts_of(arena_span_of(&h->map, t->block), t->block), start);
        t->offset = (uint32_t)(offset + size);
        t->allocs++;
        return (void *)(t->block + offset);
    }
    uintptr_t block = open_block(h, t, mc, c);
    if (block == 0)
        return NULL;
    if (t->block == 0 || size < t->offset) { /* Go: keep the one with more room */
        uintptr_t old = t->block;
        atomic_fetch_or(parts_of(arena_span_of(&h->map, block), block), GA_TINY_HELD);
        t->block = block;
        t->offset = (uint32_t)size;
        if (old != 0)
            drop(h, t, arena_span_of(&h->map, old), old, GA_TINY_HELD);
    }
    return (void *)block;
}

bool tiny_is_live(const struct mspan *s, uintptr_t addr) {
    return atomic_load(parts_of(s, addr)) & live_bit(addr);
}

bool tiny_was_live(const struct mspan *s, uintptr_t addr) {
    size_t offset = addr % GA_TINY_SIZE;
    bool opened = (addr - s->start_addr) / GA_TINY_SIZE < s->nfresh;
    return offset == 0 ? opened : atomic_load(parts_of(s, addr)) & GA_TINY_EVER(offset);
}

size_t tiny_part_size(const struct tiny *t, const struct mspan *s, uintptr_t addr) {
    uint32_t word = atomic_load(parts_of(s, addr)), at = addr % GA_TINY_SIZE;
    uint32_t starts = (word & GA_TINY_LIVE) | (word >> 16 & ~(uint32_t)1); /* but GA_TINY_HELD */
    uint32_t behind = starts >> at >> 1;
    if (behind != 0)
        return ga_ctz64(behind) + 1;
    if (t->block == ga_align_down(addr, GA_TINY_SIZE))
        return t->offset - at;
    return word & GA_TINY_HELD ? 0 : GA_TINY_SIZE - at;
}

bool tiny_free(struct mheap *h, struct tiny *t, struct mspan *s, uintptr_t addr) {
    return drop(h, t, s, addr, live_bit(addr));
}

void tiny_release(struct mheap *h, struct tiny *t) {
    if (t->block != 0) {
        uintptr_t block = t->block;
        t->block = 0;
        drop(h, t, arena_span_of(&h->map, block), block, GA_TINY_HELD);
    }
    mcentral_put(h, t->slots, t->nslots);
    t->nslots = 0;
    mcentral_uncache_span(h, &t->cached);
}

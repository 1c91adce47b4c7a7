/* See huge.h. */
#include "huge.h"

#include "fatal.h"

/* The bit of the huge page that addr lies in, of an arena's word. */
static uint32_t huge_bit(uintptr_t addr) {
    return (uint32_t)1 << ((addr & GA_ARENA_MASK) >> GA_HUGE_SHIFT);
}

static bool is_huge(const struct arena_map *m, uintptr_t addr) {
    const struct heap_arena *ha = arena_of(m, addr);
    return ha != NULL && (atomic_load_explicit(&ha->huge, memory_order_relaxed) & huge_bit(addr));
}

/* low and high: whole huge pages. */
static void set_huge(struct arena_map *m, uintptr_t low, uintptr_t high, bool huge) {
    for (uintptr_t a = low; a < high; a += GA_HUGE_SIZE) {
        struct heap_arena *ha = arena_of(m, a);
        GA_CHECK(ha != NULL);
        _Atomic uint32_t *word = &ha->huge;
        if (huge)
            atomic_fetch_or_explicit(word, huge_bit(a), memory_order_relaxed);
        else
            atomic_fetch_and_explicit(word, ~huge_bit(a), memory_order_relaxed);
    }
}

size_t huge_grow_unit(const struct arena_map *m, bool dense, uint64_t bytes_in_use) {
    bool asked = m->huge == HUGE_ALL ||
                 (m->huge == HUGE_DENSE && dense && bytes_in_use >= GA_HUGE_HEAP_MIN);
    return asked ? GA_HUGE_SIZE : GA_HEAP_GROW_MIN;
}

/* Advice makes mappings of its own: they begin at seams.  Where all may be huge it changes
 * nothing. */
void huge_grown(struct arena_map *m, struct arena_piece piece, size_t unit) {
    if (piece.nbytes == 0 || m->huge_unasked)
        return;
    uintptr_t end = piece.base + piece.nbytes, low = ga_align_up(piece.base, GA_HUGE_SIZE);
    uintptr_t high = ga_align_down(end, GA_HUGE_SIZE);
    bool advised = unit == GA_HUGE_SIZE && low < high &&
                   os_hugepage(m->os, (void *)low, high - low, true);
    if (advised) {
        set_huge(m, low, high, true);
        if (!is_huge(m, low - 1))
            arena_set_seam(m, low);
        if (high != end)
            arena_set_seam(m, high);
    }
    if ((!advised || low != piece.base) && is_huge(m, piece.base - 1))
        arena_set_seam(m, piece.base);
}

bool huge_is_possible(const struct arena_map *m, uintptr_t addr, size_t nbytes) {
    for (uintptr_t a = addr; a < addr + nbytes; a = ga_align_down(a, GA_HUGE_SIZE) + GA_HUGE_SIZE)
        if (is_huge(m, a))
            return true;
    return false;
}

bool huge_renounce(struct arena_map *m, uintptr_t addr, size_t nbytes) {
    uintptr_t end = ga_align_up(addr + nbytes, GA_HUGE_SIZE);
    for (uintptr_t low = ga_align_down(addr, GA_HUGE_SIZE), high; low < end; low = high) {
        bool huge = is_huge(m, low);
        for (high = low + GA_HUGE_SIZE; high < end && is_huge(m, high) == huge;)
            high += GA_HUGE_SIZE;
        if (!huge)
            continue;
        const struct heap_arena *last = arena_of(m, high - 1);
        uintptr_t stop = ga_min(high, last->start + last->reserved); /* an arena may be cut short */
        if (!os_hugepage(m->os, (void *)low, stop - low, false))
            return false;
        set_huge(m, low, high, false);
        arena_set_seam(m, low);
        arena_set_seam(m, stop);
    }
    return true;
}

void huge_renewed(struct arena_map *m, uintptr_t addr, size_t nbytes) {
    if (m->huge_unasked)
        set_huge(m, ga_align_down(addr, GA_HUGE_SIZE), addr + nbytes, true);
}

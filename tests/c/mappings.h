/* Mappings of the kernel's that begin within the heap's pages, and those that no seam tells of. */
#ifndef GA_TEST_MAPPINGS_H
#define GA_TEST_MAPPINGS_H

#include "check.h"
#include "mheap.h"

static inline unsigned count_mappings(struct mheap *h, unsigned *untold) {
    FILE *f = fopen("/proc/self/maps", "r");
    char line[512];
    unsigned n = 0;
    *untold = 0;
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        uintptr_t start = strtoul(line, NULL, 16);
        const struct heap_arena *ha = arena_of(&h->map, start);
        if (ha == NULL || start - ha->start >= ha->mapped || (start & GA_ARENA_MASK) == 0)
            continue;
        n++;
        *untold += !(ha->seam[arena_page(start) >> 6] >> (arena_page(start) & 63) & 1);
    }
    fclose(f);
    return n;
}

#endif

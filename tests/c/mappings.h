/* Mappings of the kernel's that begin within the heap's pages. */
#ifndef GA_TEST_MAPPINGS_H
#define GA_TEST_MAPPINGS_H

#include "check.h"
#include "kernel.h"
#include "mheap.h"

/* There are `least` to `most` of them, and a seam tells of each. */
static inline bool mappings_told(struct mheap *h, unsigned least, unsigned most) {
    if (!kernel_is_real())
        return true;
    FILE *f = fopen("/proc/self/maps", "r");
    char line[512];
    unsigned n = 0, untold = 0;
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        uintptr_t start = strtoul(line, NULL, 16);
        const struct heap_arena *ha = arena_of(&h->map, start);
        if (ha == NULL || start - ha->start >= ha->mapped || (start & GA_ARENA_MASK) == 0)
            continue;
        n++;
        untold += !(ha->seam[arena_page(start) >> 6] >> (arena_page(start) & 63) & 1);
    }
    fclose(f);
    if (untold != 0 || n < least || n > most)
        fprintf(stderr, "%u mappings, %u of them untold\n", n, untold);
    return untold == 0 && n >= least && n <= most;
}

#endif

/* Uses memory after its free, as the argument says, in a build that tells a watching tool of our
 * blocks (client.h); without an argument it does everything that is right, and the tool must be
 * silent. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "malloc.h"
#include "scavenger.h"

static struct mheap *h;
static struct mcache *c;

static char *make(size_t n) { return ga_malloc(h, c, n, true); }

static void drop(void *p) {
    if (ga_free(h, c, p) != MISUSE_NONE)
        abort();
}

static char *resize(void *p, size_t n) {
    enum misuse why;
    return ga_realloc(h, c, p, n, true, &why);
}

static void all_is_well(void) {
    static const size_t sizes[] = {1, 5, 16, 100, 4096, 32768, 40000, 200000, 3 << 20};
    char *blocks[64] = {NULL};
    for (unsigned i = 0; i < 4000; i++) {
        size_t k = i * 7919u % 64, n = sizes[i % (i % 50 ? 6 : 9)];
        if (blocks[k] != NULL && i % 3 == 0) {
            blocks[k] = resize(blocks[k], n);
        } else {
            if (blocks[k] != NULL)
                drop(blocks[k]);
            blocks[k] = i % 2 ? ga_calloc(h, c, 1, n, true) : make(n);
            for (size_t b = 0; i % 2 && b < n; b += 1 + n / 64)
                if (blocks[k][b] != 0)
                    abort();
        }
        memset(blocks[k], (int)i, n);
        if (i % 1000 == 0)
            heap_free_os_memory(h);
    }
    struct mspan *stack = mheap_alloc_manual(h, 4); /* of pages that blocks were on */
    memset((void *)stack->start_addr, 1, mspan_bytes(stack));
    mheap_free(h, stack);
}

int main(int argc, char **argv) {
    h = heap_new(LAYOUT_SPARSE, 0);
    c = mcache_new(h, MCACHE_HEAP, h->central);
    const char *crime = argc > 1 ? argv[1] : "";
    char *small = make(100), *large = make(200000), *tiny = make(5), *keep = make(200000);
    all_is_well();
    if (strcmp(crime, "small") == 0)
        drop(small), small[3] = 1;
    else if (strcmp(crime, "small_read") == 0)
        drop(small), printf("%d\n", small[3]);
    else if (strcmp(crime, "large") == 0)
        drop(large), large[150000] = 1;
    else if (strcmp(crime, "tiny") == 0)
        mcache_release_all(c), drop(tiny), tiny[2] = 1;
    else if (strcmp(crime, "realloc") == 0)
        resize(small, 3000), small[3] = 1;
    else if (strcmp(crime, "realloc_large") == 0)
        resize(large, 900000), large[3] = 1;
    else if (strcmp(crime, "shrunk") == 0)
        large = resize(large, 50000), large[150000] = 1;
    else if (strcmp(crime, "beyond") == 0)
        memset(keep, 1, 210000);
    puts("done");
    return 0;
}

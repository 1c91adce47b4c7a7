/* Dies as a program does that gives free or realloc a pointer to no live block; the argument says
 * which.  The hooks end it in the same way. */
#include <string.h>

#include "malloc.h"

static struct mheap *h;
static struct mcache *c;

static void release(void *p) {
    enum misuse why = ga_free(h, c, p);
    if (why != MISUSE_NONE)
        misuse_throw(h, why, "free", p);
}

static void *resize(void *p, size_t size) {
    enum misuse why;
    void *q = ga_realloc(h, c, p, size, true, &why);
    if (why != MISUSE_NONE)
        misuse_throw(h, why, "realloc", p);
    return q;
}

static void commit(const char *crime, char *small, char *tiny, char *large) {
    char foreign[16];
    char *block = strstr(crime, "small") ? small : strstr(crime, "tiny") ? tiny : large;
    if (strncmp(crime, "double_free_", 12) == 0) {
        release(block);
        release(block);
    } else if (strncmp(crime, "scavenged_", 10) == 0) {
        release(block);
        mcache_release_all(c);
        for (unsigned i = 0; i < GA_NUM_CENTRALS; i++)
            mcentral_release_idle(h, &h->central[i], SIZE_MAX);
        mheap_free_os_memory(h);
        release(block);
    } else if (strncmp(crime, "free_interior_", 14) == 0) {
        release(block + 8);
    } else if (strcmp(crime, "free_unallocated") == 0) {
        release((char *)mheap_span_of_heap(h, (uintptr_t)small)->start_addr + 4096);
    } else if (strcmp(crime, "free_foreign") == 0) {
        release(foreign);
    } else if (strncmp(crime, "realloc_freed_", 14) == 0) {
        release(block);
        resize(block, 1000);
    } else if (strncmp(crime, "realloc_interior_", 17) == 0) {
        resize(block + 8, 1000);
    } else if (strcmp(crime, "realloc_unallocated") == 0) {
        resize((char *)mheap_span_of_heap(h, (uintptr_t)small)->start_addr + 4096, 1000);
    } else if (strcmp(crime, "realloc_foreign") == 0) {
        resize(foreign, 1000);
    }
}

int main(int argc, char **argv) {
    h = heap_new(LAYOUT_SPARSE, 0);
    c = mcache_new(h, MCACHE_HEAP, h->central);
    char *small = ga_malloc(h, c, 64, true), *tiny = ga_malloc(h, c, 5, true);
    char *large = ga_malloc(h, c, 100000, true);
    commit(argc > 1 ? argv[1] : "", small, tiny, large);
    release(resize(small, 1000));
    release(resize(tiny, 13));
    release(resize(large, 1));
    heap_delete(h);
    return 0;
}

/* See report.h.  Lines are formatted into a buffer on the stack: nothing is allocated, so the
 * report does not show up in its own numbers.  Lock: those of inspect.c. */
#include "report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define BUSIEST 8 /* classes shown */

__attribute__((format(printf, 2, 3))) static void line(int fd, const char *fmt, ...) {
    char text[160];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    os_write(fd, text, ga_min((size_t)n, sizeof text - 1));
}

/* 1234567 as "1,234,567". */
struct digits {
    char text[28];
};

static struct digits grouped(uint64_t n) {
    struct digits d;
    char *at = d.text + sizeof d.text - 1;
    *at = '\0';
    for (unsigned i = 0; i == 0 || n != 0; i++, n /= 10) {
        if (i != 0 && i % 3 == 0)
            *--at = ',';
        *--at = (char)('0' + n % 10);
    }
    memmove(d.text, at, (size_t)(d.text + sizeof d.text - at));
    return d;
}

/* Bytes as the ledger of Python has them: "11.8 MiB", "0 B". */
struct amount {
    char text[28];
};

static struct amount human(uint64_t n) {
    struct amount a;
    if (n < GA_KIB) {
        snprintf(a.text, sizeof a.text, "%u B", (unsigned)n);
        return a;
    }
    uint64_t unit = n < GA_MIB ? GA_KIB : n < GA_GIB ? GA_MIB : GA_GIB;
    snprintf(a.text, sizeof a.text, "%.1f %ciB", (double)n / (double)unit,
             unit == GA_KIB ? 'K' : unit == GA_MIB ? 'M' : 'G');
    return a;
}

static void bytes_line(int fd, const char *sign, const char *name, uint64_t n, const char *what) {
    line(fd, "  %1s %-19s %15s %11s  %s\n", sign, name, grouped(n).text, human(n).text, what);
}

static void write_ledger(int fd, const struct memstats *m, uint64_t peak) {
    bytes_line(fd, "", "heap_inuse", m->heap_inuse, "spans in use");
    bytes_line(fd, "+", "heap_idle", m->heap_idle, "free spans, released ones included");
    bytes_line(fd, "+", "stack_sys", m->stack_sys, "frame stacks");
    bytes_line(fd, "+", "mspan_sys", m->mspan_sys, "span structures");
    bytes_line(fd, "+", "mcache_sys", m->mcache_sys, "caches");
    bytes_line(fd, "+", "gc_sys", m->gc_sys, "bitmaps and page tables");
    bytes_line(fd, "+", "other_sys", m->other_sys + m->buck_hash_sys, "everything else");
    bytes_line(fd, "=", "sys", m->sys, "address space in use");
    bytes_line(fd, "", "heap_released", m->heap_released, "of heap_idle: costs no memory");
    bytes_line(fd, "", "heap_inuse_released", m->inuse_released, "of heap_inuse: given back too");
    bytes_line(fd, "", "peak", peak, "heap_inuse at its highest");
    bytes_line(fd, "", "total_alloc", m->total_alloc, "allocated since the start");
    bytes_line(fd, "", "heap_alloc", m->heap_alloc, "live blocks");
    line(fd, "    mallocs %s - frees %s = %s live objects\n", grouped(m->mallocs).text,
         grouped(m->frees).text, grouped(m->heap_objects).text);
}

static void write_busiest(int fd, const struct class_stats *classes) {
    bool shown[GA_NUM_SPAN_CLASSES] = {false};
    line(fd, "  %-12s %10s %15s %15s %11s %8s\n", "class", "bytes/obj", "mallocs", "frees", "live",
         "spans");
    for (unsigned rank = 0; rank < BUSIEST; rank++) {
        const struct class_stats *best = NULL;
        for (unsigned spc = 0; spc < GA_NUM_SPAN_CLASSES; spc++)
            if (!shown[spc] && classes[spc].mallocs != 0 &&
                (best == NULL || classes[spc].mallocs > best->mallocs))
                best = &classes[spc];
        if (best == NULL)
            return;
        shown[best->spanclass] = true;
        char name[24], size[24] = "large";
        snprintf(name, sizeof name, "%u %s", best->sizeclass, best->noscan ? "noscan" : "scan");
        if (best->sizeclass != 0)
            snprintf(size, sizeof size, "%llu", (unsigned long long)best->elem_size);
        line(fd, "  %-12s %10s %15s %15s %11s %8s\n", name, size, grouped(best->mallocs).text,
             grouped(best->frees).text, grouped(best->live).text, grouped(best->spans).text);
    }
}

void report_write(struct mheap *h, int fd) {
    struct memstats m;
    struct class_stats classes[GA_NUM_SPAN_CLASSES];
    inspect_memstats(h, &m);
    inspect_class_stats(h, classes);
    line(fd, "goalloc: memory statistics, when the interpreter has ended\n");
    mutex_lock(&h->lock);
    uint64_t peak = h->peak_in_use << GA_PAGE_SHIFT;
    mutex_unlock(&h->lock);
    write_ledger(fd, &m, peak);
    line(fd, "  the busiest classes\n");
    write_busiest(fd, classes);
}

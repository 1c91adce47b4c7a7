/* Dies as a program does whose block stands between guard pages (guard.h); the argument says of
 * what.  The first block is at the start of its slot, the second at the end. */
#include <signal.h>
#include <string.h>

#include "guard.h"

static struct guards *g;

static void take(void *ctx, enum ga_domain domain, struct guard_trace *out) {
    (void)domain;
    out->n = 1;
    out->thread = 7;
    out->locs[0] = ++*(uint32_t *)ctx;
}

static void write_trace(void *ctx, const struct guard_trace *trace, const char *title) {
    (void)ctx;
    ga_say("  %s by thread %u at place %u", title, trace->thread, trace->locs[0]);
}

static void drop(void *p) { guard_free(g, p, DOMAIN_OBJ, CALL_FREE); }

static void touch(volatile char *p, const char *how) {
    if (strcmp(how, "read") == 0)
        (void)*p;
    else
        *p = 1;
}

/* What each crime does to `low`, at the start of its slot, and `high`, at the end of one. */
static void commit(const char *crime, char *low, char *high, size_t size) {
    size_t stride = guard_area_of(g, (uintptr_t)low)->stride;
    if (strcmp(crime, "overflow") == 0)
        touch(high + ((size + 15) & ~(size_t)15), "write");
    else if (strcmp(crime, "overflow_read") == 0)
        touch(high + ((size + 15) & ~(size_t)15) + 100, "read");
    else if (strcmp(crime, "overflow_found") == 0)
        touch(low + size + 2, "write"), drop(low);
    else if (strcmp(crime, "underflow") == 0)
        touch(low - 1, "write");
    else if (strcmp(crime, "underflow_found") == 0)
        touch(high - 3, "write"), drop(high);
    else if (strcmp(crime, "write_after_free") == 0)
        drop(high), touch(high + 5, "write");
    else if (strcmp(crime, "read_after_free") == 0)
        drop(low), touch(low + 5, "read");
    else if (strcmp(crime, "double_free") == 0)
        drop(low), drop(low);
    else if (strcmp(crime, "realloc_freed") == 0)
        drop(low), guard_size(g, low, DOMAIN_OBJ, CALL_REALLOC);
    else if (strcmp(crime, "interior") == 0)
        drop(low + 16);
    else if (strcmp(crime, "unallocated") == 0)
        drop(low + 2 * stride);
    else if (strcmp(crime, "nowhere") == 0)
        touch(low + 8 * stride, "read");
    else if (strcmp(crime, "mixed") == 0)
        guard_free(g, low, DOMAIN_MEM, CALL_FREE);
    else if (strcmp(crime, "realloc_mixed") == 0)
        guard_free(g, low, DOMAIN_RAW, CALL_REALLOC);
}

static bool has_prefix(const char **crime, const char *prefix) {
    bool has = strncmp(*crime, prefix, strlen(prefix)) == 0;
    *crime += has ? strlen(prefix) : 0;
    return has;
}

/* As in production: all that are used by turns. */
static void use_all_slots(void) {
    guards_expect(g, GA_GUARD_RATE_MAX);
    for (size_t i = 0; i < 2 * GA_GUARD_KEPT / g->page; i++) {
        void *p = guard_malloc(g, 500, DOMAIN_MEM);
        memset(p, 0xAB, 500);
        guard_free(g, p, DOMAIN_MEM, CALL_FREE);
    }
}

int main(int argc, char **argv) {
    struct os os;
    uint32_t place = 0;
    os_init(&os);
    struct guard_tracer tracer = {take, write_trace, &place};
    g = guards_new(&os, &tracer);
    guard_watch(g);
    const char *crime = argc > 1 ? argv[1] : "";
    bool large = has_prefix(&crime, "large_"), kept = has_prefix(&crime, "kept_");
    size_t size = large ? 100000 : 100;
    if (kept)
        use_all_slots();
    place = 0;
    char *low = guard_malloc(g, size, DOMAIN_OBJ), *high = guard_malloc(g, size, DOMAIN_OBJ);
    commit(crime, low, high, size);
    memset(low, 1, size);
    memset(high, 1, size);
    drop(low);
    drop(high);
    guards_delete(g);
    return 0;
}

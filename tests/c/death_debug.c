/* Dies as a program does that misuses memory in a debugging run (debug.h); the argument says
 * how. */
#include <stdlib.h>
#include <string.h>

#include "debug.h"
#include "profile.h"

static struct mheap *h;
static struct mcache *c;
static struct debugger *d;
static struct profile profile;

static char *make(size_t size) { return debug_malloc(d, c, size, DOMAIN_OBJ); }
static void drop(void *p) { debug_free(d, c, p, DOMAIN_OBJ, RING_MAIN); }
static void drop_at_once(void *p) { debug_free(d, c, p, DOMAIN_OBJ, RING_NONE); }

static void overrun(const char *how, char *p, size_t size) {
    if (strcmp(how, "byte") == 0)
        p[size] = 1;
    else if (strcmp(how, "far") == 0)
        p[size + 5] = 1;
    else
        memset(p, 0, size + 64);
}

/* Two blocks side by side, of which one waits in the ring when the other is misused. */
static void between_neighbours(const char *how) {
    char *front = make(100), *behind = make(100);
    while (behind != front + 128) {
        front = behind;
        behind = make(100);
    }
    if (strncmp(how, "underflow", 9) == 0) {
        drop(front);
        behind[-1] ^= 3; /* a seal may end in any byte */
        drop(behind);
    } else if (strncmp(how, "first_byte", 10) == 0) { /* front is well: it was no overflow */
        drop(behind);
        behind[0] = 1;
    } else {
        drop(behind);
        memset(front + 100, strstr(how, "zero") ? 0 : 1, 30); /* two bytes too far for its slot */
    }
    if (strstr(how, "_ring"))
        for (unsigned i = 0; i < 2 * DEBUG_RING_SLOTS; i++)
            drop(make(1000));
    debug_check(d);
}

/* A block of 100 bytes, or one of 100,000. */
static void commit(const char *crime, char *p, size_t size) {
    if (strncmp(crime, "overflow_", 9) == 0) {
        overrun(crime + 9, p, size);
        drop(p);
    } else if (strcmp(crime, "realloc_overflow") == 0) {
        overrun("byte", p, size);
        debug_realloc(d, c, p, 5, DOMAIN_OBJ, RING_MAIN);
    } else if (strcmp(crime, "check_overflow") == 0) {
        overrun("byte", p, size);
        debug_check(d);
    } else if (strcmp(crime, "double_free") == 0) {
        drop(p);
        drop(p);
    } else if (strcmp(crime, "realloc_freed") == 0) {
        drop(p);
        debug_realloc(d, c, p, 5, DOMAIN_OBJ, RING_MAIN);
    } else if (strcmp(crime, "after_realloc") == 0) {
        debug_realloc(d, c, p, size + 1, DOMAIN_OBJ, RING_MAIN);
        drop(p);
    } else if (strcmp(crime, "write_after_free_check") == 0) {
        drop(p);
        p[7] = 1;
        debug_check(d);
    } else if (strcmp(crime, "write_after_free_ring") == 0) {
        drop(p);
        p[7] = 1;
        for (unsigned i = 0; i < 2 * DEBUG_RING_SLOTS; i++)
            drop(make(size));
    } else if (strcmp(crime, "write_after_free_reuse") == 0) {
        drop_at_once(p);
        p[7] = 1;
        make(size);
    } else if (strncmp(crime, "neighbour_", 10) == 0) {
        between_neighbours(crime + 10);
    } else if (strcmp(crime, "interior") == 0) {
        drop(p + 16);
    } else if (strcmp(crime, "foreign") == 0) {
        drop(&c);
    } else if (strncmp(crime, "mixed_", 6) == 0) {
        enum ga_domain domain = (enum ga_domain)(crime[6] - '0');
        debug_free(d, c, p, domain, RING_NONE);
    } else if (strncmp(crime, "realloc_mixed_", 14) == 0) {
        enum ga_domain domain = (enum ga_domain)(crime[14] - '0');
        debug_realloc(d, c, p, 5, domain, RING_NONE);
    }
}

static void sample_every_block(void) {
    if (!profile_init(&profile, &h->profile_budget))
        abort();
    h->profile = &profile;
    mcaches_set_sample_rate(h, 1);
}

int main(int argc, char **argv) {
    h = heap_new(LAYOUT_SPARSE, 0);
    c = mcache_new(h, MCACHE_HEAP, h->central);
    d = debug_new(h, 0);
    const char *crime = argc > 1 ? argv[1] : "";
    if (strncmp(crime, "sampled_", 8) == 0) {
        sample_every_block();
        crime += 8;
    }
    bool large = strncmp(crime, "large_", 6) == 0;
    char *neighbour = make(100), *small = make(100), *big = make(100000);
    commit(large ? crime + 6 : crime, large ? big : small, large ? 100000 : 100);
    debug_check(d);
    drop(small);
    drop(big);
    drop(neighbour);
    return 0;
}

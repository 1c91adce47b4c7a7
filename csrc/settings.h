/* settings: what the environment asks of the process heap, and the texts that stand for amounts. */
#ifndef GA_SETTINGS_H
#define GA_SETTINGS_H

#include "arena.h"

struct settings {
    enum arena_layout layout;   /* GOALLOC_LAYOUT */
    size_t linear_bytes;        /* GOALLOC_LINEAR_SIZE; 0: the default */
    uint64_t scavenge_delay_ns; /* GOALLOC_SCAVENGE_DELAY; UINT64_MAX: never */
    bool scavenge_delay_given;  /* be it the default */
    uint64_t memory_limit;      /* GOALLOC_MEMORY_LIMIT, bytes; UINT64_MAX: none */
    enum huge_pages huge_pages; /* GOALLOC_HUGE_PAGES */
    uint64_t profile_rate;      /* GOALLOC_PROFILE_RATE, bytes; 0 (or off): none, 1: every block */
    bool random_arenas;         /* GOALLOC_RANDOM_ARENAS */
    uint64_t guard_rate;        /* GOALLOC_GUARD: one in so many blocks; 0: none */
    uint64_t debug;             /* GOALLOC_DEBUG: operations between two checks; 0: off */
};

/* Each variable; one that makes no sense gets a warning on stderr and counts as not set, an empty
 * one just counts as not set.  "off" is said of all that can be off, and 0 of those that are
 * numbers, but for a delay and a limit.  A GOALLOC_ name that is not ours gets a warning. */
void settings_read(struct settings *s);

/* The same in every locale.  False: no such text, or out of range; the result is untouched. */
/* "64GiB", "512 MiB", "1000", "1000B" */
bool parse_bytes(const char *text, uint64_t *nbytes);
/* "1", "0.5"; "off" and "inf": UINT64_MAX.  What is less than a nanosecond is cut off. */
bool parse_seconds(const char *text, uint64_t *ns);
/* Bytes, but not 0; "off": UINT64_MAX; "cgroup": a part of what the control group allows, or
 * UINT64_MAX. */
bool parse_memory_limit(const char *text, uint64_t *nbytes);

#endif

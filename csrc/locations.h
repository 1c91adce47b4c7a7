/* locations: the places in a program that stacks of the heap profile consist of, each kept once.
 *
 * A location is a line of a function; a function has a name, a file and a first line.  They are
 * copies: code objects may die, and so may what is made anew at their address.  What has an id
 * keeps it, and stays.  Texts are UTF-8, but for names of threads, which are what the system was
 * told.
 *
 * Knows nothing of Python.  Lock: the caller's, around everything that adds (the profile's).
 * All memory is the budget's; what does not fit is DROPPED and counted. */
#ifndef GA_LOCATIONS_H
#define GA_LOCATIONS_H

#include "config.h"
#include "table.h"

/* The ids that are there from the beginning; as locations, lines 0 of functions of the same id.
 * DROPPED is also the thread that could not be kept, and its native id is 0. */
enum {
    LOCATION_DROPPED,   /* "<dropped>" */
    LOCATION_NO_FRAME,  /* "<no Python frame>" */
    LOCATION_TRUNCATED, /* "<truncated>": there are more callers */
    LOCATIONS_RESERVED
};

struct text {
    uint32_t hash;
    uint32_t nbytes;
    const char *bytes; /* not terminated */
};

struct function {
    uint32_t hash;
    uint32_t name, file; /* texts */
    int32_t first_line;
};

struct location {
    uint32_t hash;
    uint32_t function;
    int32_t line;
};

struct thread {
    uint32_t hash;
    uint32_t name;      /* a text */
    uint64_t native_id; /* the system's, under which its tools know it */
};

struct locations {
    struct budget *budget;
    struct table texts, functions, locations, threads;
    uint64_t dropped; /* calls that answered DROPPED for want of memory */
};

/* False: no memory. */
bool locations_init(struct locations *l, struct budget *budget);
/* Returns what can be returned; the rest goes with the heap. */
void locations_destroy(struct locations *l);

uint32_t locations_add_function(struct locations *l, const char *name, size_t name_nbytes,
                                const char *file, size_t file_nbytes, int32_t first_line);
/* Of the function LOCATION_DROPPED: LOCATION_DROPPED. */
uint32_t locations_add(struct locations *l, uint32_t function, int32_t line);
/* Beyond GA_PROFILE_THREADS_MAX threads new ones are all "<other threads>", with the native id 0: a
 * service that makes a thread for each request must not fill the budget with their buckets. */
uint32_t locations_add_thread(struct locations *l, uint64_t native_id, const char *name,
                              size_t name_nbytes);

/* By id; below locations.n and so on.  They stay where they are, and need no lock. */
GA_INLINE const struct text *locations_text(const struct locations *l, uint32_t id) {
    return table_row(&l->texts, id);
}

GA_INLINE const struct function *locations_function(const struct locations *l, uint32_t id) {
    return table_row(&l->functions, id);
}

GA_INLINE const struct location *locations_get(const struct locations *l, uint32_t id) {
    return table_row(&l->locations, id);
}

GA_INLINE const struct thread *locations_thread(const struct locations *l, uint32_t id) {
    return table_row(&l->threads, id);
}

#endif

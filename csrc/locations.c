/* See locations.h. */
#include "locations.h"

#include "fatal.h"
#include "hash.h"

#define NO_ID UINT32_MAX

/* ---- each kind: its id, old or new; NO_ID: no memory ---------------------------------------- */

static bool same_text(const void *row, const void *key) {
    const struct text *a = row, *b = key;
    return a->nbytes == b->nbytes && memcmp(a->bytes, b->bytes, a->nbytes) == 0;
}

static struct text text_key(const char *bytes, size_t nbytes) {
    GA_CHECK(nbytes < UINT32_MAX);
    return (struct text){(uint32_t)(ga_hash_bytes(bytes, nbytes) >> 32), (uint32_t)nbytes, bytes};
}

static uint32_t find_text(const struct locations *l, const struct text *key) {
    uint32_t id;
    return table_find(&l->texts, key->hash, same_text, key, &id) != NULL ? id : NO_ID;
}

static uint32_t intern_text(struct locations *l, const char *bytes, size_t nbytes) {
    struct text key = text_key(bytes, nbytes), *t;
    uint32_t id = find_text(l, &key);
    if (id != NO_ID)
        return id;
    char *copy = NULL;
    if (table_has_room(&l->texts))
        copy = budget_keep(l->budget, nbytes + (nbytes == 0), 1);
    if (copy == NULL || (t = table_add(&l->texts, key.hash, &id)) == NULL)
        return NO_ID;
    t->nbytes = key.nbytes;
    t->bytes = memcpy(copy, bytes, nbytes);
    return id;
}

static bool same_function(const void *row, const void *key) {
    const struct function *a = row, *b = key;
    return a->name == b->name && a->file == b->file && a->first_line == b->first_line;
}

static uint32_t intern_function(struct locations *l, uint32_t name, uint32_t file,
                                int32_t first_line) {
    const uint32_t words[] = {name, file, (uint32_t)first_line};
    struct function key = {table_hash(0, words, 3), name, file, first_line}, *f;
    uint32_t id;
    if (table_find(&l->functions, key.hash, same_function, &key, &id) != NULL)
        return id;
    if ((f = table_add(&l->functions, key.hash, &id)) == NULL)
        return NO_ID;
    *f = key;
    return id;
}

static bool same_location(const void *row, const void *key) {
    const struct location *a = row, *b = key;
    return a->function == b->function && a->line == b->line;
}

static uint32_t intern_location(struct locations *l, uint32_t function, int32_t line) {
    const uint32_t words[] = {function, (uint32_t)line};
    struct location key = {table_hash(0, words, 2), function, line}, *where;
    uint32_t id;
    if (table_find(&l->locations, key.hash, same_location, &key, &id) != NULL)
        return id;
    if ((where = table_add(&l->locations, key.hash, &id)) == NULL)
        return NO_ID;
    *where = key;
    return id;
}

static bool same_thread(const void *row, const void *key) {
    const struct thread *a = row, *b = key;
    return a->native_id == b->native_id && a->name == b->name;
}

static struct thread thread_key(uint64_t native_id, uint32_t name) {
    const uint32_t words[] = {(uint32_t)native_id, (uint32_t)(native_id >> 32), name};
    return (struct thread){table_hash(0, words, 3), name, native_id};
}

static uint32_t find_thread(const struct locations *l, const struct thread *key) {
    uint32_t id;
    return table_find(&l->threads, key->hash, same_thread, key, &id) != NULL ? id : NO_ID;
}

static uint32_t intern_thread(struct locations *l, uint64_t native_id, uint32_t name) {
    struct thread key = thread_key(native_id, name), *t;
    uint32_t id = find_thread(l, &key);
    if (id != NO_ID)
        return id;
    if ((t = table_add(&l->threads, key.hash, &id)) == NULL)
        return NO_ID;
    *t = key;
    return id;
}

/* ---- entry points --------------------------------------------------------------------------- */

static uint32_t counted(struct locations *l, uint32_t id) {
    if (GA_LIKELY(id != NO_ID))
        return id;
    l->dropped++;
    return LOCATION_DROPPED;
}

uint32_t locations_add_function(struct locations *l, const char *name, size_t name_nbytes,
                                const char *file, size_t file_nbytes, int32_t first_line) {
    uint32_t n = intern_text(l, name, name_nbytes), f = NO_ID, id = NO_ID;
    if (n != NO_ID && (f = intern_text(l, file, file_nbytes)) != NO_ID)
        id = intern_function(l, n, f, first_line);
    return counted(l, id);
}

uint32_t locations_add(struct locations *l, uint32_t function, int32_t line) {
    if (function == LOCATION_DROPPED)
        return LOCATION_DROPPED;
    return counted(l, intern_location(l, function, line));
}

/* A thread when there are as many as are told apart: one of them, or the one that stands for the
 * rest. */
static uint32_t add_thread_to_many(struct locations *l, uint64_t native_id, const char *name,
                                   size_t name_nbytes) {
    static const char others[] = "<other threads>";
    struct text text = text_key(name, name_nbytes);
    uint32_t n = find_text(l, &text);
    struct thread key = thread_key(native_id, n);
    uint32_t id = n != NO_ID ? find_thread(l, &key) : NO_ID;
    if (id == NO_ID && (n = intern_text(l, others, strlen(others))) != NO_ID)
        id = intern_thread(l, 0, n);
    return id;
}

uint32_t locations_add_thread(struct locations *l, uint64_t native_id, const char *name,
                              size_t name_nbytes) {
    if (l->threads.n >= GA_PROFILE_THREADS_MAX)
        return counted(l, add_thread_to_many(l, native_id, name, name_nbytes));
    uint32_t n = intern_text(l, name, name_nbytes);
    return counted(l, n != NO_ID ? intern_thread(l, native_id, n) : NO_ID);
}

/* In the order of their ids. */
static bool add_reserved(struct locations *l) {
    static const char *const names[LOCATIONS_RESERVED] = {
        [LOCATION_DROPPED] = "<dropped>",
        [LOCATION_NO_FRAME] = "<no Python frame>",
        [LOCATION_TRUNCATED] = "<truncated>",
    };
    for (uint32_t id = 0; id < LOCATIONS_RESERVED; id++) {
        locations_add_function(l, names[id], strlen(names[id]), "", 0, 0);
        counted(l, intern_location(l, id, 0));
    }
    const char *name = names[LOCATION_DROPPED];
    locations_add_thread(l, 0, name, strlen(name));
    return l->dropped == 0;
}

bool locations_init(struct locations *l, struct budget *budget) {
    l->budget = budget;
    l->dropped = 0;
    table_init(&l->texts, budget, sizeof(struct text));
    table_init(&l->functions, budget, sizeof(struct function));
    table_init(&l->locations, budget, sizeof(struct location));
    table_init(&l->threads, budget, sizeof(struct thread));
    if (add_reserved(l))
        return true;
    locations_destroy(l);
    return false;
}

void locations_destroy(struct locations *l) {
    table_destroy(&l->texts);
    table_destroy(&l->functions);
    table_destroy(&l->locations);
    table_destroy(&l->threads);
}

/* locations: ids against a slow model, texts that outlive the caller's, the three that are
 * always there; within the budget, and with every call of the system failing in turn.
 * larger pages: */
#include "locations.h"

#include <string.h>

#include "check.h"
#include "config.h"
#include "rng.h"

enum { NAMES = 700, FUNCTIONS = 900, LOCATIONS = 4000, THREADS = 500, OPS = 20000 };

struct world {
    struct os os;
    struct persistentalloc persistent;
    struct budget budget;
    struct locations l;
};

/* What has been added, by id; the reserved ones are not in it. */
static struct model {
    int name[FUNCTIONS + 8], file[FUNCTIONS + 8], first_line[FUNCTIONS + 8];
    uint32_t function[LOCATIONS + 8];
    int line[LOCATIONS + 8];
    uint64_t native_id[THREADS + 8];
    int thread_name[THREADS + 8];
    uint32_t functions, locations, threads;
} model;

static void world_init(struct world *w, uint64_t cap) {
    os_init(&w->os);
    persistentalloc_init(&w->persistent, &w->os);
    budget_init(&w->budget, &w->persistent, cap);
    memset(&model, 0, sizeof model);
    model.functions = model.locations = LOCATIONS_RESERVED;
    model.threads = 1;
}

/* Of the pages nothing is left; what is of persistentalloc stays until that goes. */
static void world_destroy(struct world *w) {
    uint64_t calls = w->os.ncalls, used = w->budget.used;
    locations_destroy(&w->l);
    CHECK_EQ((used - w->budget.used) % os_page_size(), 0);
    CHECK(w->os.ncalls > calls);
    persistentalloc_destroy(&w->persistent);
}

/* The i-th text: short, long, empty, not ASCII, and one a beginning of another. */
static size_t text_of(int i, char *out) {
    static const char *const odd[] = {"", "\xc3\xa9t\xc3\xa9", "f", "f.<locals>.f"};
    if ((size_t)i < sizeof odd / sizeof odd[0])
        return (size_t)sprintf(out, "%s", odd[i]);
    size_t n = (size_t)sprintf(out, "function_%d", i);
    for (; i % 50 == 0 && n < 3000; n++)
        out[n] = 'x';
    return n;
}

static bool text_is(const struct locations *l, uint64_t id, int i) {
    char text[4096];
    size_t n = text_of(i, text);
    const struct text *t = locations_text(l, id);
    return t->nbytes == n && memcmp(t->bytes, text, n) == 0;
}

static bool name_is(const struct locations *l, uint32_t function, const char *name) {
    const struct text *t = locations_text(l, locations_function(l, function)->name);
    return t->nbytes == strlen(name) && memcmp(t->bytes, name, t->nbytes) == 0;
}

/* Each adds something, old or new, and returns whether it was dropped. */
static bool add_function(struct world *w, struct rng *r) {
    int name = (int)(rng_next(r) % NAMES), file = (int)(rng_next(r) % 5);
    int first_line = (int)(rng_next(r) % 2);
    char a[4096], b[4096];
    size_t na = text_of(name, a), nb = text_of(file, b);
    uint32_t id = locations_add_function(&w->l, a, na, b, nb, first_line), i;
    memset(a, '?', sizeof a);
    if (id == LOCATION_DROPPED)
        return true;
    for (i = LOCATIONS_RESERVED; i < model.functions; i++)
        if (model.name[i] == name && model.file[i] == file && model.first_line[i] == first_line)
            break;
    CHECK_EQ(id, i);
    if (i == model.functions && i < FUNCTIONS) {
        model.functions++;
        model.name[i] = name;
        model.file[i] = file;
        model.first_line[i] = first_line;
    }
    return false;
}

static bool add_location(struct world *w, struct rng *r) {
    uint32_t function = rng_next(r) % model.functions, i;
    int line = (int)(rng_next(r) % 3);
    if (function < LOCATIONS_RESERVED)
        return false;
    uint32_t id = locations_add(&w->l, function, line);
    if (id == LOCATION_DROPPED)
        return true;
    for (i = LOCATIONS_RESERVED; i < model.locations; i++)
        if (model.function[i] == function && model.line[i] == line)
            break;
    CHECK_EQ(id, i);
    if (i == model.locations) {
        model.locations++;
        model.function[i] = function;
        model.line[i] = line;
    }
    return false;
}

static bool add_thread(struct world *w, struct rng *r) {
    uint64_t native_id = 1 + rng_next(r) % (THREADS / 4);
    int name = (int)(rng_next(r) % 3);
    char text[4096];
    size_t n = text_of(name, text);
    uint32_t id = locations_add_thread(&w->l, native_id, text, n), i;
    if (id == LOCATION_DROPPED)
        return true;
    for (i = 1; i < model.threads; i++)
        if (model.native_id[i] == native_id && model.thread_name[i] == name)
            break;
    CHECK_EQ(id, i);
    if (i == model.threads) {
        model.threads++;
        model.native_id[i] = native_id;
        model.thread_name[i] = name;
    }
    return false;
}

static void compare(const struct world *w) {
    const struct locations *l = &w->l;
    CHECK(name_is(l, locations_get(l, LOCATION_DROPPED)->function, "<dropped>"));
    CHECK(name_is(l, locations_get(l, LOCATION_NO_FRAME)->function, "<no Python frame>"));
    CHECK(name_is(l, locations_get(l, LOCATION_TRUNCATED)->function, "<truncated>"));
    CHECK_EQ(locations_thread(l, LOCATION_DROPPED)->native_id, 0);
    CHECK_EQ(l->functions.n, model.functions);
    CHECK_EQ(l->locations.n, model.locations);
    CHECK_EQ(l->threads.n, model.threads);
    for (uint32_t i = LOCATIONS_RESERVED; i < model.functions; i++) {
        const struct function *f = locations_function(l, i);
        CHECK(text_is(l, f->name, model.name[i]));
        CHECK(text_is(l, f->file, model.file[i]));
        CHECK_EQ(f->first_line, model.first_line[i]);
    }
    for (uint32_t i = LOCATIONS_RESERVED; i < model.locations; i++) {
        CHECK_EQ(locations_get(l, i)->function, model.function[i]);
        CHECK_EQ(locations_get(l, i)->line, model.line[i]);
    }
    for (uint32_t i = 1; i < model.threads; i++) {
        CHECK_EQ(locations_thread(l, i)->native_id, model.native_id[i]);
        CHECK(text_is(l, locations_thread(l, i)->name, model.thread_name[i]));
    }
}

/* How many were dropped. */
static uint64_t work(struct world *w, struct rng *r, int ops) {
    uint64_t dropped = 0;
    for (int i = 0; i < ops && model.functions < FUNCTIONS; i++) {
        uint32_t what = rng_next(r) % 8;
        dropped += what == 0   ? add_function(w, r)
                   : what == 1 ? add_thread(w, r)
                               : add_location(w, r);
        CHECK(w->budget.used <= w->budget.cap);
        CHECK_EQ(w->l.dropped, dropped);
    }
    return dropped;
}

static void test_model(uint64_t seed) {
    struct world w;
    struct rng r;
    rng_seed(&r, seed);
    world_init(&w, UINT64_MAX);
    CHECK(locations_init(&w.l, &w.budget));
    compare(&w);
    CHECK_EQ(work(&w, &r, OPS), 0);
    CHECK(model.locations > 1000); /* so tables have grown */
    compare(&w);
    world_destroy(&w);
}

/* Whatever the cap, what fits is right and the rest is counted. */
static void test_cap(uint64_t seed) {
    bool never = false, some = false;
    size_t page = os_page_size(); /* the least that a budget gives */
    for (uint64_t cap = 0; cap < 50 * page; cap += 7 * page / 4) {
        struct world w;
        struct rng r;
        rng_seed(&r, seed);
        world_init(&w, cap);
        if (!locations_init(&w.l, &w.budget)) {
            never = true;
            persistentalloc_destroy(&w.persistent);
            continue;
        }
        some |= work(&w, &r, OPS / 4) != 0;
        compare(&w);
        world_destroy(&w);
    }
    CHECK(never && some);
}

/* Where only the table is full, the texts that it has no row for take no room either. */
static void test_dropped_takes_nothing(void) {
    struct world w;
    char name[32];
    world_init(&w, UINT64_MAX);
    CHECK(locations_init(&w.l, &w.budget));
    w.budget.cap = w.budget.used + 1500;
    uint64_t used = 0;
    for (int i = 0; w.l.dropped < 50; i++) {
        used = w.l.dropped == 0 ? w.budget.used : used;
        locations_add_thread(&w.l, 1, name, (size_t)sprintf(name, "thread %d", i));
    }
    CHECK(used + sizeof name < w.budget.cap); /* it was not for want of room for a text */
    CHECK(w.budget.used <= used + sizeof name);
    world_destroy(&w);
}

/* A thread for each request: the first ones are told apart for ever, the others are one, and take
 * nothing. */
static void test_threads_without_end(void) {
    enum { MANY = 5 * GA_PROFILE_THREADS_MAX };
    struct world w;
    char name[16];
    uint32_t id[MANY];
    uint64_t used = 0;
    world_init(&w, UINT64_MAX);
    CHECK(locations_init(&w.l, &w.budget));
    for (uint32_t i = 0; i < MANY; i++) {
        id[i] = locations_add_thread(&w.l, i + 1, name, (size_t)sprintf(name, "thread %u", i));
        used = i == MANY / 2 ? w.budget.used : used;
    }
    uint32_t others = id[MANY - 1];
    CHECK_EQ(w.budget.used, used);
    CHECK_EQ(w.l.threads.n, GA_PROFILE_THREADS_MAX + 1);
    CHECK_EQ(locations_thread(&w.l, others)->native_id, 0);
    const struct text *called = locations_text(&w.l, locations_thread(&w.l, others)->name);
    CHECK_EQ(called->nbytes, strlen("<other threads>"));
    CHECK_EQ(memcmp(called->bytes, "<other threads>", called->nbytes), 0);
    for (uint32_t i = 0; i < MANY; i++) {
        uint32_t again =
            locations_add_thread(&w.l, i + 1, name, (size_t)sprintf(name, "thread %u", i));
        CHECK_EQ(again, id[i]);
        /* the dropped one is the first */
        CHECK_EQ(again == others, i >= GA_PROFILE_THREADS_MAX - 1);
    }
    CHECK_EQ(w.l.dropped, 0);
    world_destroy(&w);
}

/* Call k of the system fails, for every k; the run goes on behind it. */
static void test_failures(uint64_t seed) {
    uint64_t all_dropped = 0;
    for (uint64_t k = 1;; k++) {
        struct world w;
        struct rng r;
        rng_seed(&r, seed);
        world_init(&w, UINT64_MAX);
        atomic_store(&w.os.fail_at, k);
        bool made = locations_init(&w.l, &w.budget);
        uint64_t calls = w.os.ncalls;
        CHECK_EQ(made, k > calls);
        if (!made) {
            persistentalloc_destroy(&w.persistent);
            continue;
        }
        uint64_t dropped = work(&w, &r, OPS / 2);
        calls = w.os.ncalls;
        CHECK(dropped <= (k <= calls)); /* giving back never fails */
        all_dropped += dropped;
        compare(&w);
        world_destroy(&w);
        if (k > calls)
            break;
    }
    CHECK(all_dropped > 0);
}

int main(void) {
    uint64_t seed = check_seed();
    test_model(seed);
    test_cap(seed);
    test_dropped_takes_nothing();
    test_threads_without_end();
    test_failures(seed);
    return check_summary();
}

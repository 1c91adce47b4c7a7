/* Malloc/free patterns through CPython's own allocator functions, timed.
 *
 * measure(pattern, size, counts, live) sets a pattern up once, runs it once for each count and
 * returns the nanoseconds per malloc+free pair of each run.  Only the loop of the pattern is timed,
 * and each loop is a function of its own (pairs_lifo, ...), so that callgrind can count its
 * instructions alone.
 *
 * The domain is chosen when this is built, so that each call is the direct one of any extension.
 * Each block is written to, as a program would, unless built with -DPAIRS_TOUCH=0: the first write
 * to a cold block then falls to those allocators alone that keep their free list inside the blocks.
 *
 * Lock: the GIL is held throughout, as the obj domain demands. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#ifndef PAIRS_MALLOC
#define PAIRS_MALLOC PyObject_Malloc
#define PAIRS_FREE PyObject_Free
#endif

#ifndef PAIRS_TOUCH
#define PAIRS_TOUCH 1
#endif

enum {
    BATCH = 1000,       /* blocks a batch; the counts of the batch patterns are multiples of it */
    SHUFFLES = 16,      /* orders used in turn, so that no free list settles into one of them */
    MIXED_SIZES = 4096, /* drawn sizes used in turn; a power of two */
    MIXED_LIVE = 1000,
    MIXED_SMALLEST = 16,
    MIXED_LARGEST = 32768,
};

/* A pattern set up to run.  blocks[] holds the live blocks of the replacing patterns between runs,
 * and is scratch space for the batches. */
struct plan {
    size_t size;
    void **blocks;
    size_t nblocks;
    uint16_t *order; /* SHUFFLES permutations of 0..BATCH-1 */
    uint32_t *sizes; /* MIXED_SIZES sizes */
    uint64_t rng;
};

/* The compiler can't tell what happens to the block here, so no pair is dropped. */
static inline void use(void *block) {
    if (PAIRS_TOUCH)
        *(volatile char *)block = 1;
    __asm__ volatile("" : : "r"(block) : "memory");
}

/* A linear congruential step; the high half of the state is random enough to choose a block. */
static inline uint32_t next_random(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 32);
}

/* Even over 0..bound-1 without a division. */
static inline size_t random_below(uint64_t *state, size_t bound) {
    return (size_t)((uint64_t)next_random(state) * bound >> 32);
}

/* ---- the patterns; not static, so that their names survive for callgrind ---- */

__attribute__((noinline)) void pairs_lifo(struct plan *plan, size_t npairs) {
    size_t size = plan->size;
    for (size_t i = npairs; i > 0; i--) {
        void *block = PAIRS_MALLOC(size);
        use(block);
        PAIRS_FREE(block);
    }
}

__attribute__((noinline)) void pairs_fifo(struct plan *plan, size_t npairs) {
    void **blocks = plan->blocks;
    size_t size = plan->size;
    for (size_t batch = npairs / BATCH; batch > 0; batch--) {
        for (size_t i = 0; i < BATCH; i++) {
            blocks[i] = PAIRS_MALLOC(size);
            use(blocks[i]);
        }
        for (size_t i = 0; i < BATCH; i++)
            PAIRS_FREE(blocks[i]);
    }
}

__attribute__((noinline)) void pairs_random(struct plan *plan, size_t npairs) {
    void **blocks = plan->blocks;
    size_t size = plan->size;
    for (size_t batch = npairs / BATCH; batch > 0; batch--) {
        const uint16_t *order = plan->order + batch % SHUFFLES * BATCH;
        for (size_t i = 0; i < BATCH; i++) {
            blocks[i] = PAIRS_MALLOC(size);
            use(blocks[i]);
        }
        for (size_t i = 0; i < BATCH; i++)
            PAIRS_FREE(blocks[order[i]]);
    }
}

/* The new block comes before the old one goes, as when a Python variable is assigned to. */
__attribute__((noinline)) void pairs_replace(struct plan *plan, size_t npairs) {
    void **blocks = plan->blocks;
    size_t size = plan->size;
    size_t nblocks = plan->nblocks;
    uint64_t rng = plan->rng;
    for (size_t i = npairs; i > 0; i--) {
        size_t victim = random_below(&rng, nblocks);
        void *old = blocks[victim];
        blocks[victim] = PAIRS_MALLOC(size);
        use(blocks[victim]);
        PAIRS_FREE(old);
    }
    plan->rng = rng;
}

__attribute__((noinline)) void pairs_mixed(struct plan *plan, size_t npairs) {
    void **blocks = plan->blocks;
    const uint32_t *sizes = plan->sizes;
    size_t nblocks = plan->nblocks;
    uint64_t rng = plan->rng;
    for (size_t i = npairs; i > 0; i--) {
        size_t victim = random_below(&rng, nblocks);
        void *old = blocks[victim];
        blocks[victim] = PAIRS_MALLOC(sizes[i % MIXED_SIZES]);
        use(blocks[victim]);
        PAIRS_FREE(old);
    }
    plan->rng = rng;
}

/* ---- setting up ---- */

struct pattern {
    const char *name;
    void (*run)(struct plan *, size_t);
    bool batches; /* counts go by whole batches */
    bool keeps;   /* blocks stay live between runs */
};

static const struct pattern patterns[] = {
    {"lifo", pairs_lifo, false, false},     {"fifo", pairs_fifo, true, false},
    {"random", pairs_random, true, false},  {"replace", pairs_replace, false, true},
    {"mixed", pairs_mixed, false, true},
};

static void shuffle(uint16_t *order, uint64_t *rng) {
    for (size_t i = 0; i < BATCH; i++)
        order[i] = (uint16_t)i;
    for (size_t i = BATCH - 1; i > 0; i--) {
        size_t j = random_below(rng, i + 1);
        uint16_t swapped = order[i];
        order[i] = order[j];
        order[j] = swapped;
    }
}

/* Zipf-like: P(size > s) is about smallest/s, so most blocks are small and the tail is long. */
static uint32_t draw_size(uint64_t *rng) {
    uint64_t size = ((uint64_t)MIXED_SMALLEST << 32) / ((uint64_t)next_random(rng) + 1);
    return size > MIXED_LARGEST ? MIXED_LARGEST : (uint32_t)size;
}

static void plan_destroy(struct plan *plan, const struct pattern *pattern) {
    if (pattern->keeps && plan->blocks != NULL)
        for (size_t i = 0; i < plan->nblocks; i++)
            PAIRS_FREE(plan->blocks[i]);
    free(plan->blocks);
    free(plan->order);
    free(plan->sizes);
}

/* The tables come from calloc, not from the domain measured.  False without an exception set. */
static bool plan_init(struct plan *plan, const struct pattern *pattern) {
    plan->blocks = calloc(plan->nblocks, sizeof(*plan->blocks));
    plan->order = calloc((size_t)SHUFFLES * BATCH, sizeof(*plan->order));
    plan->sizes = calloc(MIXED_SIZES, sizeof(*plan->sizes));
    if (plan->blocks == NULL || plan->order == NULL || plan->sizes == NULL)
        return false;
    for (size_t i = 0; i < SHUFFLES; i++)
        shuffle(plan->order + i * BATCH, &plan->rng);
    for (size_t i = 0; i < MIXED_SIZES; i++)
        plan->sizes[i] = draw_size(&plan->rng);
    for (size_t i = 0; pattern->keeps && i < plan->nblocks; i++) {
        plan->blocks[i] = PAIRS_MALLOC(plan->size);
        if (plan->blocks[i] == NULL)
            return false;
        use(plan->blocks[i]);
    }
    return true;
}

static double now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Runs the pattern for each of the counts; a new list of ns per pair, or NULL with an exception. */
static PyObject *run_counts(struct plan *plan, const struct pattern *pattern, PyObject *counts) {
    Py_ssize_t nruns = PyTuple_GET_SIZE(counts);
    PyObject *results = PyList_New(nruns);
    for (Py_ssize_t i = 0; results != NULL && i < nruns; i++) {
        size_t npairs = PyLong_AsSize_t(PyTuple_GET_ITEM(counts, i));
        size_t step = pattern->batches ? BATCH : 1;
        if (!PyErr_Occurred() && (npairs == 0 || npairs % step != 0))
            PyErr_Format(PyExc_ValueError, "%s needs a multiple of %zu pairs, not %zu",
                         pattern->name, step, npairs);
        if (PyErr_Occurred()) {
            Py_CLEAR(results);
            break;
        }
        double start = now_ns();
        pattern->run(plan, npairs);
        PyObject *ns = PyFloat_FromDouble((now_ns() - start) / (double)npairs);
        if (ns == NULL)
            Py_CLEAR(results);
        else
            PyList_SET_ITEM(results, i, ns);
    }
    return results;
}

static const struct pattern *find_pattern(const char *name) {
    for (size_t i = 0; i < Py_ARRAY_LENGTH(patterns); i++)
        if (strcmp(patterns[i].name, name) == 0)
            return &patterns[i];
    PyErr_Format(PyExc_ValueError, "no pattern named '%s'", name);
    return NULL;
}

static PyObject *measure(PyObject *Py_UNUSED(module), PyObject *args) {
    const char *pattern_name;
    Py_ssize_t size, live;
    PyObject *counts;
    if (!PyArg_ParseTuple(args, "snO!n:measure", &pattern_name, &size, &PyTuple_Type, &counts,
                          &live))
        return NULL;
    if (size < 1 || live < 1 || live > UINT32_MAX) {
        PyErr_SetString(PyExc_ValueError, "size and live are at least 1, live below 2**32");
        return NULL;
    }
    const struct pattern *pattern = find_pattern(pattern_name);
    if (pattern == NULL)
        return NULL;

    struct plan plan = {.size = (size_t)size, .nblocks = BATCH, .rng = 1};
    if (pattern->run == pairs_replace)
        plan.nblocks = (size_t)live;
    else if (pattern->run == pairs_mixed)
        plan.nblocks = MIXED_LIVE;
    PyObject *results =
        plan_init(&plan, pattern) ? run_counts(&plan, pattern, counts) : PyErr_NoMemory();
    plan_destroy(&plan, pattern);
    return results;
}

static PyMethodDef methods[] = {
    {"measure", measure, METH_VARARGS,
     "measure(pattern, size, counts, live) -> [ns per pair of each run]"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_pairs",
    .m_doc = "Malloc/free patterns through CPython's allocator functions, timed.",
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__pairs(void);
PyMODINIT_FUNC PyInit__pairs(void) { return PyModuleDef_Init(&module); }

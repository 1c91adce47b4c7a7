/* See pystack.h; pystack_frame.h has what differs between the versions of CPython. */
#define Py_BUILD_CORE 1
#include <Python.h>

#include "pystack.h"

#include "fatal.h"
#include "hash.h"
#include "linetable.h"
#include "pystack_frame.h"

#define CACHE_MIN 64
#define CACHE_MAX 16384 /* beyond it the newest of those that fight for an entry has it */
#define CACHE_PROBES 8

/* What is known of one instruction of a code object: a line of the processor's cache. */
struct known_place {
    const PyCodeObject *code; /* NULL: a free entry */
    uint32_t unit;
    uint32_t location;
    uint64_t issuer;  /* of the code object's version; see issuer_of */
    uint32_t version; /* 0: not known */
    int32_t first_line;
    const struct text *name, *file;
    uint64_t table_hash; /* of the table_nbytes of the location table that say which line it is */
    uint32_t table_nbytes;
};

_Static_assert(sizeof(struct known_place) == GA_CACHE_LINE, "known_place is a cache line");

/* ---- texts ---------------------------------------------------------------------------------- */

/* Of a Python str, as UTF-8. */
struct utf8 {
    const char *bytes;
    size_t nbytes;
};

static size_t put_code_point(char *out, uint32_t c) {
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 63));
        out[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 63));
    out[2] = (char)(0x80 | (c >> 6 & 63));
    out[3] = (char)(0x80 | (c & 63));
    return 4;
}

static GA_NOINLINE struct utf8 encode(PyObject *str, char *scratch) {
    Py_ssize_t length = PyUnicode_GET_LENGTH(str);
    size_t n = 0;
    for (Py_ssize_t i = 0; i < length && n + 4 <= PYSTACK_TEXT_MAX; i++) {
        uint32_t c = PyUnicode_READ(PyUnicode_KIND(str), PyUnicode_DATA(str), i);
        n += put_code_point(scratch + n, c >= 0xd800 && c < 0xe000 ? '?' : c);
    }
    return (struct utf8){scratch, n};
}

GA_INLINE struct utf8 utf8_of(PyObject *str, char *scratch) {
    if (GA_UNLIKELY(str == NULL || !PyUnicode_Check(str) || !PyUnicode_IS_READY(str)))
        return (struct utf8){"?", 1};
    if (GA_UNLIKELY(!PyUnicode_IS_COMPACT_ASCII(str)))
        return encode(str, scratch);
    return (struct utf8){PyUnicode_DATA(str),
                         ga_min((size_t)PyUnicode_GET_LENGTH(str), PYSTACK_TEXT_MAX)};
}

static bool is_text(const struct text *t, struct utf8 u) {
    return t->nbytes == u.nbytes && memcmp(t->bytes, u.bytes, u.nbytes) == 0;
}

/* ---- versions of code objects --------------------------------------------------------------- */

/* Who counted the version of a code object that runs in interp, the calling thread's: an
 * interpreter, of one run of Python.  0: not known.
 *
 * An embedding program may end Python and start it again, in the same memory; then versions and the
 * ids of interpreters begin anew, and nothing calls us.  So an interpreter is marked when it is
 * first seen.  The mark is an index for data of code objects, of which each interpreter has many;
 * nobody sets any. */
static uint64_t issuer_of(PyInterpreterState *interp) {
    static _Atomic uint32_t nmarked;
    if (!frame_is_marked(interp)) {
        if (!frame_mark(interp))
            return 0;
        atomic_fetch_add(&nmarked, 1);
    }
    return (uint64_t)atomic_load(&nmarked) << 32 | (uint32_t)PyInterpreterState_GetID(interp);
}

/* ---- the cache ------------------------------------------------------------------------------ */

static size_t cache_nbytes(size_t n) {
    return ga_align_up(n * sizeof(struct known_place), os_page_size());
}

/* Where an instruction is, a free entry, or the one that is to make room for it. */
GA_INLINE struct known_place *entry_of(struct pystack *s, const PyCodeObject *code, uint32_t unit) {
    uint64_t hash = ga_hash_word(ga_hash_word(0, (uintptr_t)code), unit) >> 20;
    for (size_t i = 0; i < CACHE_PROBES; i++) {
        struct known_place *e = &s->cache[(hash + i) & (s->ncache - 1)];
        if (GA_LIKELY(e->code == code && e->unit == unit) || e->code == NULL)
            return e;
    }
    return &s->cache[hash & (s->ncache - 1)];
}

/* Without memory for a larger one it stays as it is. */
static bool resize_cache(struct pystack *s, size_t n) {
    struct known_place *before = s->cache, *p = budget_pages(s->budget, cache_nbytes(n));
    size_t nbefore = s->ncache;
    if (p == NULL)
        return false;
    s->cache = p;
    s->ncache = n;
    s->used = 0;
    for (size_t i = 0; i < nbefore; i++) {
        if (before[i].code == NULL)
            continue;
        struct known_place *e = entry_of(s, before[i].code, before[i].unit);
        s->used += e->code == NULL;
        *e = before[i];
    }
    if (before != NULL)
        budget_return_pages(s->budget, before, cache_nbytes(nbefore));
    return true;
}

/* Most callers are in the file of the one before. */
GA_INLINE bool is_file(struct pystack *s, const struct text *file, PyObject *filename) {
    if (GA_LIKELY(filename == s->filename && file == s->file))
        return true;
    s->filename = filename;
    s->file = is_text(file, utf8_of(filename, s->scratch[1])) ? file : NULL;
    return s->file != NULL;
}

static GA_NOINLINE bool is_same(struct pystack *s, struct known_place *e, const PyCodeObject *code,
                                uint64_t issuer) {
    if (e->first_line != code->co_firstlineno ||
        !is_text(e->name, utf8_of(code->co_qualname, s->scratch[0])) ||
        !is_file(s, e->file, code->co_filename) ||
        (size_t)PyBytes_GET_SIZE(code->co_linetable) < e->table_nbytes ||
        ga_hash_bytes(PyBytes_AS_STRING(code->co_linetable), e->table_nbytes) != e->table_hash)
        return false;
    e->version = frame_code_version(code);
    e->issuer = issuer;
    return true;
}

/* The code object at the address that e has is the one that e was made of, or cannot be told from
 * it by name, file and line.  Nobody issues a version twice: with the same one it is the same
 * object.  All that may have changed in it is the file, which imp sets when the code has been
 * made. */
GA_INLINE bool is_valid(struct pystack *s, struct known_place *e, const PyCodeObject *code,
                        uint64_t issuer) {
    uint32_t version = frame_code_version(code);
    if (GA_LIKELY(version != 0 && version == e->version && issuer != 0 && issuer == e->issuer))
        return is_file(s, e->file, code->co_filename);
    return is_same(s, e, code, issuer);
}

static GA_NOINLINE uint32_t locate(struct pystack *s, struct locations *l,
                                   const PyCodeObject *code, uint32_t unit, uint64_t issuer) {
    const uint8_t *table = (const uint8_t *)PyBytes_AS_STRING(code->co_linetable);
    size_t nread;
    int line = linetable_find(table, (size_t)PyBytes_GET_SIZE(code->co_linetable),
                              code->co_firstlineno, unit, &nread);
    if (line == LINETABLE_NO_LINE)
        line = code->co_firstlineno;
    struct utf8 name = utf8_of(code->co_qualname, s->scratch[0]);
    struct utf8 file = utf8_of(code->co_filename, s->scratch[1]);
    uint32_t function = locations_add_function(l, name.bytes, name.nbytes, file.bytes, file.nbytes,
                                               code->co_firstlineno);
    uint32_t location = locations_add(l, function, line);
    if (location == LOCATION_DROPPED || nread > UINT32_MAX)
        return location; /* there may be memory the next time */
    struct known_place new = {
        .code = code,
        .unit = unit,
        .location = location,
        .issuer = issuer,
        .version = frame_code_version(code),
        .name = locations_text(l, locations_function(l, function)->name),
        .file = locations_text(l, locations_function(l, function)->file),
        .table_hash = ga_hash_bytes(table, nread),
        .table_nbytes = (uint32_t)nread,
        .first_line = code->co_firstlineno,
    };
    struct known_place *e = entry_of(s, code, unit);
    bool crowded = e->code != NULL && e->code != code && s->used > s->ncache / 4;
    s->used += e->code == NULL;
    *e = new;
    if ((crowded || s->used > s->ncache / 2) && s->ncache < CACHE_MAX)
        resize_cache(s, 2 * s->ncache);
    return location;
}

/* ---- the walk ------------------------------------------------------------------------------- */

#define WALKS_PER_NAME 16

/* Of the calling thread; a child of fork is another one. */
static __thread struct {
    int id;
    unsigned forks;
    unsigned walks;
    uint32_t thread;            /* among `of`'s */
    const struct locations *of; /* NULL: not known */
} self __attribute__((tls_model("initial-exec")));
static unsigned forks = 1;

static void after_fork(void) { forks++; }

static GA_NOINLINE void look_at_thread(struct locations *l) {
    char name[OS_THREAD_NAME_MAX];
    if (self.forks != forks) {
        self.id = os_thread_id();
        self.forks = forks;
        self.walks = 0;
    }
    os_thread_own_name(name);
    self.thread = locations_add_thread(l, (uint64_t)self.id, name, strnlen(name, sizeof name));
    self.of = self.thread != LOCATION_DROPPED ? l : NULL; /* there may be memory the next time */
}

/* Names are set when a thread begins, mostly, and a call of the system for each would cost more
 * than the rest of a short walk. */
static uint32_t this_thread(struct locations *l) {
    if (self.forks != forks || self.of != l || self.walks < WALKS_PER_NAME ||
        self.walks % WALKS_PER_NAME == 0)
        look_at_thread(l);
    self.walks++;
    return self.thread;
}

static size_t walk(struct pystack *s, PyThreadState *tstate, struct locations *l, uint32_t *locs,
                   size_t max) {
    size_t n = 0;
    if (tstate == NULL || s->cache == NULL) {
        locs[0] = LOCATION_NO_FRAME;
        return 1;
    }
    struct _PyInterpreterFrame *f = frame_first(tstate);
    uint64_t issuer = f != NULL ? issuer_of(PyThreadState_GetInterpreter(tstate)) : 0;
    s->filename = NULL; /* there may be another at its address by now */
    for (; f != NULL; f = f->previous) {
        PyCodeObject *code = frame_code(f);
        if (code == NULL)
            continue;
        if (n == max) {
            locs[max - 1] = LOCATION_TRUNCATED;
            break;
        }
        uint32_t unit = frame_unit(f);
        struct known_place *e = entry_of(s, code, unit);
        bool known = e->code == code && e->unit == unit && is_valid(s, e, code, issuer);
        locs[n++] = GA_LIKELY(known) ? e->location : locate(s, l, code, unit, issuer);
    }
    if (n == 0)
        locs[n++] = LOCATION_NO_FRAME;
    return n;
}

size_t pystack_walk(void *ctx, struct locations *l, uint32_t *locs, size_t max, uint32_t *thread) {
    *thread = this_thread(l);
    return walk(ctx, frame_thread_state(false), l, locs, max);
}

size_t pystack_walk_attached(void *ctx, struct locations *l, uint32_t *locs, size_t max,
                             uint32_t *thread) {
    *thread = this_thread(l);
    return walk(ctx, frame_thread_state(true), l, locs, max);
}

/* ---- begin and end -------------------------------------------------------------------------- */

static void watch_forks(void) { GA_CHECK(pthread_atfork(NULL, NULL, after_fork) == 0); }

bool pystack_init(struct pystack *s, struct budget *budget) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    s->budget = budget;
    s->cache = NULL;
    s->ncache = s->used = 0;
    return !frame_layout_is_known() || resize_cache(s, CACHE_MIN);
}

void pystack_destroy(struct pystack *s) {
    if (s->cache != NULL)
        budget_return_pages(s->budget, s->cache, cache_nbytes(s->ncache));
    s->cache = NULL;
}

/* The launch shim: a shared object of its own that LD_PRELOAD brings into a program.
 *
 * Its constructor runs before main(), with the program's arguments: the one moment at which
 * CPython's allocators may be replaced outright, and the only one for a python that has no
 * libpython to link a launcher with.  It loads _core from the folder that it lies in and calls
 * goalloc_launch(), which does the rest.
 *
 * Whatever is not the python that goalloc was built for runs untouched and unaware: a shell, git, a
 * debugger that embeds Python, another Python version.  So nothing here may print, allocate much or
 * fail, unless GOALLOC_WARN says that this process is the one that `goalloc run` started.
 *
 * The environment, read once and cleaned before Python copies it:
 *   GOALLOC_WARN=1         say on stderr why goalloc could not be put in place
 *   GOALLOC_STATS=1        print statistics at exit; this process only, not its children
 *   GOALLOC_NO_CHILDREN=1  take this object out of LD_PRELOAD: children run plain
 * and read only, since children need it too:
 *   GOALLOC_PROFILE        a profile is wanted: let the Python side start (csrc/pystart.c)
 *
 * Links nothing of Python and nothing of csrc.  No state, no locks: one thread, before main(). */
#include <dlfcn.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const needed[] = {
    "Py_PreInitializeFromBytesArgs",
    "PyPreConfig_InitPythonConfig",
    "Py_GetVersion",
};

static void (*symbol(void *handle, const char *name))(void) {
    /* ISO C has no cast from an object pointer to a function pointer. */
    void (*function)(void) = NULL;
    void *address = dlsym(handle, name);
    memcpy(&function, &address, sizeof function);
    return function;
}

static bool take_flag(const char *name) {
    const char *value = getenv(name);
    bool set = value != NULL && strcmp(value, "1") == 0;
    unsetenv(name);
    return set;
}

/* Is the program named python..., and not one that merely has Python inside? */
static bool program_is_python(void) {
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n <= 0)
        return false;
    path[n] = 0;
    const char *base = strrchr(path, '/');
    return strncmp(base ? base + 1 : path, "python", 6) == 0;
}

/* The version, debug build and threading that _core was compiled for. */
static bool python_is_ours(void) {
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (dlsym(RTLD_DEFAULT, needed[i]) == NULL)
            return false;
    const char *(*get_version)(void) =
        (const char *(*)(void))symbol(RTLD_DEFAULT, "Py_GetVersion");
    const char *version = get_version();
    size_t n = strlen(GOALLOC_PYTHON);
    if (strncmp(version, GOALLOC_PYTHON, n) != 0 || (version[n] >= '0' && version[n] <= '9'))
        return false;
    /* Only builds that count references have it. */
    bool debug = dlsym(RTLD_DEFAULT, "_Py_NegativeRefcount") != NULL;
    bool free_threaded = strstr(version, "free-threading") != NULL;
    return debug == GOALLOC_PYTHON_DEBUG && free_threaded == GOALLOC_PYTHON_FREE_THREADED;
}

/* Drops every entry of LD_PRELOAD that is self; entries are parted by spaces or colons. */
static void leave_preload(const char *self) {
    const char *old = getenv("LD_PRELOAD");
    if (old == NULL)
        return;
    char *kept = malloc(strlen(old) + 1);
    if (kept == NULL)
        return;
    size_t used = 0, self_len = strlen(self);
    while (*old) {
        size_t n = strcspn(old, " :");
        if (n != 0 && !(n == self_len && memcmp(old, self, n) == 0)) {
            if (used != 0)
                kept[used++] = ':';
            memcpy(kept + used, old, n);
            used += n;
        }
        old += n;
        old += strspn(old, " :");
    }
    kept[used] = 0;
    if (used != 0)
        setenv("LD_PRELOAD", kept, 1);
    else
        unsetenv("LD_PRELOAD");
    free(kept);
}

static bool profile_is_wanted(void) {
    const char *path = getenv("GOALLOC_PROFILE");
    return path != NULL && *path != '\0' && strcmp(path, "off") != 0 && strcmp(path, "0") != 0;
}

/* Puts goalloc in place; NULL or one sentence why not.  *python_side: whether that will start. */
static const char *launch(const char *self, int argc, char **argv, bool stats, bool children,
                          bool *python_side) {
    char core[PATH_MAX];
    const char *slash = strrchr(self, '/');
    int folder = slash ? (int)(slash - self) + 1 : 0;
    int n = snprintf(core, sizeof core, "%.*s%s", folder, self, GOALLOC_CORE);
    if (n < 0 || (size_t)n >= sizeof core)
        return "the path of goalloc is too long";
    /* most of what it links is not called here */
    void *handle = dlopen(core, RTLD_LAZY | RTLD_LOCAL);
    if (handle == NULL)
        return dlerror();
    const char *(*start)(int, char **) =
        (const char *(*)(int, char **))symbol(handle, "goalloc_launch");
    if (start == NULL)
        return dlerror();
    const char *why_not = start(argc, argv);
    void (*stats_at_exit)(void) = symbol(handle, "goalloc_stats_at_exit");
    if (why_not == NULL && stats && stats_at_exit != NULL)
        stats_at_exit();
    /* Also where goalloc is not in place: the Python side can still wrap what is. */
    void (*run_at_start)(const char *, bool) =
        (void (*)(const char *, bool))symbol(handle, "goalloc_run_at_start");
    *python_side = profile_is_wanted() && run_at_start != NULL;
    if (*python_side)
        run_at_start(core, children);
    return why_not;
}

__attribute__((constructor)) static void preload(int argc, char **argv) {
    bool first = getenv("GOALLOC_WARN") != NULL;
    if (!python_is_ours() || !(first || program_is_python()))
        return;
    bool warn = take_flag("GOALLOC_WARN");
    bool stats = take_flag("GOALLOC_STATS");
    Dl_info info;
    if (dladdr((const void *)needed, &info) == 0 || info.dli_fname == NULL)
        return;
    bool children = !take_flag("GOALLOC_NO_CHILDREN");
    if (!children)
        leave_preload(info.dli_fname);
    /* A debug build keeps raw blocks over Py_Finalize, and frees them when another Py_Initialize
     * has given it a table without us.  Only a program that has Python inside does that. */
    bool may_begin_again = GOALLOC_PYTHON_DEBUG && !program_is_python();
    bool python_side = false;
    const char *why_not = may_begin_again
                              ? "a debug build of Python inside another program cannot be launched"
                              : launch(info.dli_fname, argc, argv, stats, children, &python_side);
    if (why_not != NULL && warn) {
        const char *profile = python_side           ? "; the profile is that of wrap mode"
                              : profile_is_wanted() ? "; no profile is written"
                                                    : "";
        fprintf(stderr, "goalloc: warning: %s%s%s\n", why_not, profile,
                stats ? "; there are no statistics" : "");
        fflush(stderr);
    }
}

/* settings: what the environment asks of the process heap.  See settings.h.
 *
 * Read once, when the heap is made.  strtod and friends are not used: they follow the locale, and
 * take signs and blanks.
 * Lock: none. */
#include "settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CGROUP_PERCENT 95 /* of what the control group allows: not only the heap counts there */
#define NS_PER_SECOND ((uint64_t)1000000000)

/* Room for roundings up and for the tables beside the arena: no sum of them overflows. */
#define LINEAR_BYTES_MAX (SIZE_MAX >> 2)

/* ---- texts ---------------------------------------------------------------------------------- */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_off(const char *text) { return strcmp(text, "off") == 0; }

/* Moves *text behind the digits; none are 0.  False: too many. */
static bool take_number(const char **text, uint64_t *number) {
    uint64_t n = 0;
    for (; is_digit(**text); ++*text)
        if (__builtin_mul_overflow(n, 10, &n) ||
            __builtin_add_overflow(n, (uint64_t)(**text - '0'), &n))
            return false;
    *number = n;
    return true;
}

bool parse_bytes(const char *text, uint64_t *nbytes) {
    static const struct {
        const char *unit;
        unsigned shift;
    } units[] = {{"", 0}, {"B", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}};
    uint64_t n;
    if (!is_digit(*text) || !take_number(&text, &n))
        return false;
    while (*text == ' ')
        text++;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(text, units[i].unit) == 0 && n <= UINT64_MAX >> units[i].shift) {
            *nbytes = n << units[i].shift;
            return true;
        }
    return false;
}

bool parse_seconds(const char *text, uint64_t *ns) {
    uint64_t whole, fraction = 0;
    if (is_off(text) || strcmp(text, "inf") == 0) {
        *ns = UINT64_MAX;
        return true;
    }
    bool some = is_digit(*text);
    if (!take_number(&text, &whole))
        return false;
    if (*text == '.') {
        some |= is_digit(*++text);
        for (uint64_t unit = NS_PER_SECOND / 10; is_digit(*text); text++, unit /= 10)
            fraction += (uint64_t)(*text - '0') * unit;
    }
    if (!some || *text != '\0' || __builtin_mul_overflow(whole, NS_PER_SECOND, &whole) ||
        __builtin_add_overflow(whole, fraction, &whole))
        return false;
    *ns = whole;
    return true;
}

bool parse_memory_limit(const char *text, uint64_t *nbytes) {
    if (is_off(text)) {
        *nbytes = UINT64_MAX;
        return true;
    }
    if (strcmp(text, "cgroup") == 0) {
        uint64_t limit = os_cgroup_memory_limit("");
        *nbytes = limit == UINT64_MAX ? limit : limit / 100 * CGROUP_PERCENT;
        return true;
    }
    uint64_t n;
    if (!parse_bytes(text, &n) || n == 0) /* 0 may be meant as none at all, or as all of it */
        return false;
    *nbytes = n;
    return true;
}

/* ---- the environment ------------------------------------------------------------------------ */

static void warn(const char *text) { os_write(STDERR_FILENO, text, strlen(text)); }

/* What a variable is set to.  NULL: it is not set, or empty, as where `NAME=` is the only way to
 * unset it. */
static const char *given(const char *name) {
    const char *text = getenv(name);
    return text != NULL && *text != '\0' ? text : NULL;
}

static void read_layout(struct settings *s) {
    const char *layout = given("GOALLOC_LAYOUT"), *size = given("GOALLOC_LINEAR_SIZE");
    uint64_t n;
    if (layout != NULL && strcmp(layout, "linear") == 0)
        s->layout = LAYOUT_LINEAR;
    else if (layout != NULL && strcmp(layout, "sparse") != 0)
        warn("goalloc: warning: GOALLOC_LAYOUT is neither sparse nor linear; sparse is used\n");
    if (size == NULL)
        return;
    if (parse_bytes(size, &n) && n >= GA_ARENA_SIZE && n <= LINEAR_BYTES_MAX)
        s->linear_bytes = n;
    else
        warn("goalloc: warning: GOALLOC_LINEAR_SIZE is not a size such as 64GiB, of 64MiB at "
             "least; the default is used\n");
}

/* A number of which 0 is none: so is "off". */
static bool parse_number(const char *text, uint64_t max, uint64_t *number) {
    uint64_t n = 0;
    if (!is_off(text) && (!is_digit(*text) || !take_number(&text, &n) || *text != '\0' || n > max))
        return false;
    *number = n;
    return true;
}

static void read_huge_pages(struct settings *s) {
    const char *huge = given("GOALLOC_HUGE_PAGES");
    if (huge == NULL || is_off(huge))
        s->huge_pages = HUGE_OFF;
    else if (strcmp(huge, "dense") == 0)
        s->huge_pages = HUGE_DENSE;
    else if (strcmp(huge, "all") == 0)
        s->huge_pages = HUGE_ALL;
    else
        warn("goalloc: warning: GOALLOC_HUGE_PAGES is none of off, dense and all; off is used\n");
}

static void read_profile_rate(struct settings *s) {
    const char *rate = given("GOALLOC_PROFILE_RATE");
    uint64_t n;
    if (rate == NULL)
        return;
    if (is_off(rate))
        s->profile_rate = 0;
    else if (parse_bytes(rate, &n) && n <= GA_SAMPLE_RATE_MAX)
        s->profile_rate = n;
    else
        warn("goalloc: warning: GOALLOC_PROFILE_RATE is not a size such as 512KiB, 1 for every "
             "block, or off; the default is used\n");
}

static bool is_asked_for(const char *name) {
    const char *text = given(name);
    return text != NULL && !is_off(text) && strcmp(text, "0") != 0;
}

/* What these say Python code reads, and only where there is a profile to be written. */
static void read_profile_file(void) {
    if (is_asked_for("GOALLOC_PROFILE"))
        return;
    if (is_asked_for("GOALLOC_PROFILE_EVERY"))
        warn("goalloc: warning: GOALLOC_PROFILE_EVERY is nothing without GOALLOC_PROFILE: no "
             "profile is written\n");
    if (is_asked_for("GOALLOC_PROFILE_SIGNAL"))
        warn("goalloc: warning: GOALLOC_PROFILE_SIGNAL is nothing without GOALLOC_PROFILE: no "
             "profile is written\n");
}

static void read_debug(struct settings *s) {
    const char *text = given("GOALLOC_DEBUG");
    if (text == NULL)
        return;
    if (!parse_number(text, UINT64_MAX, &s->debug))
        warn("goalloc: warning: GOALLOC_DEBUG is neither off, 1 nor a number of operations between "
             "checks; it is off\n");
    else if (s->debug == 1)
        s->debug = GA_DEBUG_CHECK_EVERY;
}

static void read_guard(struct settings *s) {
    const char *text = given("GOALLOC_GUARD");
    if (text != NULL && !parse_number(text, GA_GUARD_RATE_MAX, &s->guard_rate))
        warn("goalloc: warning: GOALLOC_GUARD is no number such as 5000: none is guarded\n");
}

static void read_random_arenas(struct settings *s) {
    const char *text = given("GOALLOC_RANDOM_ARENAS");
    uint64_t n = 0;
    if (text != NULL && !parse_number(text, 1, &n))
        warn("goalloc: warning: GOALLOC_RANDOM_ARENAS is neither off nor 1: arenas are where they "
             "always are\n");
    s->random_arenas = n != 0;
}

/* Whether anything of the project reads this variable: here, in the launch shim, the Python side, a
 * build, the tests. */
static bool is_known(const char *name, size_t length) {
    static const char *const known[] = {
        "LAYOUT", "LINEAR_SIZE", "HUGE_PAGES", "SCAVENGE_DELAY", "MEMORY_LIMIT", "RANDOM_ARENAS",
        "GUARD", "DEBUG", "PROFILE", "PROFILE_RATE", "PROFILE_EVERY", "PROFILE_SIGNAL",
        "PROFILE_PID", "WARN", "STATS", "NO_CHILDREN",
        "ASAN_BUILD", "VALGRIND_BUILD", "DEBUG_BUILD", "SEED", "PAGE", "RUNNER", "SCREENSHOTS",
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strlen(known[i]) == length && memcmp(known[i], name, length) == 0)
            return true;
    return false;
}

/* A name with a slip would else be a guard or a limit that somebody believes in. */
static void tell_of_unknown(void) {
    static const char prefix[] = "GOALLOC_";
    const size_t skip = sizeof prefix - 1;
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++) {
        if (strncmp(*entry, prefix, skip) != 0)
            continue;
        size_t length = strcspn(*entry, "=");
        bool empty = (*entry)[length] == '\0' || (*entry)[length + 1] == '\0';
        if (empty || is_known(*entry + skip, length - skip))
            continue;
        char text[160];
        snprintf(text, sizeof text, "goalloc: warning: %.*s is no variable of goalloc's\n",
                 (int)(length < 100 ? length : 100), *entry);
        warn(text);
    }
}

void settings_read(struct settings *s) {
    *s = (struct settings){
        .layout = LAYOUT_SPARSE,
        .scavenge_delay_ns = GA_SCAVENGE_DELAY_DEFAULT,
        .memory_limit = UINT64_MAX,
        .profile_rate = GA_SAMPLE_RATE_DEFAULT,
    };
    read_layout(s);
    read_huge_pages(s);
    read_debug(s);
    read_profile_rate(s);
    read_profile_file();
    read_guard(s);
    read_random_arenas(s);
    const char *delay = given("GOALLOC_SCAVENGE_DELAY"), *limit = given("GOALLOC_MEMORY_LIMIT");
    s->scavenge_delay_given = delay != NULL && parse_seconds(delay, &s->scavenge_delay_ns);
    if (delay != NULL && !s->scavenge_delay_given)
        warn("goalloc: warning: GOALLOC_SCAVENGE_DELAY is not a number of seconds such as 0.5, "
             "or off; the default is used\n");
    if (limit != NULL && !parse_memory_limit(limit, &s->memory_limit))
        warn("goalloc: warning: GOALLOC_MEMORY_LIMIT is not a size above 0 such as 512MiB, "
             "cgroup or off; there is no limit\n");
    tell_of_unknown();
}

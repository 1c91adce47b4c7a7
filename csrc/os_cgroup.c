/* os: how much memory the control groups of this process allow it.
 *
 * /proc/self/cgroup names the process's group in each hierarchy; /proc/self/mountinfo tells where
 * hierarchies are mounted, and which group is the top of each mount: in a container mostly its own.
 * A group's limit is in a file of its folder, and those of the groups above it hold as well.
 * Version 2 is one hierarchy for everything; version 1 has one for memory; a hybrid system mounts
 * both, with the memory files in one of them.
 *
 * Where a mount does not show our group (the names in /proc are those of another namespace, or the
 * container sees only a part of the hierarchy), its top is what we are measured by.
 *
 * It runs while the heap is being made: the files come through a buffer on the stack.  A line or a
 * path that is longer than ours is passed over, as one that is not there.
 * Lock: none. */
#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, LINE_BYTES = 8192 };

/* Version 1 says "no limit" by the largest number of whole pages; nobody has as much as this. */
#define UNLIMITED (UINT64_MAX >> 2)

/* One of the two versions, and what is known of it. */
struct hierarchy {
    const char *fstype;
    const char *controller; /* what a mount must serve; NULL: no matter */
    const char *file;
    bool has_group;         /* group is ours */
    bool group_shown;       /* some mount shows it */
    uint64_t limit;         /* by the mounts that show it ... */
    uint64_t top_limit;     /* ... and by the tops of the others */
    char group[PATH_BYTES];
};

/* ---- files by lines ------------------------------------------------------------------------- */

struct lines {
    int fd; /* -1: no such file */
    size_t start, end;
    char buf[LINE_BYTES + 1]; /* room for the end of a last line that has no newline */
};

static void lines_open(struct lines *l, const char *path) {
    l->fd = open(path, O_RDONLY | O_CLOEXEC);
    l->start = l->end = 0;
}

static void lines_close(struct lines *l) {
    if (l->fd >= 0)
        close(l->fd);
}

/* False: the file is at its end. */
static bool lines_fill(struct lines *l) {
    ssize_t n;
    memmove(l->buf, l->buf + l->start, l->end - l->start);
    l->end -= l->start;
    l->start = 0;
    do
        n = read(l->fd, l->buf + l->end, LINE_BYTES - l->end);
    while (n < 0 && errno == EINTR);
    l->end += n > 0 ? (size_t)n : 0;
    return n > 0;
}

/* The next line, without its newline; it stays until the next call.  NULL: there is none. */
static char *lines_next(struct lines *l) {
    bool too_long = false;
    while (l->fd >= 0) {
        char *line = l->buf + l->start, *newline = memchr(line, '\n', l->end - l->start);
        if (newline != NULL) {
            *newline = '\0';
            l->start = (size_t)(newline + 1 - l->buf);
            if (!too_long)
                return line;
            too_long = false;
        } else if (l->end - l->start == LINE_BYTES) {
            too_long = true;
            l->start = l->end = 0;
        } else if (!lines_fill(l)) {
            if (l->end == 0 || too_long)
                return NULL;
            l->buf[l->end] = '\0';
            l->end = 0;
            return l->buf;
        }
    }
    return NULL;
}

/* False: it does not fit. */
static bool join(char out[PATH_BYTES], const char *a, const char *b, const char *c) {
    int n = snprintf(out, PATH_BYTES, "%s%s%s", a, b, c);
    return n >= 0 && n < PATH_BYTES;
}

static void lines_open_below(struct lines *l, const char *root, const char *path) {
    char full[PATH_BYTES];
    lines_open(l, join(full, root, path, "") ? full : "");
}

/* ---- which group ---------------------------------------------------------------------------- */

/* Whether a word is in a list with commas. */
static bool has_word(const char *list, const char *word) {
    size_t n = strlen(word);
    for (const char *p = list; (p = strstr(p, word)) != NULL; p += n)
        if ((p == list || p[-1] == ',') && (p[n] == ',' || p[n] == '\0'))
            return true;
    return false;
}

/* Lines such as `0::/group`, and of version 1 `4:cpu,memory:/group`. */
static void find_groups(struct hierarchy *v2, struct hierarchy *v1, const char *root) {
    struct lines l;
    lines_open_below(&l, root, "/proc/self/cgroup");
    for (char *line; (line = lines_next(&l)) != NULL;) {
        char *number = strsep(&line, ":"), *controllers = strsep(&line, ":");
        if (line == NULL)
            continue;
        struct hierarchy *h = strcmp(number, "0") == 0           ? v2
                              : has_word(controllers, "memory") ? v1
                                                                : NULL;
        if (h != NULL)
            h->has_group = join(h->group, line, "", "");
    }
    lines_close(&l);
}

/* ---- its limit ------------------------------------------------------------------------------ */

/* What the file of a folder says; UINT64_MAX: nothing. */
static uint64_t limit_of_folder(const struct hierarchy *h, const char *folder) {
    char path[PATH_BYTES];
    struct lines l;
    uint64_t limit = UINT64_MAX;
    if (!join(path, folder, "/", h->file))
        return limit;
    lines_open(&l, path);
    const char *line = lines_next(&l);
    if (line != NULL && *line >= '0' && *line <= '9') /* else version 2's "max" */
        limit = strtoull(line, NULL, 10);
    lines_close(&l);
    return limit < UNLIMITED ? limit : UINT64_MAX;
}

/* The least of the limits of a group and of those above it, up to the top of a mount. */
static uint64_t limit_at(const struct hierarchy *h, const char *root, const char *point,
                         const char *group) {
    char folder[PATH_BYTES];
    if (!join(folder, root, point, group))
        return UINT64_MAX;
    char *below_top = folder + strlen(root) + strlen(point);
    if (access(folder, F_OK) != 0)
        *below_top = '\0';
    uint64_t least = limit_of_folder(h, folder);
    while (*below_top != '\0') {
        *strrchr(below_top, '/') = '\0';
        least = ga_min(least, limit_of_folder(h, folder));
    }
    return least;
}

/* The rest of a group's name below the top of a mount; NULL: the mount does not show it. */
static const char *name_below(const char *top, const char *group) {
    size_t n = strcmp(top, "/") == 0 ? 0 : strlen(top);
    if (strncmp(top, group, n) != 0 || (group[n] != '/' && group[n] != '\0'))
        return NULL;
    group += n;
    /* `/../x` is seen from inside of a namespace: outside, and not in this mount */
    if (strncmp(group, "/..", 3) == 0 && (group[3] == '/' || group[3] == '\0'))
        return NULL;
    return strcmp(group, "/") == 0 ? "" : group;
}

static void look_at_mount(struct hierarchy *h, const char *root, const char *top,
                          const char *point) {
    const char *name = name_below(top, h->group);
    if (name != NULL) {
        h->group_shown = true;
        h->limit = ga_min(h->limit, limit_at(h, root, point, name));
    } else {
        h->top_limit = ga_min(h->top_limit, limit_at(h, root, point, ""));
    }
}

/* The kernel writes a blank, tab, newline or backslash in a name as \ooo. */
static void unescape(char *s) {
    char *to = s;
    for (; *s != '\0'; to++) {
        bool escaped = s[0] == '\\' && s[1] != '\0' && s[2] != '\0' && s[3] != '\0';
        *to = escaped ? (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0')) : *s;
        s += escaped ? 4 : 1;
    }
    *to = '\0';
}

/* Lines such as `35 31 0:32 /top /mount/point rw shared:9 - cgroup source rw,memory`. */
static void find_limits(struct hierarchy *h, size_t n, const char *root) {
    struct lines l;
    lines_open_below(&l, root, "/proc/self/mountinfo");
    for (char *line; (line = lines_next(&l)) != NULL;) {
        char *fields[5], *tag;
        for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
            fields[i] = strsep(&line, " ");
        while ((tag = strsep(&line, " ")) != NULL && strcmp(tag, "-") != 0)
            ;
        const char *fstype = strsep(&line, " "), *source = strsep(&line, " "), *options = line;
        if (source == NULL || options == NULL)
            continue;
        unescape(fields[3]);
        unescape(fields[4]);
        for (size_t i = 0; i < n; i++)
            if (h[i].has_group && strcmp(fstype, h[i].fstype) == 0 &&
                (h[i].controller == NULL || has_word(options, h[i].controller)))
                look_at_mount(&h[i], root, fields[3], fields[4]);
    }
    lines_close(&l);
}

uint64_t os_cgroup_memory_limit(const char *root) {
    struct hierarchy h[] = {
        {.fstype = "cgroup2", .file = "memory.max"},
        {.fstype = "cgroup", .controller = "memory", .file = "memory.limit_in_bytes"},
    };
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < 2; i++)
        h[i].limit = h[i].top_limit = UINT64_MAX;
    find_groups(&h[0], &h[1], root);
    find_limits(h, 2, root);
    for (size_t i = 0; i < 2; i++)
        least = ga_min(least, h[i].group_shown ? h[i].limit : h[i].top_limit);
    return least;
}

/* The limit of the control groups, read from trees of files as kernels and containers show them. */
#include "os.h"

#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>

#include "check.h"

enum { PATH_BYTES = 16384 }; /* more than the code under test takes */

static char tree[64]; /* the root of the present test */

/* Makes a file below the root, and the folders above it. */
static void put(const char *path, const char *text) {
    char full[PATH_BYTES];
    snprintf(full, sizeof full, "%s%s", tree, path);
    for (char *p = full + strlen(tree) + 1; (p = strchr(p, '/')) != NULL; p++) {
        *p = '\0';
        mkdir(full, 0700);
        *p = '/';
    }
    FILE *f = fopen(full, "w");
    if (f == NULL || fputs(text, f) < 0 || fclose(f) != 0) {
        perror(full);
        exit(2);
    }
}

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *walk) {
    (void)s, (void)type, (void)walk;
    return remove(path);
}

static void begin(const char *groups, const char *mounts) {
    strcpy(tree, "/tmp/goalloc-cgroup-XXXXXX");
    if (mkdtemp(tree) == NULL) {
        perror(tree);
        exit(2);
    }
    put("/proc/self/cgroup", groups);
    put("/proc/self/mountinfo", mounts);
}

#define EXPECT(limit) CHECK_EQ(os_cgroup_memory_limit(tree), (limit))

static void end(void) { nftw(tree, remove_one, 16, FTW_DEPTH | FTW_PHYS); }

#define NONE UINT64_MAX
#define OTHER_MOUNTS                                                                               \
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"                                      \
    "23 22 0:21 / /proc rw shared:12 - proc proc rw\n"
#define V2_MOUNT                                                                                   \
    OTHER_MOUNTS "30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1_MOUNTS                                                                                  \
    OTHER_MOUNTS "31 23 0:27 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755\n"                      \
                 "32 31 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"             \
                 "33 31 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
#define V1_UNLIMITED "9223372036854771712\n"

static void test_v2(void) {
    begin("0::/a.slice/b.service\n", V2_MOUNT);
    EXPECT(NONE);
    put("/sys/fs/cgroup/a.slice/b.service/memory.max", "max\n");
    EXPECT(NONE);
    put("/sys/fs/cgroup/a.slice/memory.max", "3000\n");
    EXPECT(3000); /* that of an ancestor */
    put("/sys/fs/cgroup/a.slice/b.service/memory.max", "2000\n");
    EXPECT(2000);
    put("/sys/fs/cgroup/a.slice/b.service/memory.max", "4000\n");
    EXPECT(3000); /* the least */
    put("/sys/fs/cgroup/memory.max", "1000"); /* in a container the top has one; no newline */
    EXPECT(1000);
    put("/sys/fs/cgroup/a.slice/other/memory.max", "10\n");
    put("/memory.max", "10\n");
    put("/sys/fs/memory.max", "10\n");
    EXPECT(1000); /* neither of a sibling nor from above the mount */
    put("/sys/fs/cgroup/memory.max", "0\n");
    EXPECT(0);
    end();
}

/* A group without the memory controller has no file; those above it count. */
static void test_v2_without_controller(void) {
    begin("0::/a/b/c\n", V2_MOUNT);
    put("/sys/fs/cgroup/a/b/c/cgroup.procs", "1\n");
    put("/sys/fs/cgroup/a/memory.max", "5000\n");
    EXPECT(5000);
    end();
}

static void test_v1(void) {
    begin("9:name=systemd:/x\n4:memory:/docker/1a:2b\n2:cpu,cpuacct:/docker/1a:2b\n", V1_MOUNTS);
    EXPECT(NONE);
    put("/sys/fs/cgroup/memory/docker/1a:2b/memory.limit_in_bytes", V1_UNLIMITED);
    EXPECT(NONE);
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", V1_UNLIMITED);
    EXPECT(NONE);
    put("/sys/fs/cgroup/memory/docker/memory.limit_in_bytes", "8000\n");
    EXPECT(8000);
    put("/sys/fs/cgroup/memory/docker/1a:2b/memory.limit_in_bytes", "7000\n");
    EXPECT(7000);
    put("/sys/fs/cgroup/cpu/docker/1a:2b/memory.limit_in_bytes", "10\n");
    put("/sys/fs/cgroup/memory/docker/1a:2b/memory.max", "10\n");
    EXPECT(7000);
    end();
}

/* The controller may share its hierarchy, be mounted anywhere, and not be the one it looks like. */
static void test_v1_elsewhere(void) {
    begin("5:cpu,memory:/g\n6:memoryless:/h\n7:notmemory,x:/i\n",
          "40 1 0:30 / /mnt/a\\040b\\134 rw shared:7 master:1 - cgroup none rw,cpu,memory\n"
          "41 1 0:31 / /mnt/h rw - cgroup none rw,memoryless\n"
          "42 1 0:32 / /mnt/fuse rw - fuse none rw,memory\n");
    put("/mnt/h/g/memory.limit_in_bytes", "10\n");
    put("/mnt/fuse/g/memory.limit_in_bytes", "10\n");
    EXPECT(NONE);
    put("/mnt/a b\\/g/memory.limit_in_bytes", "6000\n");
    EXPECT(6000);
    end();
}

/* Both versions are mounted; either may have the memory files. */
static void test_hybrid(void) {
    begin("4:memory:/m\n1:name=systemd:/s\n0::/u\n",
          V1_MOUNTS "34 31 0:33 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    put("/sys/fs/cgroup/memory/m/memory.limit_in_bytes", "9000\n");
    put("/sys/fs/cgroup/unified/u/cgroup.procs", "1\n");
    EXPECT(9000);
    put("/sys/fs/cgroup/memory/m/memory.limit_in_bytes", V1_UNLIMITED);
    put("/sys/fs/cgroup/unified/u/memory.max", "9500\n");
    EXPECT(9500);
    end();
}

/* A container under the host's names: the top of its mount is its own group. */
static void test_top_is_stripped(void) {
    begin("4:memory:/docker/1a/inner\n",
          "33 31 0:29 /docker/1a /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "5000\n");
    EXPECT(5000);
    put("/sys/fs/cgroup/memory/inner/memory.limit_in_bytes", "4000\n");
    EXPECT(4000);
    put("/sys/fs/cgroup/memory/docker/1a/inner/memory.limit_in_bytes", "10\n");
    EXPECT(4000);
    end();
}

/* The name is not in the mount, though one that it begins with may be: another's. */
static void test_unknown_group(void) {
    begin("0::/docker/1a\n", V2_MOUNT);
    put("/sys/fs/cgroup/memory.max", "5000\n");
    put("/sys/fs/cgroup/docker/memory.max", "10\n");
    EXPECT(5000);
    end();
    begin("0::/docker/1a\n", "30 23 0:26 /docker/1 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    put("/sys/fs/cgroup/memory.max", "5000\n");
    put("/sys/fs/cgroupa/memory.max", "10\n");
    EXPECT(5000);
    end();
}

/* Seen from inside of a namespace, a group outside is `/..`: never a way out of the mount. */
static void test_outside_of_the_namespace(void) {
    begin("0::/../outer\n", V2_MOUNT);
    put("/sys/fs/cgroup/memory.max", "5000\n");
    put("/sys/fs/outer/memory.max", "10\n");
    EXPECT(5000);
    end();
    begin("0::/../outer\n", "30 23 0:26 /.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    put("/sys/fs/cgroup/memory.max", "5000\n");
    put("/sys/fs/cgroup/outer/memory.max", "4000\n");
    EXPECT(4000);
    end();
}

/* A mount that shows our group is believed before one that does not. */
static void test_two_mounts(void) {
    begin("0::/ours\n", V2_MOUNT "35 1 0:26 /theirs /mnt rw - cgroup2 cgroup2 rw\n");
    put("/sys/fs/cgroup/ours/memory.max", "5000\n");
    put("/mnt/memory.max", "10\n");
    EXPECT(5000);
    end();
    begin("0::/ours\n", "35 1 0:26 /theirs /mnt rw - cgroup2 cgroup2 rw\n");
    put("/mnt/memory.max", "6000\n");
    EXPECT(6000);
    end();
}

/* Nothing there, or not what it should be: no limit, and no harm. */
static void test_junk(void) {
    strcpy(tree, "/nonexistent");
    EXPECT(NONE);
    static const char *const groups[] = {"", "\n", ":", "0:", "0::", "::::\n", "0::no/slash\n"};
    static const char *const mounts[] = {
        "", "\n", " - ", "1 2 3 - cgroup2\n", "1 2 3 / /m rw - cgroup2 none\n",
        "1 2 3 / /m rw cgroup2 none rw\n", "1 2 3 /\\ /m\\1 rw - cgroup2 none rw\n",
    };
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        begin(groups[i], V2_MOUNT);
        EXPECT(NONE);
        end();
    }
    for (size_t i = 0; i < sizeof mounts / sizeof mounts[0]; i++) {
        begin("0::/\n", mounts[i]);
        put("/m/memory.max", "10\n");
        EXPECT(NONE);
        end();
    }
    static const char *const limits[] = {"", "\n", "-1\n", "x", "99999999999999999999999\n"};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        begin("0::/\n", V2_MOUNT);
        put("/sys/fs/cgroup/memory.max", limits[i]);
        EXPECT(NONE);
        end();
    }
}

/* Lines around the size of the buffer are read or passed over as a whole, and the next one is read.
 * Here the end of the long one would be a mount itself. */
static void test_long_lines(void) {
    static char mounts[PATH_BYTES + 512];
    for (size_t n = 8100; n < 8300; n++) {
        size_t at = (size_t)snprintf(mounts, sizeof mounts, "1 2 3 / /o rw - overlay ");
        memset(mounts + at, 'x', n - at);
        strcpy(mounts + n, "1 2 3 / /long rw - cgroup2 none rw\n1 2 3 / /m rw - cgroup2 none rw\n");
        begin("0::/\n", mounts);
        put("/long/memory.max", "10\n");
        put("/m/memory.max", "5000\n");
        EXPECT(5000);
        end();
    }
}

/* The last line ends with the file, not with what the buffer held before. */
static void test_no_last_newline(void) {
    begin("4:memory:/\n", OTHER_MOUNTS "1 2 3 / /m rw - cgroup none rw,memory");
    put("/m/memory.limit_in_bytes", "5000");
    EXPECT(5000);
    end();
}

/* A group whose path is too long is as one that is not there. */
static void test_long_path(void) {
    static char group[6000];
    size_t n = (size_t)snprintf(group, sizeof group, "0::");
    while (n < sizeof group - 16)
        n += (size_t)snprintf(group + n, sizeof group - n, "/group");
    begin(group, V2_MOUNT);
    put("/sys/fs/cgroup/memory.max", "5000\n");
    EXPECT(NONE);
    group[4096] = '\0'; /* the name fits; with the mount before it, no more */
    put("/proc/self/cgroup", group);
    EXPECT(NONE);
    end();
}

/* The descriptors are closed: each round would leave some behind. */
static void test_no_descriptor_stays(void) {
    begin("0::/a\n", V2_MOUNT);
    put("/sys/fs/cgroup/a/memory.max", "5000\n");
    int before = open("/dev/null", O_RDONLY);
    for (int i = 0; i < 8; i++)
        EXPECT(5000);
    int after = open("/dev/null", O_RDONLY);
    CHECK_EQ(after, before + 1);
    close(before);
    close(after);
    end();
}

int main(void) {
    test_v2();
    test_v2_without_controller();
    test_v1();
    test_v1_elsewhere();
    test_hybrid();
    test_top_is_stripped();
    test_unknown_group();
    test_outside_of_the_namespace();
    test_two_mounts();
    test_junk();
    test_long_lines();
    test_no_last_newline();
    test_long_path();
    test_no_descriptor_stays();
    return check_summary();
}

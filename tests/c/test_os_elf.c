/* os_redirect: calls of one module led elsewhere, where the words with their addresses are read
 * only too, and other modules' calls left alone. */
#include <dlfcn.h>
#include <string.h>
#include <sys/types.h>

#include "os.h"

#include "check.h"

static pid_t nobody(void) { return 4711; }
static gid_t nobodys_group(void) { return 4712; }

static void test_calls_are_led_elsewhere(void) {
    uintptr_t here = (uintptr_t)&test_calls_are_led_elsewhere;
    pid_t parent = getppid();
    CHECK(parent != 4711);
    CHECK(os_redirect(here, "getppid", (uintptr_t)&nobody));
    CHECK_EQ(getppid(), 4711);
    CHECK(os_redirect(here, "getppid", (uintptr_t)&nobody)); /* again */
    CHECK_EQ(getppid(), 4711);

    pid_t (*real)(void);
    void *address = dlsym(RTLD_DEFAULT, "getppid");
    memcpy(&real, &address, sizeof real);
    CHECK_EQ(real(), parent);
    CHECK(os_redirect(here, "getppid", (uintptr_t)address));
    CHECK_EQ(getppid(), parent);
}

/* The C library calls its own functions itself, and there is no module at address 8. */
static void test_no_such_calls(void) {
    uintptr_t here = (uintptr_t)&test_no_such_calls;
    gid_t group = getgid();
    CHECK(!os_redirect(here, "no_function_of_this_name", (uintptr_t)&nobody));
    CHECK(!os_redirect(8, "getgid", (uintptr_t)&nobodys_group));
    void *libc = dlsym(RTLD_DEFAULT, "getgid");
    CHECK(!os_redirect((uintptr_t)libc, "getgid", (uintptr_t)&nobodys_group));
    CHECK_EQ(getgid(), group);
}

/* What the loader made read only is so afterwards. */
static bool writable(uintptr_t addr) {
    FILE *maps = fopen("/proc/self/maps", "r");
    uintptr_t begin, end;
    char line[512], mode[8];
    bool yes = false;
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL)
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %7s", &begin, &end, mode) == 3 &&
            begin <= addr && addr < end)
            yes = mode[1] == 'w';
    if (maps != NULL)
        fclose(maps);
    return yes;
}

static pid_t (*const volatile pointer)(void) = getppid; /* in .data.rel.ro */

static void test_protection_stays(void) {
    bool before = writable((uintptr_t)&pointer);
    CHECK(os_redirect((uintptr_t)&test_protection_stays, "getppid", (uintptr_t)&nobody));
    CHECK_EQ(getppid(), 4711);
    CHECK_EQ(writable((uintptr_t)&pointer), before);
}

int main(void) {
    test_calls_are_led_elsewhere();
    test_no_such_calls();
    test_protection_stays();
    return check_summary();
}

/* os_redirect: calls of one module led elsewhere, where the words with their addresses are read
 * only too, and other modules' calls left alone.  getpid takes the place of getppid. */
#include <dlfcn.h>

#include "os.h"

#include "check.h"

static _Atomic uintptr_t was;

static uintptr_t of_libc(const char *name) { return (uintptr_t)dlsym(RTLD_DEFAULT, name); }

static void test_calls_are_led_elsewhere(void) {
    uintptr_t here = (uintptr_t)&test_calls_are_led_elsewhere;
    pid_t parent = getppid();
    CHECK(parent != getpid());
    CHECK(os_redirect(here, "getppid", of_libc("getpid"), &was));
    CHECK_EQ(getppid(), getpid());
    CHECK_EQ(was, of_libc("getppid"));
    CHECK(os_redirect(here, "getppid", of_libc("getpid"), &was)); /* again */
    CHECK_EQ(was, of_libc("getppid"));
    CHECK_EQ(((pid_t(*)(void))was)(), parent);
    CHECK(os_redirect(here, "getppid", was, &was));
    CHECK_EQ(getppid(), parent);
}

/* The C library calls its own functions itself, and there is no module at address 8. */
static void test_no_such_calls(void) {
    uintptr_t to = of_libc("getpid");
    CHECK(!os_redirect((uintptr_t)&test_no_such_calls, "no_function_of_this_name", to, &was));
    CHECK(!os_redirect(8, "getppid", to, &was));
    CHECK(!os_redirect(of_libc("strlen"), "getppid", to, &was));
    CHECK(getppid() != getpid());
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

static int (*const volatile pointer)(void) = check_summary; /* in .data.rel.ro */

static void test_protection_stays(void) {
    bool before = writable((uintptr_t)&pointer);
    CHECK(os_redirect((uintptr_t)&test_protection_stays, "getppid", of_libc("getpid"), &was));
    CHECK_EQ(getppid(), getpid());
    CHECK_EQ(writable((uintptr_t)&pointer), before);
}

int main(void) {
    test_calls_are_led_elsewhere();
    test_no_such_calls();
    test_protection_stays();
    return check_summary();
}

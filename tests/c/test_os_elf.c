/* os_redirect: calls of one module led elsewhere, where the word with their address is read only
 * too, and other modules' calls left alone.  getpid takes the place of getppid. */
#include <dlfcn.h>

#include "os.h"

#include "check.h"

/* Called by way of .got, which the loader makes read only; not so where the compiler has no word
 * for it. */
#if __has_attribute(noplt)
#define READ_ONLY true
extern pid_t getppid(void) __attribute__((noplt));
#else
#define READ_ONLY false
#endif

static uintptr_t of_libc(const char *name) { return (uintptr_t)dlsym(RTLD_DEFAULT, name); }

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

static void test_calls_are_led_elsewhere(void) {
    uintptr_t here = (uintptr_t)&test_calls_are_led_elsewhere;
    struct os_call call = {.name = "getppid", .to = of_libc("getpid")};
    struct os_call back = {.name = "getppid", .to = of_libc("getppid")};
    pid_t parent = getppid();
    CHECK(parent != getpid());
    CHECK(!os_is_redirected(&call));
    CHECK(os_redirect(here, &call));
    CHECK(os_is_redirected(&call));
    CHECK_EQ(getppid(), getpid());
    CHECK_EQ(((pid_t(*)(void))call.was)(), parent);
    CHECK(call.nwords != 0);
    for (unsigned i = 0; i < call.nwords; i++)
        CHECK(!READ_ONLY || !writable((uintptr_t)call.words[i]));

    CHECK(os_redirect(here, &back));
    CHECK_EQ(getppid(), parent);
    CHECK(!os_is_redirected(&call));
    CHECK(os_redirect(here, &call)); /* what was called first stays */
    CHECK_EQ(getppid(), getpid());
    CHECK_EQ(call.was, of_libc("getppid"));
    CHECK_EQ(back.was, of_libc("getpid"));
    CHECK(os_redirect(here, &back));
    CHECK_EQ(getppid(), parent);
}

/* The C library calls its own functions itself, and there is no module at address 8. */
static void test_no_such_calls(void) {
    struct os_call unknown = {.name = "no_function_of_this_name", .to = of_libc("getpid")};
    struct os_call call = {.name = "getppid", .to = of_libc("getpid")};
    CHECK(!os_redirect((uintptr_t)&test_no_such_calls, &unknown));
    CHECK(!os_redirect(8, &call));
    CHECK(!os_redirect(of_libc("strlen"), &call));
    CHECK(!os_is_redirected(&call));
    CHECK(getppid() != getpid());
}

int main(void) {
    test_calls_are_led_elsewhere();
    test_no_such_calls();
    return check_summary();
}

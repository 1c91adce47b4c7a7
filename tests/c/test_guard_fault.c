/* Handlers of others, above and below ours: each gets the calls that it would get without us, and
 * what ends a program without us ends it. */
#include "guard.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static struct os os;

/* Handlers that put back what they found when they came, and have the fault come again. */
static struct sigaction found;
static volatile unsigned *calls; /* shared with children */

static void returning(int number) {
    (void)number;
    ++*calls;
}

static void restoring(int number) {
    ++*calls;
    sigaction(number, &found, NULL);
}

static void raising(int number) {
    restoring(number);
    raise(number);
}

struct scene {
    void (*handler)(int);
    int flags;
    unsigned times; /* that it comes, on top of ours, and is found when a block is made */
    bool last;      /* once more, after the last block */
    bool in_pool;   /* the fault */
    int end;        /* by this signal */
};

/* The handler must get one call, as it would without us. */
static const struct scene scenes[] = {
    {returning, SA_RESETHAND, 1, false, false, SIGSEGV},
    {restoring, 0, 1, false, false, SIGSEGV},
    {raising, 0, 1, false, false, SIGSEGV},
    {raising, SA_NODEFER, 1, false, false, SIGSEGV},
    {restoring, 0, 3, false, false, SIGSEGV},
    {raising, SA_NODEFER, 3, false, false, SIGSEGV},
    {restoring, 0, 0, true, false, SIGSEGV},
    {raising, SA_NODEFER, 0, true, false, SIGSEGV},
    {restoring, 0, 0, true, true, SIGABRT},
    {raising, 0, 1, true, true, SIGABRT},
    {raising, SA_NODEFER, 0, true, true, SIGABRT},
};

static void come(const struct scene *scene) {
    struct sigaction theirs;
    memset(&theirs, 0, sizeof theirs);
    theirs.sa_handler = scene->handler;
    theirs.sa_flags = scene->flags;
    sigaction(SIGSEGV, &theirs, &found);
}

static void play(const struct scene *scene) {
    struct guards *g = guards_new(&os, NULL);
    char *nowhere = os_reserve(&os, NULL, os_page_size());
    char *first = guard_malloc(g, 100, DOMAIN_OBJ); /* at the start of its slot */
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    signal(SIGSEGV, SIG_DFL);
    alarm(60); /* if it goes on for ever */
    guard_watch(g);
    for (unsigned i = 0; i < scene->times; i++) {
        come(scene);
        guard_watch(g);
    }
    if (scene->last)
        come(scene);
    *(volatile char *)(scene->in_pool ? first - 1 : nowhere) = 1;
}

static void test_other_handlers_may_hand_on(void) {
    calls = mmap(NULL, sizeof *calls, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; i < sizeof scenes / sizeof scenes[0]; i++) {
        int status = 0;
        *calls = 0;
        pid_t child = fork();
        if (child == 0) {
            play(&scenes[i]);
            _exit(0);
        }
        waitpid(child, &status, 0);
        CHECK_EQ(WIFSIGNALED(status) ? WTERMSIG(status) : 0, scenes[i].end);
        CHECK_EQ(*calls, 1);
    }
    munmap((void *)calls, sizeof *calls);
}

static void test_a_signal_that_is_ignored(void) {
    struct guards *g = guards_new(&os, NULL);
    for (int flags = 0; flags <= SA_SIGINFO; flags += SA_SIGINFO) {
        struct sigaction ignore; /* SA_SIGINFO makes no function of it */
        memset(&ignore, 0, sizeof ignore);
        ignore.sa_handler = SIG_IGN;
        ignore.sa_flags = flags;
        sigaction(SIGSEGV, &ignore, NULL);
        guard_watch(g);
        raise(SIGSEGV);
    }
    signal(SIGSEGV, SIG_DFL);
    guards_delete(g);
}

int main(void) {
    os_init(&os);
    test_other_handlers_may_hand_on();
    test_a_signal_that_is_ignored();
    return check_summary();
}

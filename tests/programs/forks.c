/* Forks that Python knows nothing of: from any thread, with the GIL released. */
#define _GNU_SOURCE
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* All threads that wait here go on at the same moment.  In between there is time for a scavenger. */
static void wait_for_the_others(void) {
    const long period = 25000000;
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += period - t.tv_nsec % period;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

int forks(int n);

/* Returns how many of n children did not end as they should. */
int forks(int n) {
    int bad = 0;
    while (n-- > 0) {
        int status;
        wait_for_the_others();
        pid_t pid = fork();
        if (pid == 0)
            _exit(7);
        if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
            WEXITSTATUS(status) != 7)
            bad++;
    }
    return bad;
}

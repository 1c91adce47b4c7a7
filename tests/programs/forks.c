/* Forks that Python knows nothing of: from any thread, with the GIL released. */
#include <sys/wait.h>
#include <unistd.h>

int forks(int n);

/* Returns how many of n children did not end as they should. */
int forks(int n) {
    int bad = 0;
    while (n-- > 0) {
        int status;
        pid_t pid = fork();
        if (pid == 0)
            _exit(7);
        if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
            WEXITSTATUS(status) != 7)
            bad++;
    }
    return bad;
}

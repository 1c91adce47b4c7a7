/* dies_saying: runs something that must end in ga_throw, in a child. */
#ifndef GA_TEST_DIES_H
#define GA_TEST_DIES_H

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* True if fn(arg) aborts and what it wrote to stderr has `text` in it. */
static inline bool dies_saying(const char *text, void (*fn)(void *), void *arg) {
    int ends[2], status = 0;
    char said[1024];
    size_t len = 0;
    ssize_t got;
    if (pipe(ends) != 0)
        return false;
    fflush(NULL);
    pid_t child = fork();
    if (child < 0)
        return false;
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        dup2(ends[1], STDERR_FILENO);
        fn(arg);
        _exit(0);
    }
    close(ends[1]);
    while (len < sizeof said - 1 && (got = read(ends[0], said + len, sizeof said - 1 - len)) > 0)
        len += (size_t)got;
    said[len] = '\0';
    close(ends[0]);
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && strstr(said, text) != NULL)
        return true;
    fprintf(stderr, "expected to die with \"%s\", got status %d and: %s\n", text, status, said);
    return false;
}

#endif

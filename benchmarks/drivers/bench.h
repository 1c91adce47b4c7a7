/* What the drivers share: clocks, random numbers, the resident size, memory for their own tables.
 *
 * Tables come from mmap, so that the allocator under measurement holds nothing but the blocks. */
#ifndef BENCH_H
#define BENCH_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static inline _Noreturn void bench_fail(const char *what) {
    fprintf(stderr, "%s failed\n", what);
    exit(1);
}

static inline double clock_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static inline double now_ns(void) { return clock_ns(CLOCK_MONOTONIC); }

/* Of the whole process: what others do on the machine does not count. */
static inline double processor_ns(void) { return clock_ns(CLOCK_PROCESS_CPUTIME_ID); }

/* A linear congruential step; the high half of the state is random enough to choose a block. */
static inline uint32_t next_random(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 32);
}

/* Even over 0..bound-1 without a division; bound is below 2**32. */
static inline size_t random_below(uint64_t *state, size_t bound) {
    return (size_t)((uint64_t)next_random(state) * bound >> 32);
}

static inline void *bench_table(size_t n, size_t size) {
    void *p = mmap(NULL, n * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        bench_fail("mmap");
    return p;
}

static inline void bench_shuffle(void **table, size_t n, uint64_t *rng) {
    for (size_t i = n - 1; i > 0; i--) {
        size_t j = random_below(rng, i + 1);
        void *swapped = table[i];
        table[i] = table[j];
        table[j] = swapped;
    }
}

/* Bytes of the process that are in memory; read without stdio, which would allocate. */
static inline size_t resident_bytes(void) {
    char text[128] = "";
    int fd = open("/proc/self/statm", O_RDONLY);
    if (fd < 0 || read(fd, text, sizeof text - 1) <= 0)
        bench_fail("reading /proc/self/statm");
    close(fd);
    const char *second = strchr(text, ' ');
    return (size_t)strtoull(second, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

static inline size_t number_argument(const char *text) {
    char *end;
    unsigned long long n = strtoull(text, &end, 10);
    if (end == text || *end != '\0') {
        fprintf(stderr, "not a number: %s\n", text);
        exit(2);
    }
    return (size_t)n;
}

#endif

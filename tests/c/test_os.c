/* The operating system's floor: the four states of memory, injected failures, the barrier.
 * threads: the barrier's litmus test. */
#include "os.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "check.h"
#include "config.h"
#include "kernel.h"

static int probe[2]; /* a pipe */

/* The kernel tells about access without a fault.  Raw system calls: a sanitizer's own could map
 * memory of its own just where we have freed some. */
static bool readable(const void *p) {
    char byte;
    bool ok = syscall(SYS_write, probe[1], p, (size_t)1) == 1;
    CHECK(ok ? syscall(SYS_read, probe[0], &byte, (size_t)1) == 1 : errno == EFAULT);
    return ok;
}

static bool all_zero(const unsigned char *p, size_t n) {
    while (n > 0 && p[n - 1] == 0)
        n--;
    return n == 0;
}

/* Exactly `want` of the pages have memory. */
static bool resident(void *p, size_t npages, size_t want) {
    unsigned char in[64];
    size_t n = 0;
    if (!kernel_is_real())
        return true;
    CHECK_EQ(mincore(p, npages * os_page_size(), in), 0);
    for (size_t i = 0; i < npages; i++)
        n += in[i] & 1;
    return n == want;
}

static void test_states(void) {
    struct os os;
    os_init(&os);
    size_t n = 8 * os_page_size();

    unsigned char *p = os_alloc(&os, n);
    CHECK(p != NULL && all_zero(p, n));
    memset(p, 0x5a, n);
    CHECK(resident(p, 8, 8));
    CHECK(os_unused(&os, p, n));
    CHECK(resident(p, 8, 0));
    CHECK(os_used(&os, p, n));
    CHECK(all_zero(p, n));
    os_free(&os, p, n);
    CHECK(!readable(p));

    p = os_reserve(&os, NULL, n);
    CHECK(p != NULL && !readable(p));
    CHECK(os_map(&os, p, n / 2));
    CHECK(readable(p) && !readable(p + n / 2));
    memset(p, 0x5a, n / 2);
    os_free(&os, p, n);
    CHECK(!readable(p));
    CHECK_EQ(os.ncalls, 7);
}

/* What has moved is there, where it was reads zero and costs nothing, and beside both nothing has
 * changed. */
static void test_move(void) {
    struct os os;
    os_init(&os);
    size_t page = os_page_size(), n = 8 * page;
    CHECK(os_moves() || !kernel_is_real());
    if (!os_moves())
        return;
    unsigned char *p = os_alloc(&os, 2 * n), *q = os_alloc(&os, 2 * n);
    memset(p, 0x5a, 2 * n);
    memset(q, 0xa5, 2 * n);
    CHECK(os_move(&os, p + n, q, n));
    CHECK(q[0] == 0x5a && q[n - 1] == 0x5a && q[n] == 0xa5 && p[n - 1] == 0x5a);
    CHECK(resident(p + n, 8, 0));
    CHECK(resident(q, 16, 16));
    CHECK(all_zero(p + n, n));
    p[n] = 1; /* it can be used again */
    char *gone = os_reserve(&os, NULL, n);
    os_free(&os, gone, n);
    CHECK(!os_move(&os, gone, q, n)); /* the kernel's own refusal: q is still there, or zero */
    CHECK(q[0] == q[n - 1] && q[n] == 0xa5 && readable(q));

    CHECK(os_renew(&os, q, 2 * n));
    CHECK(resident(q, 16, 0));
    CHECK(all_zero(q, 2 * n));
    atomic_store(&os.fail_at, 1);
    atomic_store(&os.fail_all, true);
    q[0] = 7;
    CHECK(!os_move(&os, p, q, n) && p[0] == 0x5a && q[0] == 7);
    CHECK(!os_renew(&os, q, n) && q[0] == 7);
    os_free(&os, p, 2 * n);
    os_free(&os, q, 2 * n);
}

static void test_hint(void) {
    struct os os;
    os_init(&os);
    size_t n = 4 * os_page_size();
    char *free_range = os_reserve(&os, NULL, n);
    os_free(&os, free_range, n);
    char *p = os_reserve(&os, free_range, n);
    CHECK_EQ(p, free_range);
    char *q = os_reserve(&os, free_range, n);
    CHECK(q != free_range);
    CHECK(!readable(p)); /* and the first one is still there */
    os_free(&os, p, n);
    if (q != NULL)
        os_free(&os, q, n);
}

static void test_reserve_aligned(void) {
    struct os os;
    os_init(&os);
    size_t page = os_page_size();
    for (size_t align = page; align <= (size_t)64 << 20; align *= 4) {
        char *p = os_reserve_aligned(&os, 3 * page, align);
        CHECK(p != NULL);
        CHECK_EQ((uintptr_t)p % align, 0);
        CHECK(!readable(p));
        CHECK(os_map(&os, p, 3 * page));
        memset(p, 1, 3 * page);
        os_free(&os, p, 3 * page);
    }
    CHECK(os_reserve_aligned(&os, SIZE_MAX - page + 1, 2 * page) == NULL);
}

static size_t address_space(void) {
    char text[64] = "";
    FILE *f = fopen("/proc/self/statm", "r");
    CHECK(f != NULL && fgets(text, sizeof text, f) != NULL);
    fclose(f);
    return strtoul(text, NULL, 10) * os_page_size();
}

/* What alignment costs in address space is given back at both ends. */
static void test_reserve_trims(void) {
    struct os os;
    os_init(&os);
    address_space(); /* stdio's own memory comes first */
    size_t before = address_space(), n = 3 * os_page_size();
    char *p = os_reserve_aligned(&os, n, (size_t)1 << 32);
    CHECK(p != NULL);
    CHECK(address_space() < before + n + GA_MIB || !kernel_is_real());
    os_free(&os, p, n);
}

/* A failed call changes nothing. */
static void test_failures(void) {
    struct os os;
    os_init(&os);
    size_t n = os_page_size();
    unsigned char *ready = os_alloc(&os, n), *reserved = os_reserve(&os, NULL, n);
    memset(ready, 7, n);
    atomic_store(&os.fail_at, 1);
    atomic_store(&os.fail_all, true);
    CHECK(os_alloc(&os, n) == NULL);
    CHECK(os_reserve(&os, NULL, n) == NULL);
    CHECK(os_reserve_aligned(&os, n, 2 * n) == NULL);
    CHECK(!os_map(&os, reserved, n) && !readable(reserved));
    CHECK(!os_unused(&os, ready, n) && ready[n - 1] == 7);
    CHECK(!os_used(&os, ready, n));
    CHECK(!os_hugepage(&os, ready, n, true) && !os_hugepage(&os, ready, n, false));
    atomic_store(&os.fail_all, false);
    atomic_store(&os.fail_at, atomic_load(&os.ncalls) + 3);
    CHECK(os_map(&os, reserved, n));
    CHECK(os_hugepage(&os, ready, n, false)); /* which every kernel can grant */
    CHECK(!os_used(&os, reserved, n));
    CHECK(os_used(&os, reserved, n));
    os_free(&os, reserved, n);
    os_free(&os, ready, n);
    CHECK(os_map(&os, ready, n) == false); /* the kernel's own refusal: nothing is mapped there */
}

enum { LITMUS_ROUNDS = 50000, LITMUS_TURNS = 500 };

/* On one processor the threads never run at the same time: there is nothing to be seen, and each
 * round waits for its turn twice. */
static unsigned litmus_rounds(void) {
    cpu_set_t set;
    bool known = sched_getaffinity(0, sizeof set, &set) == 0;
    return known && CPU_COUNT(&set) == 1 ? LITMUS_TURNS : LITMUS_ROUNDS;
}

/* Store buffering: without a full barrier on both sides each thread can miss the other's store.
 * The fast side has only a compiler's fence; os_barrier on the slow side must make up for it.
 * Where there is none both sides are sequentially consistent. */
struct litmus {
    GA_ALIGNED(GA_CACHE_LINE) _Atomic unsigned round;
    GA_ALIGNED(GA_CACHE_LINE) _Atomic unsigned done;
    GA_ALIGNED(GA_CACHE_LINE) _Atomic unsigned fast_flag;
    GA_ALIGNED(GA_CACHE_LINE) _Atomic unsigned slow_flag;
    unsigned fast_saw;
    unsigned rounds;
    bool asymmetric;
};

/* Spins first: only threads that run at the same time can show anything. */
static void wait_for(_Atomic unsigned *v, unsigned value) {
    for (unsigned spins = 1; atomic_load(v) != value; spins++)
        if (spins % 4096 == 0)
            os_yield();
}

static void *litmus_fast(void *arg) {
    struct litmus *l = arg;
    for (unsigned i = 1; i <= l->rounds; i++) {
        wait_for(&l->round, i);
        if (l->asymmetric) {
            atomic_store_explicit(&l->fast_flag, i, memory_order_relaxed);
            atomic_signal_fence(memory_order_seq_cst);
            l->fast_saw = atomic_load_explicit(&l->slow_flag, memory_order_relaxed);
        } else {
            atomic_store(&l->fast_flag, i);
            l->fast_saw = atomic_load(&l->slow_flag);
        }
        atomic_store(&l->done, i);
    }
    return NULL;
}

static void test_barrier(bool asymmetric) {
    static struct litmus l;
    pthread_t thread;
    unsigned both_missed = 0;
    l.asymmetric = asymmetric;
    l.rounds = litmus_rounds();
    CHECK_EQ(pthread_create(&thread, NULL, litmus_fast, &l), 0);
    for (unsigned i = 1; i <= l.rounds; i++) {
        atomic_store(&l.round, i);
        for (unsigned spin = 0; spin < i % 512; spin++) /* meet it at different moments */
            atomic_signal_fence(memory_order_seq_cst);
        atomic_store(&l.slow_flag, i);
        if (asymmetric)
            os_barrier();
        unsigned slow_saw = atomic_load(&l.fast_flag);
        wait_for(&l.done, i);
        both_missed += slow_saw != i && l.fast_saw != i;
    }
    pthread_join(thread, NULL);
    CHECK_EQ(both_missed, 0);
}

/* A child made by fork inherits the registration. */
static void test_barrier_after_fork(void) {
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        os_barrier();
        _exit(0);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
}

static void test_huge_pages_unasked(void) {
    /* always madvise never, one in brackets */
    char first[16] = "", second[16] = "", third[16] = "";
    FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "r");
    bool known = f != NULL && fscanf(f, "%15s %15s %15s", first, second, third) == 3;
    CHECK_EQ(os_huge_pages_unasked(), known && strcmp(first, "[always]") == 0);
    if (f != NULL)
        fclose(f);
}

static void test_small_calls(void) {
    uint64_t t = os_nanotime();
    CHECK(t > 0 && os_nanotime() >= t);
    CHECK(os_entropy() != os_entropy());
    CHECK(os_page_size() >= 4096 && ga_is_pow2(os_page_size()));

    /* more than a pipe holds, so that a write comes back short while a reader drains it */
    int fd[2];
    static char text[200000], back[sizeof text];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 31 >> 3);
    CHECK_EQ(pipe(fd), 0);
    pid_t child = fork();
    if (child == 0) {
        os_write(fd[1], text, sizeof text);
        _exit(0);
    }
    close(fd[1]);
    size_t n = 0;
    for (ssize_t k; (k = read(fd[0], back + n, sizeof back - n)) > 0;)
        n += (size_t)k;
    close(fd[0]);
    waitpid(child, NULL, 0);
    CHECK_EQ(n, sizeof text);
    CHECK_EQ(memcmp(text, back, sizeof text), 0);
}

int main(void) {
    CHECK_EQ(pipe(probe), 0);
    test_states();
    test_move();
    test_hint();
    test_reserve_aligned();
    test_reserve_trims();
    test_failures();
    test_huge_pages_unasked();
    test_small_calls();
    bool works = os_barrier_init();
#ifdef __SANITIZE_THREAD__
    CHECK(!works);
#endif
    test_barrier(works);
    if (works)
        test_barrier_after_fork();
    return check_summary();
}

/* os on Linux: mmap and friends, membarrier, clock, entropy.
 *
 * Prepared memory stays mapped readable and writable: MADV_DONTNEED drops its pages at once, so the
 * resident size tells the truth and the next touch reads zero; os_used then has nothing to do.
 * Reserved memory is PROT_NONE and MAP_NORESERVE: it is not counted against the commit limit.
 * Nothing here knows the size of a page of the operating system but os_page_size.
 * Lock: none; the kernel's. */
#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "fatal.h"

/* Of Linux; older headers of the C library lack them. */
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

void os_init(struct os *os) {
    atomic_init(&os->ncalls, 0);
    atomic_init(&os->fail_at, 0);
    atomic_init(&os->fail_all, false);
}

/* Counts a call.  True: a test wants this one to fail. */
static bool os_call_fails(struct os *os) {
    uint64_t n = atomic_fetch_add_explicit(&os->ncalls, 1, memory_order_relaxed) + 1;
    uint64_t at = atomic_load_explicit(&os->fail_at, memory_order_relaxed);
    if (GA_LIKELY(at == 0) || n < at)
        return false;
    return n == at || atomic_load_explicit(&os->fail_all, memory_order_relaxed);
}

size_t os_page_size(void) { return (size_t)sysconf(_SC_PAGESIZE); }

static void *map_anonymous(void *hint, size_t nbytes, int prot, int flags) {
    void *p = mmap(hint, nbytes, prot, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

/* The kernel may be unable to cut a mapping in two (vm.max_map_count).  Then the address range is
 * lost to us, but its memory need not be. */
static void unmap(void *p, size_t nbytes) {
    if (nbytes == 0 || munmap(p, nbytes) == 0)
        return;
    GA_CHECK(errno == ENOMEM);
    madvise(p, nbytes, MADV_DONTNEED);
}

void *os_alloc(struct os *os, size_t nbytes) {
    if (os_call_fails(os))
        return NULL;
    return map_anonymous(NULL, nbytes, PROT_READ | PROT_WRITE, 0);
}

/* A plain hint, without MAP_FIXED_NOREPLACE: kernels that don't know that flag and ThreadSanitizer,
 * which moves hints, both answer with another address, and that is what our contract allows. */
void *os_reserve(struct os *os, void *hint, size_t nbytes) {
    if (os_call_fails(os))
        return NULL;
    return map_anonymous(hint, nbytes, PROT_NONE, MAP_NORESERVE);
}

void *os_reserve_aligned(struct os *os, size_t nbytes, size_t align) {
    size_t slack = align - os_page_size();
    if (os_call_fails(os) || nbytes > SIZE_MAX - slack)
        return NULL;
    char *p = map_anonymous(NULL, nbytes + slack, PROT_NONE, MAP_NORESERVE);
    if (p == NULL)
        return NULL;
    size_t before = ga_align_up((uintptr_t)p, align) - (uintptr_t)p;
    unmap(p, before);
    unmap(p + before + nbytes, slack - before);
    return p + before;
}

bool os_map(struct os *os, void *p, size_t nbytes) {
    if (os_call_fails(os))
        return false;
    if (mprotect(p, nbytes, PROT_READ | PROT_WRITE) == 0)
        return true;
    mprotect(p, nbytes, PROT_NONE); /* it may have got half way */
    return false;
}

bool os_withdraw(struct os *os, void *p, size_t nbytes) {
    if (os_call_fails(os))
        return false;
    return map_anonymous(p, nbytes, PROT_NONE, MAP_NORESERVE | MAP_FIXED) != NULL;
}

bool os_hide(struct os *os, void *p, size_t nbytes) {
    return !os_call_fails(os) && mprotect(p, nbytes, PROT_NONE) == 0;
}

bool os_used(struct os *os, void *p, size_t nbytes) {
    (void)p;
    (void)nbytes;
    return !os_call_fails(os);
}

bool os_unused(struct os *os, void *p, size_t nbytes) {
    return !os_call_fails(os) && madvise(p, nbytes, MADV_DONTNEED) == 0;
}

bool os_populate(struct os *os, void *p, size_t nbytes) {
    return !os_call_fails(os) && madvise(p, nbytes, MADV_POPULATE_WRITE) == 0;
}

/* A call that should have replaced the mapping at [p, p + nbytes) has failed: some kernels have
 * taken the old one away by then.  A hole among our pages would become the next mapping of anybody,
 * so it is filled at once, and never over what has got there first. */
static void mend(void *p, size_t nbytes) {
    void *v = map_anonymous(p, nbytes, PROT_READ | PROT_WRITE,
                            MAP_NORESERVE | MAP_FIXED_NOREPLACE);
    if (v == p)
        return;
    if (v != NULL) /* a kernel that does not know the flag: the place was taken */
        unmap(v, nbytes);
    if (madvise(p, nbytes, MADV_NORMAL) != 0) /* changes nothing, but finds holes */
        ga_throw("%zu bytes at %p were lost to the system", nbytes, p);
}

/* Without MREMAP_DONTUNMAP (Linux 5.7) there would be a hole at `from` on every move, open to any
 * other thread's mmap: then the caller copies. */
static bool move(void *from, void *to, size_t nbytes) {
    return mremap(from, nbytes, nbytes, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to) == to;
}

static bool moves_well;

/* What emulates another processor (QEMU, up to 10 at least) passes the call on, but then takes
 * the old place for unmapped, and gives nothing back from the new one.  A call of the system that
 * writes to the old place shows the former. */
static void try_move(void) {
    size_t page = os_page_size();
    char *from = map_anonymous(NULL, 2 * page, PROT_READ | PROT_WRITE, 0), *to = from + page;
    if (from == NULL)
        return;
    *from = 1;
    if (move(from, to, page))
        moves_well = *to == 1 && *from == 0 &&
                     syscall(SYS_clock_gettime, CLOCK_MONOTONIC, from) == 0 &&
                     madvise(to, page, MADV_DONTNEED) == 0 && *to == 0;
    unmap(from, 2 * page);
}

bool os_moves(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, try_move);
    return moves_well;
}

bool os_move(struct os *os, void *from, void *to, size_t nbytes) {
    if (os_call_fails(os) || !os_moves())
        return false;
    if (move(from, to, nbytes))
        return true;
    mend(to, nbytes);
    return false;
}

bool os_renew(struct os *os, void *p, size_t nbytes) {
    if (os_call_fails(os))
        return false;
    if (map_anonymous(p, nbytes, PROT_READ | PROT_WRITE, MAP_NORESERVE | MAP_FIXED) == p)
        return true;
    mend(p, nbytes);
    return false;
}

bool os_hugepage(struct os *os, void *p, size_t nbytes, bool huge) {
    if (os_call_fails(os))
        return false;
    return madvise(p, nbytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) == 0 ||
           (!huge && errno == EINVAL);
}

bool os_huge_pages_unasked(void) {
    char text[64];
    int fd = open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return strstr(text, "[always]") != NULL;
}

/* Counted like the others, but giving back cannot fail. */
void os_free(struct os *os, void *p, size_t nbytes) {
    (void)os_call_fails(os);
    unmap(p, nbytes);
}

static int membarrier(int command) { return (int)syscall(SYS_membarrier, command, 0, 0); }

bool os_barrier_init(void) {
#ifdef GA_THREAD_SANITIZER
    return false; /* it does not see the barrier and would report every handshake as a race */
#else
    int commands = membarrier(MEMBARRIER_CMD_QUERY);
    return commands > 0 && (commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED) &&
           membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;
#endif
}

void os_barrier(void) { GA_CHECK(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0); }

void os_publish(void) {
    atomic_thread_fence(memory_order_seq_cst);
    (void)membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED); /* fails where it was not registered for */
}

static uint64_t clock_ns(clockid_t clock) {
    struct timespec t;
    GA_CHECK(clock_gettime(clock, &t) == 0);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t os_nanotime(void) { return clock_ns(CLOCK_MONOTONIC); }

uint64_t os_walltime(void) { return clock_ns(CLOCK_REALTIME); }

uint64_t os_cputime(void) { return clock_ns(CLOCK_THREAD_CPUTIME_ID); }

uint64_t os_cputime_of_all(void) { return clock_ns(CLOCK_PROCESS_CPUTIME_ID); }

uint64_t os_cputime_of_others(void) {
    uint64_t own = os_cputime(); /* first: it grows in between */
    return os_cputime_of_all() - own;
}

uint64_t os_entropy(void) {
    uint64_t v;
    /* never wait for the kernel's pool: early in boot a clock and an address must do */
    if (getrandom(&v, sizeof v, GRND_NONBLOCK) != (ssize_t)sizeof v)
        v = (os_nanotime() ^ (uintptr_t)&v ^ (uint64_t)getpid() << 32) * 0x9e3779b97f4a7c15u;
    return v;
}

void os_write(int fd, const char *text, size_t nbytes) {
    while (nbytes > 0) {
        ssize_t n = write(fd, text, nbytes);
        if (n < 0 && errno != EINTR)
            return;
        if (n > 0) {
            text += n;
            nbytes -= (size_t)n;
        }
    }
}

void os_yield(void) { sched_yield(); }

int os_thread_id(void) { return (int)syscall(SYS_gettid); }

void os_thread_name(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }

void os_thread_own_name(char name[OS_THREAD_NAME_MAX]) {
    if (prctl(PR_GET_NAME, name, 0, 0, 0) != 0)
        name[0] = '\0';
}

/* glibc's, from 2.32 on */
extern char __libc_single_threaded __attribute__((weak));
bool os_single_threaded(void) {
    const char *flag = &__libc_single_threaded;
    return flag != NULL && *flag != 0;
}

bool os_thread_gone(int id) { return syscall(SYS_tgkill, getpid(), id, 0) != 0; }

/* Is there a kernel below us, or something that emulates another processor (qemu-user)?  The
 * latter keeps memory of its own between ours, shows mappings as it sees them, takes all advice
 * and follows little, and enforces no limit of the address space.  Tests of these leave out what
 * they cannot see there, and say so.  It gives itself away by what a call of the system says of
 * a place that was moved from, as os_moves does. */
#ifndef GA_TEST_KERNEL_H
#define GA_TEST_KERNEL_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static inline bool kernel_is_real(void) {
    static int known; /* 0: not yet, 1: yes, 2: no */
    if (known == 0) {
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        const int kind = MAP_PRIVATE | MAP_ANONYMOUS;
        char *from = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, kind, -1, 0), *to = from + page;
        const int flags = MREMAP_MAYMOVE | MREMAP_FIXED | 4; /* MREMAP_DONTUNMAP */
        bool moved = (char *)syscall(SYS_mremap, from, page, page, flags, to) == to;
        known = moved && syscall(SYS_clock_gettime, CLOCK_MONOTONIC, from) != 0 ? 2 : 1;
        munmap(from, 2 * page);
        if (known == 2)
            fprintf(stderr, "an emulator: what the kernel shows of memory is not looked at\n");
    }
    return known == 1;
}

/* mremap with MREMAP_DONTUNMAP to a given place, which an emulator does by halves. */
static inline void *kernel_move(void *from, size_t nbytes, int flags, void *to) {
    if (kernel_is_real())
        return (void *)syscall(SYS_mremap, from, nbytes, nbytes, flags, to);
    memcpy(to, from, nbytes);
    return madvise(from, nbytes, MADV_DONTNEED) == 0 ? to : MAP_FAILED;
}

#endif

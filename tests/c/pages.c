/* A system with larger pages: loaded before a test program (LD_PRELOAD), it makes them GOALLOC_PAGE
 * bytes, a multiple of the true ones.  What a kernel with such pages refuses is refused, what it
 * rounds is rounded, and what it maps begins where a page does.  The kernel's own words about
 * memory (/proc) still tell of true pages.
 *
 * A program's own functions of these names come before ours, and call ours as the next. */
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static size_t page(void) {
    static size_t known;
    if (known == 0)
        known = strtoul(getenv("GOALLOC_PAGE"), NULL, 10);
    return known;
}

static size_t whole(size_t nbytes) { return (nbytes + page() - 1) & -page(); }

static int refused(const void *p) {
    if ((uintptr_t)p % page() == 0)
        return 0;
    errno = EINVAL;
    return 1;
}

long sysconf(int name) {
    long (*real)(int) = (long (*)(int))dlsym(RTLD_NEXT, "sysconf");
    return name == _SC_PAGESIZE ? (long)page() : real(name);
}

static void *map(void *p, size_t nbytes, int prot, int flags, int fd, off_t offset) {
    return (void *)syscall(SYS_mmap, p, nbytes, prot, flags, fd, offset);
}

void *mmap(void *p, size_t nbytes, int prot, int flags, int fd, off_t offset) {
    if ((flags & MAP_FIXED) != 0 && refused(p))
        return MAP_FAILED;
    nbytes = whole(nbytes);
    char *at = map((char *)p - (uintptr_t)p % page(), nbytes, prot, flags, fd, offset);
    if (at == MAP_FAILED || (uintptr_t)at % page() == 0)
        return at;
    syscall(SYS_munmap, at, nbytes);
    at = map(NULL, nbytes + page(), prot, flags, fd, offset);
    if (at == MAP_FAILED)
        return at;
    size_t before = -(uintptr_t)at % page();
    if (before != 0)
        syscall(SYS_munmap, at, before);
    syscall(SYS_munmap, at + before + nbytes, page() - before);
    return at + before;
}

int munmap(void *p, size_t nbytes) {
    return refused(p) ? -1 : (int)syscall(SYS_munmap, p, whole(nbytes));
}

int mprotect(void *p, size_t nbytes, int prot) {
    return refused(p) ? -1 : (int)syscall(SYS_mprotect, p, whole(nbytes), prot);
}

int madvise(void *p, size_t nbytes, int advice) {
    return refused(p) ? -1 : (int)syscall(SYS_madvise, p, whole(nbytes), advice);
}

void *mremap(void *from, size_t nbytes, size_t new_bytes, int flags, ...) {
    va_list args;
    va_start(args, flags);
    void *to = (flags & MREMAP_FIXED) != 0 ? va_arg(args, void *) : NULL;
    va_end(args);
    if (refused(from) || refused(to))
        return MAP_FAILED;
    return (void *)syscall(SYS_mremap, from, whole(nbytes), whole(new_bytes), flags, to);
}

/* One byte for each page: whether any of its parts is there. */
int mincore(void *p, size_t nbytes, unsigned char *there) {
    unsigned char part[64]; /* of at least 4 KiB each */
    if (refused(p))
        return -1;
    for (size_t at = 0; at < nbytes; at += page(), there++) {
        memset(part, 0, sizeof part);
        if (syscall(SYS_mincore, (char *)p + at, page(), part) != 0)
            return -1;
        *there = memchr(part, 1, sizeof part) != NULL;
    }
    return 0;
}

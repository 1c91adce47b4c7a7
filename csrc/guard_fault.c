/* The other half of guard.h: faults in the pool, told in a signal handler.
 *
 * Faulthandler and others have handlers of their own.  Ours is set on top of whatever is there,
 * again if somebody else is found there when blocks are made; it keeps faults in the pool, and
 * passes the others on, as the system would: the handler below may jump out of it, or mend the
 * fault and return, or restore what it saved and raise the signal again, or return to have the
 * fault again.
 *
 * What it saved may be ours.  So each time ours goes on top it is another function, a level, which
 * knows what was there before it: what is restored is a lower level, and this ends at the default.
 *
 * Whoever has come after the last look is called first.  If he hands on we tell then.
 *
 * Async-signal-safe: it reads and writes to stderr.  Lock: none; `watched` and the levels change
 * while a block is made, with the pool's lock held. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "guard.h"

#define LEVELS 4 /* others that come on top of all of them stay there */

#if defined(__aarch64__)
#include <asm/sigcontext.h>
#define ESR_WRITES (1u << 6) /* WnR, of the syndrome of a data abort */
#endif

static struct guards *watched;
static struct sigaction before[LEVELS];
/* in use: each was put on top of the one before it, and of somebody else */
static unsigned nlevels;

/* ---- telling -------------------------------------------------------------------------------- */

static void write_stacks(const struct guards *g, const struct guard_slot *s) {
    if (g->tracer.write == NULL || s == NULL)
        return;
    if (s->made.n != 0)
        g->tracer.write(g->tracer.ctx, &s->made, "allocated");
    if (s->state == GUARD_FREED && s->freed.n != 0)
        g->tracer.write(g->tracer.ctx, &s->freed, "freed");
}

void guard_throw(const struct guards *g, const struct guard_slot *s, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    ga_say_fatal(fmt, args);
    va_end(args);
    write_stacks(g, s);
    abort();
}

/* Bytes between addr and the block of s; 0: it is in there. */
static size_t distance(const struct guard_slot *s, uintptr_t addr) {
    if (s->state == GUARD_UNUSED)
        return SIZE_MAX;
    if (addr < s->p)
        return s->p - addr;
    return addr < s->p + s->size ? 0 : addr - (s->p + s->size) + 1;
}

/* The block that an access to addr was most likely meant for, or NULL. */
static const struct guard_slot *nearest(const struct guards *g, uintptr_t addr) {
    const struct guard_area *a = guard_area_of(g, addr);
    size_t i = guard_slot_index(g, addr), n = sizeof g->slots / sizeof g->slots[0];
    const struct guard_slot *best = NULL;
    for (size_t k = i == 0 ? 0 : i - 1; k <= i + 1 && k < n; k++)
        if (distance(&g->slots[k], addr) < (best == NULL ? a->stride : distance(best, addr)))
            best = &g->slots[k];
    return best;
}

static _Noreturn void tell_fault(const struct guards *g, uintptr_t addr, const char *access) {
    const struct guard_slot *s = nearest(g, addr);
    void *at = (void *)addr;
    if (s == NULL)
        guard_throw(g, NULL, "%s %p, which is in guarded memory, near no block", access, at);
    const char *whose = domain_name(s->domain);
    void *p = (void *)s->p;
    if (s->state == GUARD_FREED)
        guard_throw(g, s, "use after free of %s block %p of %zu bytes: %s %p, %s%zu", whose, p,
                    s->size, access, at, addr < s->p ? "at byte -" : "at byte ",
                    addr < s->p ? s->p - addr : addr - s->p);
    if (addr < s->p)
        guard_throw(g, s,
                    "underflow of %s block %p of %zu bytes: %s %p, %zu bytes before its start",
                    whose, p, s->size, access, at, s->p - addr);
    guard_throw(g, s, "overflow of %s block %p of %zu bytes: %s %p, %zu bytes behind its end",
                whose, p, s->size, access, at, addr - (s->p + s->size));
}

/* ---- the handler ---------------------------------------------------------------------------- */

static const char *access_of(void *context) {
#if defined(__x86_64__)
    const ucontext_t *c = context;
    return c->uc_mcontext.gregs[REG_ERR] & 2 ? "write to" : "read of";
#elif defined(__aarch64__)
    const ucontext_t *c = context;
    const unsigned char *next = (const unsigned char *)c->uc_mcontext.__reserved;
    const unsigned char *end = next + sizeof c->uc_mcontext.__reserved;
    struct _aarch64_ctx head;
    struct esr_context esr;
    /* Records of what the kernel adds to the registers, up to one of size 0. */
    for (; (size_t)(end - next) >= sizeof esr; next += head.size) {
        memcpy(&head, next, sizeof head);
        if (head.size < sizeof head || head.size > (size_t)(end - next))
            break;
        memcpy(&esr, next, sizeof esr);
        if (head.magic == ESR_MAGIC)
            return esr.esr & ESR_WRITES ? "write to" : "read of";
    }
    return "access to"; /* an emulator that does not tell */
#else
    (void)context;
    return "access to";
#endif
}

/* Where this thread had its last fault: of a signal that was sent, which may be a fault handed
 * on. */
static const void *last_fault(void *context) {
    const ucontext_t *c = context;
#if defined(__x86_64__)
    return (const void *)c->uc_mcontext.gregs[REG_CR2];
#elif defined(__aarch64__)
    return (const void *)c->uc_mcontext.fault_address;
#else
    (void)c;
    return NULL;
#endif
}

static bool has_handler(const struct sigaction *a) {
    return a->sa_handler != SIG_DFL && a->sa_handler != SIG_IGN; /* whatever SA_SIGINFO says */
}

/* Whom a level passes on to.  Who was called by a higher one has put this one back, and is done. */
static struct sigaction *below(unsigned level) {
    struct sigaction *a = &before[level];
    for (unsigned i = level + 1; i < nlevels; i++)
        if (has_handler(a) && before[i].sa_sigaction == a->sa_sigaction)
            return level == 0 ? NULL : below(level - 1);
    return a;
}

static void take_default(int number, const siginfo_t *info) {
    struct sigaction dfl;
    memset(&dfl, 0, sizeof dfl);
    dfl.sa_handler = SIG_DFL;
    sigaction(number, &dfl, NULL);
    if (info->si_code <= 0) /* sent by somebody, so it won't come again by itself */
        raise(number);
}

/* As the system does it, but for the stack.  What is blocked meanwhile ends with our own
 * handler. */
static void call(struct sigaction *a, int number, siginfo_t *info, void *context) {
    struct sigaction next = *a;
    if (!(next.sa_flags & SA_NODEFER))
        sigaddset(&next.sa_mask, number);
    if (next.sa_flags & SA_RESETHAND) {
        a->sa_flags = 0;
        a->sa_handler = SIG_DFL;
    }
    pthread_sigmask(SIG_BLOCK, &next.sa_mask, NULL);
    if (next.sa_flags & SA_SIGINFO)
        next.sa_sigaction(number, info, context);
    else
        next.sa_handler(number);
}

static void on_fault(unsigned level, int number, siginfo_t *info, void *context) {
    int saved_errno = errno;
    bool sent = info->si_code <= 0;
    const void *addr = sent ? last_fault(context) : info->si_addr;
    if (guards_own(watched, addr))
        tell_fault(watched, (uintptr_t)addr, access_of(context));
    struct sigaction *next = below(level);
    if (next != NULL && has_handler(next))
        call(next, number, info, context);
    else if (!sent || next == NULL || next->sa_handler != SIG_IGN)
        take_default(number, info);
    errno = saved_errno;
}

static void on_fault_0(int n, siginfo_t *info, void *context) { on_fault(0, n, info, context); }
static void on_fault_1(int n, siginfo_t *info, void *context) { on_fault(1, n, info, context); }
static void on_fault_2(int n, siginfo_t *info, void *context) { on_fault(2, n, info, context); }
static void on_fault_3(int n, siginfo_t *info, void *context) { on_fault(3, n, info, context); }

static void (*const on_level[LEVELS])(int, siginfo_t *, void *) = {on_fault_0, on_fault_1,
                                                                   on_fault_2, on_fault_3};

/* LEVELS: it is somebody else's. */
static unsigned level_of(const struct sigaction *a) {
    unsigned level = 0;
    while (level < LEVELS && a->sa_sigaction != on_level[level])
        level++;
    return level;
}

static void add_level(const struct sigaction *now) {
    struct sigaction ours;
    memset(&ours, 0, sizeof ours);
    ours.sa_sigaction = on_level[nlevels];
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigemptyset(&ours.sa_mask);
    before[nlevels++] = *now;
    sigaction(SIGSEGV, &ours, NULL);
}

void guard_watch(struct guards *g) {
    struct sigaction now;
    mutex_lock(&g->lock);
    watched = g;
    if (sigaction(SIGSEGV, NULL, &now) == 0) {
        unsigned level = level_of(&now);
        if (level < LEVELS)
            nlevels = level + 1; /* those above have been taken off */
        else if (!has_handler(&now))
            nlevels = 0;
        if (level == LEVELS && nlevels < LEVELS)
            add_level(&now);
    }
    mutex_unlock(&g->lock);
}

void guard_watch_on(struct guards *g) {
    if (atomic_fetch_add(&g->looks, 1) % GA_GUARD_WATCH_EVERY == 0)
        guard_watch(g);
}

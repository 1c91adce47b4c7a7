/* The other half of guard.h: faults in the pool, told in a signal handler.
 *
 * Faulthandler and others have handlers of their own.  Ours is set on top of whatever is there, again
 * if somebody else is found there when a block is made; it keeps faults in the pool, and passes
 * the others on.  What a handler below does (print, restore what it saved, raise again) then comes to us
 * once more: the second time the default action is taken.
 *
 * Async-signal-safe: it reads and writes to stderr.  Lock: none; `watched` and `before` change while a
 * block is made, with the pool's lock held. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "guard.h"

static struct guards *watched;
static struct sigaction before;
/* A fault of this thread is being passed on: runtimes that live on faults have several at a time. */
static __thread volatile sig_atomic_t passing __attribute__((tls_model("initial-exec")));

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
    size_t offset = addr - g->base;
    size_t i = offset < g->page ? 0 : (offset - g->page) / g->stride;
    const struct guard_slot *best = NULL;
    for (size_t k = i == 0 ? 0 : i - 1; k <= i + 1 && k < GA_GUARD_SLOTS; k++)
        if (distance(&g->slots[k], addr) < (best == NULL ? g->stride : distance(best, addr)))
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
        guard_throw(g, s, "use after free of %s block %p of %zu bytes: %s %p, %s%zu", whose, p, s->size,
                    access, at, addr < s->p ? "at byte -" : "at byte ",
                    addr < s->p ? s->p - addr : addr - s->p);
    if (addr < s->p)
        guard_throw(g, s, "underflow of %s block %p of %zu bytes: %s %p, %zu bytes before its start",
                    whose, p, s->size, access, at, s->p - addr);
    guard_throw(g, s, "overflow of %s block %p of %zu bytes: %s %p, %zu bytes behind its end", whose, p,
                s->size, access, at, addr - (s->p + s->size));
}

/* ---- the handler ---------------------------------------------------------------------------- */

static const char *access_of(void *context) {
#if defined(__x86_64__)
    const ucontext_t *c = context;
    return c->uc_mcontext.gregs[REG_ERR] & 2 ? "write to" : "read of";
#else
    (void)context;
    return "access to";
#endif
}

static void take_default(int number, const siginfo_t *info) {
    struct sigaction dfl;
    memset(&dfl, 0, sizeof dfl);
    dfl.sa_handler = SIG_DFL;
    sigaction(number, &dfl, NULL);
    if (info->si_code <= 0) /* sent by somebody, so it won't come again by itself */
        raise(number);
}

static void on_fault(int number, siginfo_t *info, void *context) {
    int saved_errno = errno;
    if (info->si_code > 0 && guards_own(watched, info->si_addr))
        tell_fault(watched, (uintptr_t)info->si_addr, access_of(context));
    struct sigaction next = before;
    bool simple = !(next.sa_flags & SA_SIGINFO);
    if (passing || (simple && (next.sa_handler == SIG_DFL || next.sa_handler == SIG_IGN))) {
        take_default(number, info);
    } else {
        passing = 1;
        if (simple)
            next.sa_handler(number);
        else
            next.sa_sigaction(number, info, context);
        passing = 0;
    }
    errno = saved_errno;
}

void guard_watch(struct guards *g) {
    struct sigaction now;
    mutex_lock(&g->lock);
    watched = g;
    if (sigaction(SIGSEGV, NULL, &now) == 0 &&
        !((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_fault)) {
        struct sigaction ours;
        memset(&ours, 0, sizeof ours);
        ours.sa_sigaction = on_fault;
        ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
        sigemptyset(&ours.sa_mask);
        before = now;
        sigaction(SIGSEGV, &ours, NULL);
    }
    mutex_unlock(&g->lock);
}

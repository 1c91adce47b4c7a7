/* How the process ends when memory can no longer be trusted: one line on stderr, then abort(), so
 * that faulthandler shows the Python stack.  Allocates nothing, takes no lock, works in a signal
 * handler.
 *
 * GA_CHECK stays in release builds and guards our own structures on slow paths. */
#ifndef GA_FATAL_H
#define GA_FATAL_H

#include <stdarg.h>

#include "base.h"

/* Writes "goalloc: fatal: " and the printf-like text (only %s %zu %u %p: a %p prints 0x and hex
 * digits), a newline, and aborts. */
_Noreturn void ga_throw(const char *fmt, ...) __attribute__((format(printf, 1, 2), cold));

/* The line alone, and one that is no last word; for who has more to say before abort(). */
void ga_say_fatal(const char *fmt, va_list args);
void ga_say(const char *fmt, ...) __attribute__((format(printf, 1, 2), cold));

#define GA_CHECK(cond)                                                                             \
    do {                                                                                           \
        if (GA_UNLIKELY(!(cond)))                                                                  \
            ga_throw("%s:%u: check failed: %s", __FILE__, (unsigned)__LINE__, #cond);              \
    } while (0)

#endif

/* fatal: the last words of the process.
 *
 * It runs with the heap in ruins, perhaps in a signal handler, so the line is put together on the
 * stack and leaves by write(2): no stdio, no locale, no allocation, no lock. */
#include "fatal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct line {
    char text[1024]; /* longer messages are cut; the newline is never lost */
    size_t length;
};

static void put_text(struct line *l, const char *s, size_t n) {
    size_t room = sizeof l->text - 1 - l->length;
    n = ga_min(n, room);
    memcpy(l->text + l->length, s, n);
    l->length += n;
}

static void put_string(struct line *l, const char *s) {
    s = s ? s : "(null)";
    put_text(l, s, strlen(s));
}

static void put_number(struct line *l, uint64_t v, unsigned base) {
    char digits[20]; /* 2^64 has 20 decimal digits */
    size_t i = sizeof digits;
    do {
        digits[--i] = "0123456789abcdef"[v % base];
        v /= base;
    } while (v != 0);
    put_text(l, digits + i, sizeof digits - i);
}

/* One conversion, *fmt behind its '%'.  Returns what follows it. */
static const char *put_conversion(struct line *l, const char *fmt, va_list *args) {
    if (fmt[0] == 'z' && fmt[1] == 'u') {
        put_number(l, va_arg(*args, size_t), 10);
        return fmt + 2;
    }
    switch (fmt[0]) {
    case 's':
        put_string(l, va_arg(*args, const char *));
        return fmt + 1;
    case 'u':
        put_number(l, va_arg(*args, unsigned), 10);
        return fmt + 1;
    case 'p':
        put_string(l, "0x");
        put_number(l, (uintptr_t)va_arg(*args, void *), 16);
        return fmt + 1;
    default: /* not ours: show it as it stands rather than guess its argument */
        put_string(l, "%");
        return fmt;
    }
}

static void write_line(const struct line *l) {
    for (size_t done = 0; done < l->length;) {
        ssize_t n = write(STDERR_FILENO, l->text + done, l->length - done);
        if (n < 0 && errno != EINTR)
            return;
        done += n < 0 ? 0 : (size_t)n;
    }
}

static void say(const char *prefix, const char *fmt, va_list *args) {
    struct line l = {.length = 0};
    put_string(&l, prefix);
    while (*fmt) {
        size_t plain = strcspn(fmt, "%");
        put_text(&l, fmt, plain);
        fmt += plain;
        if (*fmt == '%')
            fmt = put_conversion(&l, fmt + 1, args);
    }
    l.text[l.length++] = '\n';
    write_line(&l);
}

void ga_say(const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    say("", fmt, &args);
    va_end(args);
}

void ga_say_fatal(const char *fmt, va_list args) {
    va_list own; /* an array type on some systems, which has no address as a parameter */
    va_copy(own, args);
    say("goalloc: fatal: ", fmt, &own);
    va_end(own);
}

void ga_throw(const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    ga_say_fatal(fmt, args);
    va_end(args);
    abort();
}

/* See linetable.h. */
#include "linetable.h"

/* Kinds below ONE_LINE are of the same line as the entry before. */
enum kind { ONE_LINE_0 = 10, ONE_LINE_2 = 12, NO_COLUMNS = 13, LONG = 14, NO_LINE = 15 };

struct reader {
    const uint8_t *at, *end;
};

/* Six bits a byte, the lowest first; bit 6 says that more follow. */
static uint32_t read_varint(struct reader *r) {
    uint32_t value = 0;
    for (unsigned shift = 0; r->at < r->end; shift += 6) {
        uint8_t b = *r->at++;
        if (shift < 32)
            value |= (uint32_t)(b & 63) << shift;
        if (!(b & 64))
            break;
    }
    return value;
}

/* The sign is the lowest bit. */
static int64_t read_signed(struct reader *r) {
    uint32_t v = read_varint(r);
    return v & 1 ? -(int64_t)(v >> 1) : (int64_t)(v >> 1);
}

static int64_t read_line_step(struct reader *r, unsigned kind) {
    if (kind == LONG || kind == NO_COLUMNS)
        return read_signed(r);
    return kind >= ONE_LINE_0 && kind <= ONE_LINE_2 ? (int64_t)kind - ONE_LINE_0 : 0;
}

int linetable_find(const uint8_t *table, size_t nbytes, int first_line, uint32_t unit,
                   size_t *nread) {
    struct reader r = {table, table + nbytes};
    int64_t line = first_line;
    uint64_t end = 0; /* of the entry, in code units */
    while (r.at < r.end) {
        uint8_t head = *r.at++;
        unsigned kind = head >> 3 & 15;
        line += read_line_step(&r, kind);
        end += (head & 7) + 1u;
        if (unit < end) {
            *nread = (size_t)(r.at - table);
            return kind == NO_LINE || line < 0 || line > INT32_MAX ? LINETABLE_NO_LINE : (int)line;
        }
        while (r.at < r.end && !(*r.at & 0x80))
            r.at++;
    }
    *nread = nbytes;
    return LINETABLE_NO_LINE;
}

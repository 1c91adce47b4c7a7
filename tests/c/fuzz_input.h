/* What a fuzzer decides by: bytes.  They come from a buffer that somebody else made (libFuzzer) and
 * then end, or from a seed and never do. */
#ifndef GA_TEST_FUZZ_INPUT_H
#define GA_TEST_FUZZ_INPUT_H

#include <string.h>

#include "rng.h"

struct input {
    const uint8_t *at, *end;
    bool seeded, over;
    struct rng rng;
    uint64_t buf[64]; /* seeded: the bytes that are used up right now */
};

static inline void input_from_bytes(struct input *in, const uint8_t *bytes, size_t n) {
    *in = (struct input){.at = bytes, .end = bytes + n};
}

static inline void input_from_seed(struct input *in, uint64_t seed) {
    *in = (struct input){.seeded = true};
    rng_seed(&in->rng, seed);
    in->at = in->end = (const uint8_t *)in->buf;
}

/* Behind the end all decisions are 0. */
static inline void input_more(struct input *in) {
    in->over = !in->seeded;
    for (size_t i = 0; i < sizeof in->buf / sizeof in->buf[0]; i++)
        in->buf[i] = in->seeded ? (uint64_t)rng_next(&in->rng) << 32 | rng_next(&in->rng) : 0;
    in->at = (const uint8_t *)in->buf;
    in->end = in->at + sizeof in->buf;
}

static inline unsigned input_u8(struct input *in) {
    if (in->at == in->end)
        input_more(in);
    return *in->at++;
}

static inline uint32_t input_u16(struct input *in) { return input_u8(in) | input_u8(in) << 8; }
static inline uint32_t input_u32(struct input *in) {
    return input_u16(in) | input_u16(in) << 16;
}

/* Evenly below n > 0, or nearly so. */
static inline uint32_t input_below(struct input *in, uint32_t n) {
    return (n <= 256 ? input_u8(in) : n <= 65536 ? input_u16(in) : input_u32(in)) % n;
}

#endif

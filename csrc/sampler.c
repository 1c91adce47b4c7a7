/* See sampler.h. */
#include "sampler.h"

#include "explog.h"

void sampler_init(struct sampler *s, uint64_t rate, uint64_t seed) {
    rng_seed(&s->rng, seed);
    s->rate = rate;
    s->hits = 0;
}

void sampler_forget(struct sampler *s) {
    s->rng.state = 0;
    s->rate = UINT64_MAX; /* no rate is that */
}

int64_t sampler_next(struct sampler *s) {
    if (s->rate == 0)
        return INT64_MAX;
    if (s->rate == 1)
        return 0;
    /* -ln(u) * mean for u uniform in (0, 1], in steps of 2^-26 as Go draws it. */
    double u = ((rng_next(&s->rng) >> 6) + 1) * 0x1p-26;
    return (int64_t)(-natural_log(u) * (double)s->rate);
}

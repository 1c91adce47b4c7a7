/* Texts that stand for amounts, and what the environment makes of the defaults. */
#include "settings.h"

#include <string.h>

#include "check.h"
#include "config.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* Every parser leaves the result alone when it refuses. */
#define UNTOUCHED 0x5a5a5a5a5a5a5a5au

struct wanted {
    const char *text;
    uint64_t value;
};

static void check_texts(const char *name, bool (*parse)(const char *, uint64_t *),
                        const struct wanted *good, size_t ngood, const char *const *bad,
                        size_t nbad) {
    for (size_t i = 0; i < ngood; i++) {
        uint64_t v = UNTOUCHED;
        CHECK(parse(good[i].text, &v));
        CHECK_EQ(v, good[i].value);
        if (v != good[i].value)
            fprintf(stderr, "%s of \"%s\"\n", name, good[i].text);
    }
    for (size_t i = 0; i < nbad; i++) {
        uint64_t v = UNTOUCHED;
        bool refused = !parse(bad[i], &v);
        CHECK(refused);
        CHECK_EQ(v, UNTOUCHED);
        if (!refused)
            fprintf(stderr, "%s of \"%s\"\n", name, bad[i]);
    }
}

static void test_bytes(void) {
    static const struct wanted good[] = {
        {"0", 0},
        {"1000", 1000},
        {"007", 7},
        {"1000B", 1000},
        {"3KiB", 3 << 10},
        {"512MiB", 512 << 20},
        {"512 MiB", 512 << 20},
        {"64GiB", (uint64_t)64 << 30},
        {"2TiB", (uint64_t)2 << 40},
        {"18446744073709551615", UINT64_MAX},
        {"18014398509481983KiB", UINT64_MAX - 1023},
        {"16777215TiB", (uint64_t)16777215 << 40},
    };
    static const char *const bad[] = {
        "", " ", "much", "MiB", "-1", "+1", " 1", "0x10", "1e3", "1.5GiB", "1 0", "1kiB", "1KB",
        "1M", "1MiB ", "1MiBs", "1\tMiB", "off", "cgroup",
        "18446744073709551616", "18446744073709551620", "99999999999999999999999",
        "18014398509481984KiB", "16777216TiB", "18446744073709551615TiB",
    };
    check_texts("parse_bytes", parse_bytes, good, COUNT(good), bad, COUNT(bad));
}

static void test_seconds(void) {
    static const struct wanted good[] = {
        {"0", 0},
        {"1", 1000000000},
        {"0.5", 500000000},
        {".5", 500000000},
        {"2.", 2000000000},
        {"10.000000001", 10000000001},
        {"0.0000000019", 1},
        {"1.23456789012345678901234567890", 1234567890},
        {"18446744073.709551615", UINT64_MAX},
        {"off", UINT64_MAX},
        {"inf", UINT64_MAX},
    };
    static const char *const bad[] = {
        "", " ", ".", "soon", "-1", "+1", " 1", "1 ", "1s", "0,5", "1.5.5", "0x1", "1e3", "1.x",
        "offside", "infinity", "nan", "OFF",
        "18446744073.709551616", "18446744074", "18446744073709551616", "999999999999999999999999",
    };
    check_texts("parse_seconds", parse_seconds, good, COUNT(good), bad, COUNT(bad));
}

static void test_memory_limit(void) {
    uint64_t allowed = os_cgroup_memory_limit(""), limit;
    static const struct wanted good[] = {{"512MiB", 512 << 20}, {"1", 1}, {"off", UINT64_MAX}};
    static const char *const bad[] = {"", "0", "0MiB", "none", "Off", "cgroups", "-1"};
    check_texts("parse_memory_limit", parse_memory_limit, good, COUNT(good), bad, COUNT(bad));
    CHECK(parse_memory_limit("cgroup", &limit));
    if (allowed == UINT64_MAX)
        CHECK_EQ(limit, UINT64_MAX);
    else
        CHECK(limit < allowed && limit >= allowed / 10 * 9);
}

#define FIELD(name) offsetof(struct settings, name), sizeof(((struct settings *)0)->name)

/* Each variable with each kind of value, and what its field is then; the others keep their
 * defaults. */
static void test_environment(void) {
    static const struct {
        const char *name, *value;
        size_t offset, nbytes;
        uint64_t want;
    } cases[] = {
        {"GOALLOC_LAYOUT", "sparse", FIELD(layout), LAYOUT_SPARSE},
        {"GOALLOC_LAYOUT", "linear", FIELD(layout), LAYOUT_LINEAR},
        {"GOALLOC_LAYOUT", "round", FIELD(layout), LAYOUT_SPARSE},
        {"GOALLOC_LINEAR_SIZE", "1GiB", FIELD(linear_bytes), 1 << 30},
        {"GOALLOC_LINEAR_SIZE", "64MiB", FIELD(linear_bytes), 64 << 20},
        {"GOALLOC_LINEAR_SIZE", "67108863", FIELD(linear_bytes), 0}, /* less than an arena */
        {"GOALLOC_LINEAR_SIZE", "0", FIELD(linear_bytes), 0},
        {"GOALLOC_LINEAR_SIZE", "much", FIELD(linear_bytes), 0},
        /* the tables would not fit */
        {"GOALLOC_LINEAR_SIZE", "8388608TiB", FIELD(linear_bytes), 0},
        {"GOALLOC_SCAVENGE_DELAY", "0.25", FIELD(scavenge_delay_ns), 250000000},
        {"GOALLOC_SCAVENGE_DELAY", "off", FIELD(scavenge_delay_ns), UINT64_MAX},
        {"GOALLOC_SCAVENGE_DELAY", "1s", FIELD(scavenge_delay_ns), GA_SCAVENGE_DELAY_DEFAULT},
        {"GOALLOC_MEMORY_LIMIT", "1GiB", FIELD(memory_limit), 1 << 30},
        {"GOALLOC_MEMORY_LIMIT", "off", FIELD(memory_limit), UINT64_MAX},
        {"GOALLOC_MEMORY_LIMIT", "lots", FIELD(memory_limit), UINT64_MAX},
        {"GOALLOC_HUGE_PAGES", "dense", FIELD(huge_pages), HUGE_DENSE},
        {"GOALLOC_HUGE_PAGES", "all", FIELD(huge_pages), HUGE_ALL},
        {"GOALLOC_HUGE_PAGES", "off", FIELD(huge_pages), HUGE_OFF},
        {"GOALLOC_HUGE_PAGES", "on", FIELD(huge_pages), HUGE_OFF},
        {"GOALLOC_PROFILE_RATE", "1MiB", FIELD(profile_rate), 1 << 20},
        {"GOALLOC_PROFILE_RATE", "off", FIELD(profile_rate), 0},
        {"GOALLOC_PROFILE_RATE", "64KiB", FIELD(profile_rate), 65536},
        {"GOALLOC_PROFILE_RATE", "0", FIELD(profile_rate), 0},
        {"GOALLOC_PROFILE_RATE", "1025TiB", FIELD(profile_rate), GA_SAMPLE_RATE_DEFAULT},
        {"GOALLOC_PROFILE_RATE", "often", FIELD(profile_rate), GA_SAMPLE_RATE_DEFAULT},
        {"GOALLOC_DEBUG", "0", FIELD(debug), 0},
        {"GOALLOC_DEBUG", "1", FIELD(debug), GA_DEBUG_CHECK_EVERY},
        {"GOALLOC_DEBUG", "7000", FIELD(debug), 7000},
        {"GOALLOC_DEBUG", "off", FIELD(debug), 0},
        {"GOALLOC_DEBUG", "yes", FIELD(debug), 0},
        {"GOALLOC_DEBUG", "", FIELD(debug), 0},
        {"GOALLOC_MEMORY_LIMIT", "0", FIELD(memory_limit), UINT64_MAX},
        {"GOALLOC_RANDOM_ARENAS", "1", FIELD(random_arenas), true},
        {"GOALLOC_RANDOM_ARENAS", "0", FIELD(random_arenas), false},
        {"GOALLOC_RANDOM_ARENAS", "off", FIELD(random_arenas), false},
        {"GOALLOC_RANDOM_ARENAS", "2", FIELD(random_arenas), false},
        {"GOALLOC_RANDOM_ARENAS", "yes", FIELD(random_arenas), false},
        {"GOALLOC_GUARD", "5000", FIELD(guard_rate), 5000},
        {"GOALLOC_GUARD", "off", FIELD(guard_rate), 0},
        {"GOALLOC_GUARD", "5000x", FIELD(guard_rate), 0},
        {"GOALLOC_GUARD", "99999999999999", FIELD(guard_rate), 0},
    };
    struct settings defaults, s;
    for (size_t i = 0; i < COUNT(cases); i++) /* whatever this process was started with */
        unsetenv(cases[i].name);
    settings_read(&defaults);
    for (size_t i = 0; i < COUNT(cases); i++) {
        setenv(cases[i].name, cases[i].value, 1);
        settings_read(&s);
        unsetenv(cases[i].name);
        for (size_t k = 0; k < COUNT(cases); k++) {
            uint64_t got = 0, before = 0;
            memcpy(&got, (char *)&s + cases[k].offset, cases[k].nbytes);
            memcpy(&before, (char *)&defaults + cases[k].offset, cases[k].nbytes);
            CHECK_EQ(got, cases[k].offset == cases[i].offset ? cases[i].want : before);
        }
    }
}

int main(void) {
    test_bytes();
    test_seconds();
    test_memory_limit();
    test_environment();
    return check_summary();
}

/* Size classes against the obvious slow version, for every request and every offset. */
#include "check.h"
#include "mspan.h"

static unsigned slow_class(size_t n) {
    unsigned c = 1;
    while (class_to_size[c] < n)
        c++;
    return c;
}

static void test_every_request(void) {
    for (size_t n = 0; n <= GA_MAX_SMALL_SIZE; n++)
        CHECK_EQ(size_to_class(n), slow_class(n));
}

static void test_every_offset(void) {
    for (unsigned c = 1; c < GA_NUM_SIZE_CLASSES; c++) {
        struct mspan s = {.npages = class_to_allocnpages[c], .divmagic = class_to_divmagic[c]};
        for (size_t offset = 0; offset < mspan_bytes(&s); offset++)
            CHECK_EQ(mspan_objindex(&s, offset), offset / class_to_size[c]);
        size_t most = mspan_bytes(&s) / class_to_size[c];
        CHECK(most >= 1 && most <= GA_MAX_SLOTS_PER_SPAN);
    }
}

static void test_alignment(void) {
    for (unsigned c = 1; c < GA_NUM_SIZE_CLASSES; c++)
        CHECK(class_to_size[c] % 16 == 0 || class_to_size[c] == 8);
}

static void test_span_classes(void) {
    for (unsigned c = 0; c < GA_NUM_SIZE_CLASSES; c++) {
        for (int noscan = 0; noscan < 2; noscan++) {
            spanclass_t spc = make_spanclass(c, noscan);
            CHECK(spc < GA_NUM_SPAN_CLASSES);
            CHECK_EQ(spanclass_sizeclass(spc), c);
            CHECK_EQ(spanclass_noscan(spc), noscan);
        }
    }
    CHECK_EQ(class_to_size[spanclass_sizeclass(GA_TINY_SPAN_CLASS)], GA_TINY_SIZE);
    CHECK(spanclass_noscan(GA_TINY_SPAN_CLASS));
}

int main(void) {
    test_every_request();
    test_every_offset();
    test_alignment();
    test_span_classes();
    return check_summary();
}

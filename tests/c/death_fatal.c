/* Dies by ga_throw and GA_CHECK; the argument says with which text. */
#include <string.h>

#include "fatal.h"

int main(int argc, char **argv) {
    const char *crime = argc > 1 ? argv[1] : "";
    if (strcmp(crime, "formats") == 0) {
        ga_throw("s=%s zu=%zu,%zu u=%u,%u p=%p,%p .", "text", (size_t)0, SIZE_MAX, 0u, UINT32_MAX,
                 (void *)0, (void *)UINTPTR_MAX);
    } else if (strcmp(crime, "long") == 0) {
        char text[5000];
        memset(text, 'x', sizeof text - 1);
        text[sizeof text - 1] = 0;
        ga_throw("%s%s%u", text, text, 1u);
    } else if (strcmp(crime, "check") == 0) {
        GA_CHECK(argc == 2);
        GA_CHECK(argc % 2 == 1); /* a percent sign in it must stay one */
    }
    return 0;
}

/* Dies by using locks wrongly; the argument says how. */
#include <string.h>

#include "lock.h"

int main(int argc, char **argv) {
    const char *crime = argc > 1 ? argv[1] : "";
    struct mutex central, other_central, heap;
    mutex_init(&central, GA_RANK_CENTRAL, "central");
    mutex_init(&other_central, GA_RANK_CENTRAL, "other central");
    mutex_init(&heap, GA_RANK_HEAP, "heap");
    if (strcmp(crime, "falling") == 0) {
        mutex_lock(&heap);
        mutex_lock(&central);
    } else if (strcmp(crime, "equal") == 0) {
        mutex_lock(&central);
        mutex_lock(&other_central);
    } else if (strcmp(crime, "again") == 0) {
        mutex_lock(&heap);
        mutex_lock(&heap);
    } else if (strcmp(crime, "not-held") == 0) {
        mutex_lock(&central);
        mutex_unlock(&heap);
    }
    return 0;
}

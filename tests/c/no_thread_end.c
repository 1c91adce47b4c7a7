/* For LD_PRELOAD: no thread can ask goalloc's library to be called when it ends. */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

int pthread_setspecific(pthread_key_t key, const void *value) {
    Dl_info caller;
    if (dladdr(__builtin_return_address(0), &caller) && strstr(caller.dli_fname, "_core"))
        return ENOMEM;
    int (*real)(pthread_key_t, const void *) = NULL;
    void *found = dlsym(RTLD_NEXT, "pthread_setspecific");
    memcpy(&real, &found, sizeof real);
    return real(key, value);
}

"""goalloc for Cython: memory from the heap of the process; goalloc.h says what the rules are.

    cimport goalloc
    goalloc.import_goalloc()                # once, at the top of the module
    cdef double *x = <double *>goalloc.malloc_noscan(n * sizeof(double))

Compile with -I of goalloc.get_include().
"""

cdef extern from "goalloc/goalloc.h" nogil:
    const unsigned ABI_VERSION "GOALLOC_ABI_VERSION"
    int import_goalloc "goalloc_import" () except -1 with gil
    void *malloc "goalloc_malloc" (size_t size)
    void *malloc_noscan "goalloc_malloc_noscan" (size_t size)
    void *calloc "goalloc_calloc" (size_t nmemb, size_t size)
    void *calloc_noscan "goalloc_calloc_noscan" (size_t nmemb, size_t size)
    void *realloc "goalloc_realloc" (void *p, size_t size)
    void *realloc_noscan "goalloc_realloc_noscan" (void *p, size_t size)
    void free "goalloc_free" (void *p)
    void *aligned_alloc "goalloc_aligned_alloc" (size_t align, size_t size)
    size_t usable_size "goalloc_usable_size" (const void *p)
    bint is_ours "goalloc_is_ours" (const void *p)

# cython: language_level=3
"""A Python extension in Cython whose scratch memory comes from goalloc's heap, without the GIL.

    python setup.py build_ext --inplace
    python -c "import primes; print(primes.count(1_000_000))"
"""

cimport goalloc

goalloc.import_goalloc()


cdef Py_ssize_t sieve(char *composite, Py_ssize_t below) noexcept nogil:
    cdef Py_ssize_t n, k, found = 0
    for n in range(2, below):
        if composite[n]:
            continue
        found += 1
        k = n * n
        while k < below:
            composite[k] = 1
            k += n
    return found


def count(Py_ssize_t below):
    """How many primes there are below a number."""
    if below < 0:
        raise ValueError(f"below must not be negative: {below}")
    cdef char *composite
    cdef Py_ssize_t found = 0
    with nogil:
        composite = <char *>goalloc.calloc_noscan(below, 1)
        if composite != NULL:
            found = sieve(composite, below)
            goalloc.free(composite)
    if composite == NULL:
        raise MemoryError
    return found

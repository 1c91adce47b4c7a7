# cython: language_level=3, autotestdict=False, auto_pickle=False
# cython: freethreading_compatible=True, subinterpreters_compatible=own_gil
"""The C core as seen from Python: numbers, tuples and packed bytes; the rest of goalloc makes objects
of them.  The only module that links csrc: two would be two heaps.

It may be imported by several interpreters at once, so it has no globals of its own.

Names with an underscore are the test door: they let tests make the system fail, and call CPython's
allocation API the way C code does.
"""

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.mem cimport (
    PyMem_Calloc, PyMem_Free, PyMem_Malloc, PyMem_RawCalloc, PyMem_RawFree, PyMem_RawMalloc,
    PyMem_RawRealloc, PyMem_Realloc, PyObject_Calloc, PyObject_Free, PyObject_Malloc,
    PyObject_Realloc,
)
from cpython.pycapsule cimport PyCapsule_New
from cpython.number cimport PyNumber_Index
from cpython.ref cimport Py_DECREF, Py_INCREF
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport UINT64_MAX, uint64_t, uintptr_t

from .errors import HeapError, InstallError

cdef extern from *:
    """
    /* stats.py unpacks the array with a struct format of its own. */
    _Static_assert(sizeof(struct span_info) == 72, "struct span_info as in stats.py");
    """
    const Py_ssize_t PY_SSIZE_T_MAX

include "_core_again.pxi"

PAGE_SIZE = GA_PAGE_SIZE
SCAVENGE_NEVER = GA_SCAVENGE_NEVER

cdef enum:
    # Longer than any line of misuse_message and inspect_check.
    MESSAGE_MAX = 512
    # Words of live bits of one span, at most: a page of the smallest class.
    SPAN_BITS_WORDS = 16


# ---- arguments ----------------------------------------------------------------------------------

cdef size_t nbytes_of(object n) except? 0:
    """A request of bytes; what no heap could hold is out of memory, as in C."""
    n = PyNumber_Index(n)
    if n < 0:
        raise ValueError(f"a size cannot be negative: {n}")
    if n > PY_SSIZE_T_MAX:
        raise MemoryError(f"{n} bytes are more than any heap can hold")
    return n


cdef uintptr_t address_of(object address) except? 0:
    address = PyNumber_Index(address)
    if not 0 <= address < 1 << 64:
        raise ValueError(f"not an address: {address}")
    return address


# ---- size classes -------------------------------------------------------------------------------

def size_class_table():
    """(bytes per slot, pages per span) of each class, class 0 first."""
    return [(class_to_size[i], class_to_allocnpages[i]) for i in range(GA_NUM_SIZE_CLASSES)]


def size_class_of(n):
    """The class of a request of n bytes; 0 if it is a large object."""
    n = PyNumber_Index(n)
    if n < 0:
        raise ValueError(f"a size cannot be negative: {n}")
    return 0 if n > GA_MAX_SMALL_SIZE else size_to_class(n)


# ---- structs to tuples --------------------------------------------------------------------------

cdef tuple memstats_tuple(const memstats *m):
    numbers = (
        m.alloc, m.total_alloc, m.sys, m.mallocs, m.frees,
        m.heap_alloc, m.heap_sys, m.heap_idle, m.heap_inuse, m.heap_released, m.heap_objects,
        m.stack_inuse, m.stack_sys, m.mspan_inuse, m.mspan_sys, m.mcache_inuse, m.mcache_sys,
        m.buck_hash_sys, m.gc_sys, m.other_sys,
        m.inuse_released, m.scavenged_bytes, m.scavenge_ns,
    )
    by_size = []
    cdef unsigned i
    for i in range(GA_NUM_SIZE_CLASSES):
        by_size.append((m.by_size[i].size, m.by_size[i].mallocs, m.by_size[i].frees))
    return numbers, by_size


cdef list classes_list(const class_stats *classes):
    rows = []
    cdef unsigned i
    cdef const class_stats *c
    for i in range(GA_NUM_SPAN_CLASSES):
        c = &classes[i]
        rows.append((
            c.spanclass, c.sizeclass, c.noscan, c.elem_size, c.span_bytes, c.spans, c.capacity,
            c.live, c.cached, c.mallocs, c.frees, c.live_bytes, c.free_bytes, c.tail_bytes,
        ))
    return rows


cdef tuple snapshot_tuple(const snapshot *s):
    arenas = []
    cdef const arena_info *a
    cdef uint64_t i
    for i in range(s.narenas):
        a = &s.arenas[i]
        arenas.append((a.start, a.size, a.pages_in_use, a.pages_mapped, a.linear != 0))
    return (
        memstats_tuple(&s.memstats),
        classes_list(s.classes),
        PyBytes_FromStringAndSize(<const char *>s.spans, s.nspans * sizeof(span_info)),
        PyBytes_FromStringAndSize(<const char *>s.bits, s.nbits * sizeof(uint64_t)),
        arenas,
        s.nanotime,
    )


# ---- heaps --------------------------------------------------------------------------------------

@cython.final
cdef class Heap:
    """A heap with a cache of its own; or, made by process_heap(), a view of the one of the process,
    which has no cache here and so can't be allocated from.

    Every method holds the lock of the object (with a GIL: the GIL), so the cache has one user.  It
    lets go of it wherever Python may run: arguments are made numbers before the heap is looked at,
    and afterwards nothing of the heap is used while Python objects are made.
    """
    cdef mheap *heap
    cdef mcache *cache

    @cython.critical_section
    def __init__(self, bint linear, linear_bytes):
        cdef size_t nbytes = 0 # the default
        if linear_bytes is not None:
            nbytes = nbytes_of(linear_bytes)
            if nbytes == 0:
                raise ValueError("linear_bytes must be positive")
        if self.heap != NULL:
            raise RuntimeError("this heap has been made already")
        cdef mheap *heap = heap_new(LAYOUT_LINEAR if linear else LAYOUT_SPARSE, nbytes)
        if heap == NULL:
            raise MemoryError("no memory for a heap")
        cdef mcache *cache = mcache_new(heap, MCACHE_HEAP, heap.central)
        if cache == NULL:
            heap_delete(heap)
            raise MemoryError("no memory for a heap")
        self.heap = heap
        self.cache = cache

    def __dealloc__(self):
        self.destroy()

    cdef void destroy(self) noexcept:
        # A view has no cache: the process heap is not its to destroy.
        if self.cache != NULL:
            heap_delete(self.heap)
        self.heap = NULL
        self.cache = NULL

    cdef int need_open(self) except -1:
        if self.heap == NULL:
            raise HeapError("the heap is closed")
        return 0

    cdef int need_cache(self) except -1:
        self.need_open()
        if self.cache == NULL:
            raise HeapError("the heap of the process serves Python only")
        return 0

    cdef object misuse_error(self, misuse why, const char *op, uintptr_t address):
        cdef char text[MESSAGE_MAX]
        misuse_message(self.heap, why, op, <const void *>address, text, sizeof(text))
        return HeapError(text.decode("utf-8", "replace"))

    @property
    def closed(self):
        return self.heap == NULL

    @cython.critical_section
    def close(self):
        self.destroy()

    @cython.critical_section
    def malloc(self, n, bint noscan, align):
        cdef size_t size = nbytes_of(n)
        cdef size_t alignment = 0
        cdef void *p
        if align is not None:
            align = PyNumber_Index(align)
            alignment = align if 0 < align <= PY_SSIZE_T_MAX else 0
            if alignment == 0 or alignment & (alignment - 1):
                raise ValueError(f"align must be a power of two: {align}")
        self.need_cache()
        if alignment == 0:
            p = ga_malloc(self.heap, self.cache, size, noscan)
        else:
            p = ga_memalign(self.heap, self.cache, alignment, size, noscan)
        if p == NULL:
            raise MemoryError(f"no memory for {n} bytes")
        return <uintptr_t>p

    @cython.critical_section
    def calloc(self, n, size, bint noscan):
        cdef size_t nmemb = nbytes_of(n), each = nbytes_of(size)
        self.need_cache()
        cdef void *p = ga_calloc(self.heap, self.cache, nmemb, each, noscan)
        if p == NULL:
            raise MemoryError(f"no memory for {n} * {size} bytes")
        return <uintptr_t>p

    @cython.critical_section
    def realloc(self, address, n, bint noscan):
        cdef uintptr_t old = address_of(address)
        cdef size_t size = nbytes_of(n)
        cdef misuse why = MISUSE_NONE
        cdef void *p
        self.need_cache()
        if old == 0:
            p = ga_malloc(self.heap, self.cache, size, noscan)
        else:
            p = ga_realloc(self.heap, self.cache, <void *>old, size, noscan, &why)
        if why != MISUSE_NONE:
            raise self.misuse_error(why, "realloc", old)
        if p == NULL:
            raise MemoryError(f"no memory for {n} bytes")
        return <uintptr_t>p

    @cython.critical_section
    def free(self, address):
        cdef uintptr_t p = address_of(address)
        self.need_cache()
        if p == 0:
            return
        cdef misuse why = ga_free(self.heap, self.cache, <void *>p)
        if why != MISUSE_NONE:
            raise self.misuse_error(why, "free", p)

    @cython.critical_section
    def usable_size(self, address):
        cdef uintptr_t p = address_of(address)
        self.need_cache()
        if p == 0:
            raise ValueError("address 0 is no block")
        cdef misuse why = MISUSE_NONE
        cdef size_t size = ga_usable_size(self.heap, self.cache, <void *>p, &why)
        if why != MISUSE_NONE:
            raise self.misuse_error(why, "usable_size", p)
        return size

    @cython.critical_section
    def memstats(self):
        self.need_open()
        cdef memstats m
        inspect_memstats(self.heap, &m)
        return memstats_tuple(&m)

    @cython.critical_section
    def _memstats_slow(self):
        self.need_open()
        cdef memstats m
        inspect_memstats_slow(self.heap, &m)
        return memstats_tuple(&m)

    @cython.critical_section
    def class_stats(self):
        self.need_open()
        cdef class_stats classes[GA_NUM_SPAN_CLASSES]
        inspect_class_stats(self.heap, classes)
        return classes_list(classes)

    @cython.critical_section
    def snapshot(self):
        """(memstats, classes, packed span_info, words of live bits, arenas, nanotime)"""
        self.need_open()
        cdef snapshot s
        if not inspect_snapshot(self.heap, &s):
            raise MemoryError("no memory for a snapshot")
        try:
            return snapshot_tuple(&s)
        finally:
            inspect_snapshot_free(&s)

    @cython.critical_section
    def span_of(self, address):
        """(packed span_info, its live bits), or None."""
        cdef uintptr_t p = address_of(address)
        self.need_open()
        cdef span_info info
        cdef uint64_t bits[SPAN_BITS_WORDS]
        if not inspect_span_of(self.heap, p, &info, bits):
            return None
        info.bits = 0
        return (
            PyBytes_FromStringAndSize(<const char *>&info, sizeof(info)),
            PyBytes_FromStringAndSize(<const char *>bits, (info.nelems + 63) // 64 * 8),
        )

    @cython.critical_section
    def check(self):
        """The first invariant that does not hold, or None."""
        self.need_open()
        cdef char text[MESSAGE_MAX]
        if inspect_check(self.heap, text, sizeof(text)) == 0:
            return None
        return text.decode("utf-8", "replace")

    @cython.critical_section
    def free_os_memory(self):
        self.need_open()
        return heap_free_os_memory(self.heap)

    @cython.critical_section
    def set_memory_limit(self, nbytes):
        """nbytes, None for none; returns the former limit."""
        cdef uint64_t limit = UINT64_MAX if nbytes is None else nbytes_of(nbytes)
        self.need_open()
        cdef uint64_t before = mheap_set_memory_limit(self.heap, limit)
        return None if before == UINT64_MAX else before

    @cython.critical_section
    def memory_limit(self):
        self.need_open()
        return None if self.heap.memory_limit == UINT64_MAX else self.heap.memory_limit

    @cython.critical_section
    def _fail_os_call(self, k, bint onwards):
        cdef uint64_t nth = nbytes_of(k)
        self.need_open()
        self.heap.os.fail_all = onwards
        self.heap.os.fail_at = self.heap.os.ncalls + nth if nth else 0

    @cython.critical_section
    def _os_calls(self):
        self.need_open()
        return self.heap.os.ncalls


cdef mheap *the_heap() except NULL:
    """That of the process."""
    cdef mheap *heap = pyhook_heap()
    if heap == NULL:
        raise MemoryError("no memory for the heap of the process")
    return heap


def process_heap():
    """A view of the heap of the process."""
    cdef Heap view = Heap.__new__(Heap)
    view.heap = the_heap()
    return view


def set_scavenge_delay(uint64_t ns):
    """Of the heap of the process; SCAVENGE_NEVER for never.  Returns the former one."""
    cdef uint64_t before = scavenger_set_delay(the_heap(), ns)
    background_poke()
    return before


def scavenge_delay():
    return the_heap().scavenger.delay


# ---- amounts as text ----------------------------------------------------------------------------

cdef bytes c_text(str text):
    """For a `const char *`, which would end at a zero inside."""
    encoded = text.encode("utf-8", "surrogateescape")
    if b"\0" in encoded:
        raise ValueError("embedded null character")
    return encoded


def parse_bytes(str text not None):
    """1048576 for '1MiB'."""
    cdef bytes encoded = c_text(text)
    cdef uint64_t nbytes
    if not c_parse_bytes(encoded, &nbytes):
        raise ValueError(f"not a size such as 512MiB: {text!r}")
    return nbytes


def parse_memory_limit(str text not None):
    """Bytes, or None for no limit, of what GOALLOC_MEMORY_LIMIT takes: '512MiB', 'cgroup', 'off'."""
    cdef bytes encoded = c_text(text)
    cdef uint64_t nbytes
    if not c_parse_memory_limit(encoded, &nbytes):
        raise ValueError(f"not a size above 0 such as 512MiB, 'cgroup' or 'off': {text!r}")
    return None if nbytes == UINT64_MAX else nbytes


def cgroup_memory_limit(str root not None=""):
    """Bytes that the control groups of this process allow it, or None; files are read below root."""
    cdef bytes encoded = c_text(root)
    cdef uint64_t nbytes = os_cgroup_memory_limit(encoded)
    return None if nbytes == UINT64_MAX else nbytes


# ---- hooks --------------------------------------------------------------------------------------

cdef dict MODES():
    return {
        None: PYHOOK_NONE, "launch": PYHOOK_LAUNCH, "import": PYHOOK_IMPORT, "wrap": PYHOOK_WRAP,
    }


def install(wanted=None):
    """wanted: 'import', 'wrap', or None for the former where it can be and else the latter."""
    cdef const char *why_not = pyhook_install(MODES()[wanted])
    if why_not != NULL:
        raise InstallError(why_not.decode())


def uninstall():
    pyhook_uninstall()


def mode():
    cdef int now = pyhook_mode()
    for name, number in MODES().items():
        if number == now:
            return name


def wrap_counts():
    """frees, and (mallocs, bytes asked for) of each span class, all while in wrap mode."""
    cdef tally_sums sums
    cdef unsigned i
    wrap_sums(&sums)
    classes = []
    for i in range(GA_NUM_SPAN_CLASSES):
        classes.append((sums.mallocs[i], sums.bytes[i]))
    return sums.frees, classes


def obstacle():
    cdef const char *why_not = pyhook_obstacle()
    return None if why_not == NULL else why_not.decode()


# ---- the program's main thread --------------------------------------------------------------------

cdef extern from "Python.h":
    int Py_AddPendingCall(int (*function)(void *) noexcept with gil, void *argument)


cdef int call_pending(void *function) noexcept with gil:
    """What it raises is printed as that of a callback, and not raised in the program."""
    held = <object>function
    Py_DECREF(held)
    held()
    return 0


def call_soon(function not None):
    """Calls it in the main thread, between two steps of the program."""
    Py_INCREF(function)
    if Py_AddPendingCall(call_pending, <void *>function) != 0:
        Py_DECREF(function)
        raise RuntimeError("too many calls are waiting for the main thread")


# ---- guarded blocks -----------------------------------------------------------------------------

def guard_rate():
    """One in so many new blocks stands between guard pages; 0: none."""
    return the_heap().caches.guard_rate


def set_guard_rate(rate):
    """From now on; returns the former one."""
    rate = PyNumber_Index(rate)
    if not 0 <= rate <= GA_GUARD_RATE_MAX:
        raise ValueError(f"not a rate from 0 (off) to one in {GA_GUARD_RATE_MAX}: {rate}")
    cdef uint64_t before
    cdef const char *why_not = pyhook_set_guard_rate(the_heap(), rate, &before)
    if why_not != NULL:
        raise RuntimeError(why_not.decode())
    return before


# ---- the C API for other extensions -------------------------------------------------------------

def c_api():
    """The capsule that goalloc.h imports."""
    cdef const goalloc_api *table = goalloc_api_table()
    if table == NULL:
        raise MemoryError("no memory for the heap of the process")
    return PyCapsule_New(<void *>table, GOALLOC_CAPSULE, NULL)


# ---- the profile --------------------------------------------------------------------------------

include "_core_profile.pxi"


# ---- test door: CPython's own allocation API ------------------------------------------------------

cdef int domain_of(object domain) except -1:
    return ("raw", "mem", "obj").index(domain)


def _domain_malloc(domain, n):
    cdef int which = domain_of(domain)
    cdef size_t size = nbytes_of(n)
    cdef void *p
    if which == 0:
        p = PyMem_RawMalloc(size)
    elif which == 1:
        p = PyMem_Malloc(size)
    else:
        p = PyObject_Malloc(size)
    if p == NULL:
        raise MemoryError
    return <uintptr_t>p


def _domain_calloc(domain, n, size):
    cdef int which = domain_of(domain)
    cdef size_t nmemb = nbytes_of(n), each = nbytes_of(size)
    cdef void *p
    if which == 0:
        p = PyMem_RawCalloc(nmemb, each)
    elif which == 1:
        p = PyMem_Calloc(nmemb, each)
    else:
        p = PyObject_Calloc(nmemb, each)
    if p == NULL:
        raise MemoryError
    return <uintptr_t>p


def _domain_realloc(domain, address, n):
    cdef int which = domain_of(domain)
    cdef uintptr_t old = address_of(address)
    cdef size_t size = nbytes_of(n)
    cdef void *p
    if which == 0:
        p = PyMem_RawRealloc(<void *>old, size)
    elif which == 1:
        p = PyMem_Realloc(<void *>old, size)
    else:
        p = PyObject_Realloc(<void *>old, size)
    if p == NULL:
        raise MemoryError
    return <uintptr_t>p


def _domain_free(domain, address):
    cdef int which = domain_of(domain)
    cdef uintptr_t p = address_of(address)
    if which == 0:
        PyMem_RawFree(<void *>p)
    elif which == 1:
        PyMem_Free(<void *>p)
    else:
        PyObject_Free(<void *>p)

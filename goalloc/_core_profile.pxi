# The heap profile of the process: plain lists and tuples, which goalloc/profiles makes objects of.
# Included by _core.pyx.

cdef profile *the_profile() except NULL:
    return the_heap().profile


def profile_rate():
    """Mean bytes between two samples; 0: none, 1: every block."""
    return profile_rate_now(the_profile())


def set_profile_rate(rate):
    """From now on; returns the former one.  What has been sampled is followed to its end."""
    rate = PyNumber_Index(rate)
    if not 0 <= rate <= GA_SAMPLE_RATE_MAX:
        raise ValueError(f"not a rate from 0 (off) to {GA_SAMPLE_RATE_MAX} bytes: {rate}")
    return mcaches_set_sample_rate(the_heap(), rate)


def profile_reset_peak():
    """The high-water mark is what is in use now."""
    profile_reset_mark(the_profile())


cdef list samples_list(const profile_copy *copy):
    cdef list rows = []
    cdef const profile_sample *s
    cdef uint32_t i
    for i in range(copy.nsamples):
        s = &copy.samples[i]
        rows.append((
            s.stack, s.size, s.rate, s.domain, s.thread, s.allocs, s.frees, s.peak,
        ))
    return rows


cdef list stacks_list(const profile *p, const profile_copy *copy):
    cdef list rows = []
    cdef const profile_stack *s
    cdef uint32_t i, k
    for i in range(copy.nstacks):
        s = profile_stack_at(p, i)
        rows.append(tuple([s.locs[k] for k in range(s.n)]))
    return rows


cdef str profile_text(const locations *l, uint32_t i):
    cdef const text *t = locations_text(l, i)
    return PyUnicode_DecodeUTF8(t.bytes, t.nbytes, "surrogateescape")


cdef list functions_list(const locations *l, uint32_t n):
    cdef list rows = []
    cdef const function *f
    cdef uint32_t i
    for i in range(n):
        f = locations_function(l, i)
        rows.append((profile_text(l, f.name), profile_text(l, f.file), f.first_line))
    return rows


cdef list locations_list(const locations *l, uint32_t n):
    cdef list rows = []
    cdef const location *at
    cdef uint32_t i
    for i in range(n):
        at = locations_get(l, i)
        rows.append((at.function, at.line))
    return rows


cdef list threads_list(const locations *l, uint32_t n):
    cdef list rows = []
    cdef const thread *t
    cdef uint32_t i
    for i in range(n):
        t = locations_thread(l, i)
        rows.append((t.native_id, profile_text(l, t.name)))
    return rows


cdef dict profile_dict(const profile *p, const profile_copy *copy, bint blocks):
    raw = {
        "rate": copy.rate,
        "time_ns": copy.time_ns,
        "functions": functions_list(&p.locations, copy.nfunctions),
        "locations": locations_list(&p.locations, copy.nlocations),
        "threads": threads_list(&p.locations, copy.nthreads),
        "stacks": stacks_list(p, copy),
        "samples": samples_list(copy),
        "peak_time_ns": copy.mark_ns,
        "dropped_samples": copy.dropped,
        "dropped_locations": copy.dropped_locations,
        "truncated_stacks": copy.truncated,
        "memory": copy.memory,
    }
    if blocks:
        raw["block_addresses"] = PyBytes_FromStringAndSize(
            <const char *>copy.blocks, copy.nblocks * sizeof(uintptr_t)
        )
        raw["block_samples"] = PyBytes_FromStringAndSize(
            <const char *>copy.block_sample, copy.nblocks * sizeof(uint32_t)
        )
    return raw


def profile_read(bint blocks=False):
    """All of it, at one moment.

    rate: now; time_ns, peak_time_ns: wall clock, of now and of the high-water mark.
    functions: [(name, file, first line)]; locations: [(function, line)]; threads: [(native id, name)].
    stacks: [(location, ...)], leaf first.
    samples: [(stack, size, rate, domain, thread, allocs, frees, peak)], counts of sampled blocks as they
    are; domain 0 raw, 1 mem, 2 obj; size and rate in bytes, the rate when they were sampled.
    dropped_samples: for which there was no memory; dropped_locations: frames of samples that are there,
    "<dropped>" in their stacks; truncated_stacks: of more frames than are kept; memory: bytes that the
    profile takes.
    block_addresses, block_samples, if blocks: uint64 and uint32 arrays, the live sampled blocks and the
    samples that they belong to.
    """
    cdef profile *p = the_profile()
    cdef profile_copy copy
    if not profile_read_all(p, &the_heap().specials, blocks, &copy):
        raise MemoryError("no memory for a copy of the profile")
    try:
        return profile_dict(p, &copy, blocks)
    finally:
        profile_copy_free(p, &copy)

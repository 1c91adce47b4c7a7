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


cdef dict profile_dict(const profile *p, const profile_copy *copy, bint blocks):
    raw = {
        "rate": copy.rate,
        "time_ns": copy.time_ns,
        "functions": [("<no Python frame>", "", 0)],
        "locations": [(0, 0)],
        "threads": [(0, "")],
        "stacks": stacks_list(p, copy),
        "samples": samples_list(copy),
        "peak_time_ns": copy.mark_ns,
        "dropped_samples": copy.dropped,
        "truncated_stacks": 0,
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
    dropped_samples: for which there was no memory; truncated_stacks: of more frames than are kept;
    memory: bytes that the profile takes.
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

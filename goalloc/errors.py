"""What goalloc raises, besides MemoryError, ValueError and TypeError."""


class InstallError(RuntimeError):
    """This interpreter cannot have goalloc now; the text is one sentence that says why."""


class HeapError(RuntimeError):
    """A heap was misused (double free, wild pointer, use after close), or is found damaged."""

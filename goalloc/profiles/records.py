"""What a heap profile is made of, as records: frames, threads and samples."""

from __future__ import annotations

from .._records import FrameFields, Record, SampleFields, ThreadFields

#: What a sample is worth, in the order in which Go writes them, then what goalloc adds.
VALUES = (
    "alloc_objects",
    "alloc_space",
    "inuse_objects",
    "inuse_space",
    "peak_objects",
    "peak_space",
    "temporary_objects",
    "temporary_space",
)

#: What tables sum by: the frames of the stacks, or what a sample has besides.
BY_FRAMES = ("function", "line", "file", "module")
BY_SAMPLES = ("thread", "size", "domain")

#: How many lines of a tree are shown where nothing else is asked for.
LINES_OF_TREE = 200

#: Names of the domains by their number in C; "" is that of a profile of another program.
DOMAINS = ("raw", "mem", "obj", "")

#: What is shown for a thread, a size or a domain that a profile does not tell.
UNKNOWN = "<unknown>"


class Frame(Record, FrameFields):
    """A line in a function.  `function` is the qualified name, `module` the dotted one or ""."""

    __slots__ = ()

    @property
    def qualified(self) -> str:
        """The name that tells functions of different modules apart: 'json.decoder.scan'."""
        return f"{self.module}.{self.function}" if self.module else self.function

    def __str__(self) -> str:
        line = f":{self.line}" if self.line else ""
        return f"{self.qualified} ({self.filename}{line})" if self.filename else self.qualified


class Thread(Record, ThreadFields):
    """A thread by its native id (0: not known), and the name that it had when that was asked.

    The name is "" where a thread ended before a profile was read, if the system had none for it:
    Python tells it from 3.14 on.
    """

    __slots__ = ()

    def __str__(self) -> str:
        return self.name or (f"thread {self.id}" if self.id else UNKNOWN)


class Sample(Record, SampleFields):
    """What one stack allocated of one size, in one domain and thread; estimates, as in Go.

    stack       Frame objects, the innermost first
    size        bytes of a block, rounded up to its size class
    domain      'raw', 'mem' or 'obj'; '' where it is not known
    alloc_*     all that was ever allocated: blocks and bytes
    inuse_*     the part of it that is not freed
    peak_*      what of it was in use at the high-water mark; None where that is not known
    temporary_* allocated and freed: alloc - inuse
    """

    __slots__ = ()

    @property
    def temporary_objects(self) -> int:
        return self.alloc_objects - self.inuse_objects

    @property
    def temporary_space(self) -> int:
        return self.alloc_space - self.inuse_space

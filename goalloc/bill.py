"""Where the resident memory of this process is: goalloc's heap down to live blocks, and the rest."""

from __future__ import annotations

from ._records import MemoryBillFields, Record, ResidentFields
from .display.pretty import show_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pandas import DataFrame as _DataFrame

    from .stats import Arena


class Resident(Record, ResidentFields):
    """Bytes of a process that are in RAM, by what they are mapped for; rss is the sum of the others.

    heap        arenas of goalloc
    files       programs, libraries and other mapped files
    brk         what C's malloc has of the classic heap
    stack       the main thread's
    anonymous   all else: larger blocks of C's malloc, threads' stacks, and goalloc's own records
    """

    __slots__ = ()


class MemoryBill(Record, MemoryBillFields):
    """Resident memory, from the whole process down to live blocks; text with print().

    memstats   MemStats
    classes    134 ClassStats
    resident   Resident; None where /proc/self/smaps can't be read
    """

    __slots__ = ()

    def lines(self) -> list[tuple[int, str, int]]:
        """(depth, what, bytes): the lines one step deeper add up to the line that they are under."""
        from .display.billtable import bill_lines

        return bill_lines(self)

    def to_dataframe(self) -> _DataFrame:
        """lines() as a pandas DataFrame: depth, what, nbytes."""
        from .dataframes import dataframe

        names = ("depth", "what", "nbytes")
        return dataframe([dict(zip(names, line)) for line in self.lines()])

    def __repr__(self) -> str:
        rss = "unknown" if self.resident is None else f"{self.resident.rss} bytes resident"
        return f"MemoryBill({rss}, {self.memstats.heap_alloc} bytes live)"

    _repr_pretty_ = show_text

    def __str__(self) -> str:
        from .display.billtable import bill_text

        return bill_text(self)

    def _repr_html_(self) -> str:
        from .display.billtable import bill_html

        return bill_html(self)


def resident_from_smaps(smaps: Iterable[bytes], arenas: Sequence[Arena]) -> Resident:
    """Sorts the Rss of each mapping; smaps are the lines of /proc/self/smaps."""
    sums = dict.fromkeys(ResidentFields._fields, 0)
    kind = "anonymous"
    for line in smaps:
        if line.startswith(b"Rss:"):
            nbytes = int(line.split()[1]) * 1024
            sums[kind] += nbytes
            sums["rss"] += nbytes
        elif line[:1] in b"0123456789abcdef":
            kind = _kind(line.split(maxsplit=5), arenas)
    return Resident(**sums)


def _kind(mapping: list[bytes], arenas: Sequence[Arena]) -> str:
    """Of a line such as `7f00-7f10 r-xp 00000000 08:01 123 /lib/libc.so`."""
    low, high = (int(address, 16) for address in mapping[0].split(b"-"))
    if any(low < a.start + a.size and a.start < high for a in arenas):
        return "heap"
    name = mapping[5].strip() if len(mapping) > 5 else b""
    if name in (b"[heap]", b"[stack]"):
        return "brk" if name == b"[heap]" else "stack"
    if name.startswith((b"[v", b"/")) and not name.startswith(b"[anon"):
        return "files"
    return "anonymous"


def resident(arenas: Sequence[Arena]) -> Resident | None:
    """Of this process, now.  None: the system does not tell."""
    try:
        with open("/proc/self/smaps", "rb") as file:
            return resident_from_smaps(file, arenas)
    except OSError:
        return None


def rss() -> int:
    """Resident bytes of this process: cheaply, and to within a few pages for each thread."""
    import os

    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

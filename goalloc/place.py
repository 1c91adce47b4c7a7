"""What is said where goalloc is not in place: the same sentence by every display and exception."""

from __future__ import annotations

NOT_IN_PLACE = (
    "goalloc is not in place in this process: start it with `python -m goalloc run`, "
    "or call goalloc.install()"
)
_NO_NEW = (
    "goalloc serves no new blocks of Python's in this process: these are older ones, "
    "or those of extensions that use goalloc.h"
)


def note_of(mode: str | None, blocks: object) -> str:
    """For records: in which mode they were taken, and whether there are blocks all the same."""
    if mode is not None:
        return ""
    return _NO_NEW if blocks else NOT_IN_PLACE

"""What goalloc itself allocates.  Reading a profile makes one, and that is not the program's.

A sample is goalloc's own if code of goalloc led to it more directly than code of the program: the
innermost frame of goalloc's in its stack is not one that runs a cell of a notebook, or a function that
is measured.
"""

from __future__ import annotations

from .tables import COUNTS, counts_from_core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Frames that run code of others: (name, end of file).
_RUNS_OTHERS = (
    ("_run", "/notebook.py"),
    ("CodeProfile.__call__.<locals>.measured", "/profiles/piece.py"),
)


def take_own(raw: dict[str, Any]) -> tuple[int, ...]:
    """Takes the samples that are goalloc's own out of what _core.profile_read() gave.

    Returns the sums of what they stand for, in the order of COUNTS.
    """
    folder = take_own.__code__.co_filename.removesuffix("profiles/own.py")
    own = {
        i: (name, filename)
        for i, (name, filename, _) in enumerate(raw["functions"])
        if filename.startswith(folder)
    }
    ours = {i: own[f] for i, (f, _) in enumerate(raw["locations"]) if f in own}
    stacks = {i for i, stack in enumerate(raw["stacks"]) if _is_own(stack, ours, folder)}
    taken = [row for row in raw["samples"] if row[0] in stacks]
    if taken:
        raw["samples"] = [row for row in raw["samples"] if row[0] not in stacks]
    return tuple(map(sum, zip(*counts_from_core(taken)))) or (0,) * len(COUNTS)


def _is_own(stack: tuple[int, ...], ours: dict[int, tuple[str, str]], folder: str) -> bool:
    if ours.keys().isdisjoint(stack):
        return False
    name, filename = next(ours[location] for location in stack if location in ours)
    return not any(
        name == runner and filename == folder.removesuffix("/") + file for runner, file in _RUNS_OTHERS
    )

"""What a profile is summed by: its frames by function, line, file or module, or its samples by thread,
size or domain."""

from __future__ import annotations

from typing import NamedTuple

from .records import BY_FRAMES, BY_SAMPLES, DOMAINS, UNKNOWN
from .values import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from .profile import HeapProfile
    from .records import Frame


class Groups(NamedTuple):
    of_location: list[int]  # the group of each location of the profile
    names: list[str]
    frames: list[Frame]  # one frame of each group, for its line
    files: list[str]  # its file as it is shown


def _key(frame: Frame, by: str) -> Hashable:
    if by == "function":
        return frame.qualified, frame.filename
    if by == "line":
        return frame.qualified, frame.filename, frame.line
    return frame.filename if by == "file" else frame.module


def _place(file: str, line: int) -> str:
    """As much of it as is known: native code has neither, some programs tell no lines."""
    return f"{file}:{line}" if line else file


def _name(frame: Frame, file: str, by: str) -> str:
    if frame.function == "<module>" and file != frame.filename and by in ("function", "line"):
        return file if by == "function" else _place(file, frame.line)  # a cell itself
    if by == "function":
        return frame.qualified
    if by == "line":
        return f"{frame.qualified} {_place(file, frame.line)}".rstrip()
    return (file if by == "file" else frame.module) or frame.function


def group(profile: HeapProfile, by: str) -> Groups:
    if by not in BY_FRAMES:
        raise ValueError(f"cannot sum by {by!r}; there are {', '.join(BY_FRAMES)}")
    found: dict[Hashable, int] = {}
    groups = Groups([], [], [], [])
    for frame, file in zip(profile._frames(), profile._shown_files()):
        # A frame without file or module stands for itself.
        name = _name(frame, file, by)
        key = _key(frame, by) or name
        number = found.get(key)
        if number is None:
            number = found[key] = len(groups.names)
            groups.names.append(printable(name))
            groups.frames.append(frame)
            groups.files.append(file)
        groups.of_location.append(number)
    return groups


def group_samples(profile: HeapProfile, by: str) -> tuple[list[int], list[str]]:
    """The group of each sample, and the names of the groups.

    Threads with one name are one group, as those of a pool's workers in several processes are.
    """
    if by not in BY_SAMPLES:
        raise ValueError(f"cannot sum by {by!r}; there are {', '.join(BY_FRAMES + BY_SAMPLES)}")
    tables = profile._tables
    _, sizes, domains, threads = tables.keys
    names: Iterable[str]
    if by == "thread":
        shown = [printable(str(thread)) for thread in tables.threads]
        names = map(shown.__getitem__, threads)
    elif by == "size":
        names = (f"{size:,} B" if size else UNKNOWN for size in sizes)
    else:
        names = (DOMAINS[domain] or UNKNOWN for domain in domains)
    found: dict[str, int] = {}
    of_sample = [found.setdefault(name, len(found)) for name in names]
    return of_sample, list(found)

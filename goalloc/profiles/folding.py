"""What is between a program and its reader: the frames that import a module, start a program or run
the cell of a notebook.  In a tree of calls a run of these is one node, such as [import]; in a table
the ones that allocated nothing themselves are left out.

asyncio and tornado run programs too: theirs count only beside frames of IPython's own.
"""

from __future__ import annotations

from .records import Frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .groups import Groups
    from .profile import HeapProfile

_IMPORT, _START, _CELL = "[import]", "[start]", "[IPython]"
_EXACT = {
    "importlib": _IMPORT,
    "importlib._bootstrap": _IMPORT,
    "importlib._bootstrap_external": _IMPORT,
    "zipimport": _IMPORT,
    "runpy": _START,
    "goalloc.notebook": _CELL,
}
_PACKAGES = {"ipykernel": _CELL, "IPython": _CELL}
_BESIDE_CELLS = {"asyncio", "tornado", "traitlets", "zmq", "jupyter_client", "runpy", "contextlib"}


def is_folded(frame: Frame) -> bool:
    """Whether it stands for a run of frames."""
    return not frame.module and frame.function in (_IMPORT, _START, _CELL)


def folded(profile: HeapProfile, groups: Groups) -> dict[int, list[int]]:
    """The stacks that have such frames, by number: their groups from the outermost in, with the runs
    as groups of their own, which are added to the groups."""
    of_label: dict[str, int] = {}
    paths = {}
    for number, names in _labelled(profile):
        for name in names:
            if name is not None and name not in of_label:
                of_label[name] = _add_group(groups, name)
        stack = profile._tables.stacks[number]
        of_group = [groups.of_location[location] for location in reversed(stack)]
        paths[number] = list(_path(names, of_group, of_label))
    return paths


def machinery(profile: HeapProfile, groups: Groups) -> set[int]:
    """The groups of which every frame, in every stack, is such a one."""
    stacks = profile._tables.stacks
    labelled = dict(_labelled(profile))
    if not labelled:
        return set()
    these: set[int] = set()
    others: set[int] = set()
    for number, stack in enumerate(stacks):
        of_group = [groups.of_location[location] for location in reversed(stack)]
        names = labelled.get(number)
        if names is None:
            others.update(of_group)
            continue
        for name, g in zip(names, of_group):
            (others if name is None else these).add(g)
    return these - others


def _labelled(profile: HeapProfile) -> Iterator[tuple[int, list[str | None]]]:
    """The stacks that have such frames: their numbers, and what each frame counts as, from the
    outermost in."""
    labels, beside = [], []
    for frame in profile._frames():
        package = frame.module.partition(".")[0]
        launcher = frame.filename.endswith("/ipykernel_launcher.py")  # as a module: __main__
        labels.append(_CELL if launcher else _EXACT.get(frame.module) or _PACKAGES.get(package))
        beside.append(package in _BESIDE_CELLS)
    if not any(labels):
        return
    for number, stack in enumerate(profile._tables.stacks):
        names = [labels[location] for location in reversed(stack)]
        if any(names):
            _spread(names, [beside[location] for location in reversed(stack)])
            yield number, names


def _add_group(groups: Groups, label: str) -> int:
    groups.names.append(label)
    groups.frames.append(Frame(label, "", 0, "", 0))
    groups.files.append("")
    return len(groups.names) - 1


def _spread(names: list[str | None], beside: Sequence[bool]) -> None:
    """Makes of IPython what stands beside it, on both sides."""
    if _CELL not in names:
        return
    for order in (range(1, len(names)), range(len(names) - 2, -1, -1)):
        for i in order:
            if beside[i] and names[i - order.step] == _CELL:
                names[i] = _CELL


def _path(
    names: Sequence[str | None], of_group: Sequence[int], of_label: dict[str, int]
) -> Iterator[int]:
    last: str | None = None
    for name, group in zip(names, of_group):
        if name is None:
            yield group
        elif name != last:
            yield of_label[name]
        last = name

"""Profiles for other tools: collapsed stacks, speedscope, pandas."""

from __future__ import annotations

from ..arguments import text
from ..dataframes import dataframe as make
from .groups import group
from .records import DOMAINS, VALUES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pandas import DataFrame as _DataFrame

    from .profile import HeapProfile

_SPEEDSCOPE = "https://www.speedscope.app/file-format-schema.json"


def collapsed(profile: HeapProfile, value: str, by: str) -> str:
    groups = group(profile, by)
    names = [name.replace(";", ",") for name in groups.names]  # it parts the frames of a line
    sums: dict[str, int] = {}
    for stack, amount in zip(profile._tables.stacks, profile._by_stack(value)):
        if amount:
            line = ";".join([names[groups.of_location[loc]] for loc in reversed(stack)])
            sums[line] = sums.get(line, 0) + amount
    return "".join(f"{line} {amount}\n" for line, amount in sums.items())


def speedscope(profile: HeapProfile, name: str) -> dict[str, Any]:
    text(name, "name")
    frames = []
    for frame, file in zip(profile._frames(), profile._shown_files()):
        shared: dict[str, Any] = {"name": frame.qualified}
        if file:
            shared["file"] = file
        if frame.line:
            shared["line"] = frame.line
        frames.append(shared)
    known = [v for v in VALUES if profile.about.has_peak or not v.startswith("peak")]
    known.sort(key=lambda v: v != "inuse_space")
    paths = [stack[::-1] for stack in profile._tables.stacks]
    profiles = []
    for value in known:
        values = profile._by_stack(value)
        signs = {" grown": 1, " shrunk": -1} if profile.is_diff else {"": 1}
        for suffix, sign in signs.items():
            kept = [(i, v * sign) for i, v in enumerate(values) if v * sign > 0]
            profiles.append(
                {
                    "type": "sampled",
                    "name": value + suffix,
                    "unit": "bytes" if value.endswith("space") else "none",
                    "startValue": 0,
                    "endValue": sum(v for _, v in kept),
                    "samples": [paths[i] for i, _ in kept],
                    "weights": [v for _, v in kept],
                }
            )
    from .. import __version__

    return {
        "$schema": _SPEEDSCOPE,
        "exporter": f"goalloc@{__version__}",
        "name": name or profile.about.program or "heap",
        "activeProfileIndex": 0,
        "shared": {"frames": frames},
        "profiles": profiles,
    }


def dataframe(profile: HeapProfile) -> _DataFrame:
    tables = profile._tables
    stacks, sizes, domains, threads = tables.keys
    frames = profile._frames()
    paths = [tuple(map(frames.__getitem__, stack)) for stack in tables.stacks]
    leaves = [paths[stack][0] for stack in stacks]
    columns: dict[str, Any] = {
        "function": [frame.qualified for frame in leaves],
        "file": [frame.filename for frame in leaves],
        "line": [frame.line for frame in leaves],
        "size": list(sizes),
        "domain": [DOMAINS[domain] for domain in domains],
        "thread": [str(tables.threads[thread]) for thread in threads],
    }
    for value in VALUES:
        if profile.about.has_peak or not value.startswith("peak"):
            columns[value] = list(profile.values(value))
    columns["stack"] = [paths[stack] for stack in stacks]
    return make(columns)

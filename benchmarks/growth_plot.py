"""Draws the results of growth.py as an SVG beside the JSON; needs matplotlib."""

import json
from pathlib import Path
from typing import Any

from plotting import COLOURS, INK, grid, picture, width

_LINES = tuple(COLOURS[name] for name in ("goalloc", "mimalloc", "jemalloc"))


def _axes(axes: Any, title: str, xlabel: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(xlabel)
    grid(axes)
    axes.legend(frameon=False, fontsize=8)


def _line(axes: Any, rows: list[dict[str, Any]], name: str, scale: int = 1, **how: Any) -> None:
    axes.plot([row["n"] / scale for row in rows], [row[name] for row in rows], **how)


def draw(file: Path) -> Path:
    rows = json.loads(file.read_text())["rows"]
    parts = {part: [r for r in rows if r["part"] == part] for part in ("blocks", "runs", "arenas")}
    target = file.with_suffix(".svg")
    with picture(target, 3, (10, 3.4)) as (_, (left, middle, right)):
        for name in dict.fromkeys(row["contender"] for row in parts["blocks"]):
            mine = [row for row in parts["blocks"] if row["contender"] == name]
            how = {"color": COLOURS[name], "linewidth": width(name), "label": name}
            _line(left, mine, "replace", **how)
        ours = [row for row in parts["blocks"] if row["contender"] == "goalloc"]
        _line(left, ours, "touch", color=INK, linestyle=":", label="memory alone")
        for name, colour in zip(("fit", "split", "release"), _LINES, strict=True):
            _line(middle, parts["runs"], name, color=colour, label=name)
        for name, colour in zip(("grow", "lookup", "cycle"), _LINES, strict=True):
            _line(right, parts["arenas"], name, scale=1 << 30, color=colour, label=name)
        left.set_ylabel("ns")
        _axes(left, "replacing a random block", "live blocks")
        _axes(middle, "page heap", "free page runs")
        _axes(right, "large objects", "heap, GiB")
    return target

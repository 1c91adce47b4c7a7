"""Draws the results of growth.py as an SVG beside the JSON; needs matplotlib."""

import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

# Legible on white and on black: no background, and nothing very light or very dark.
_INK = "#808080"
_COLOURS = {
    "goalloc": "#2a9df4", "glibc": "#8a8a8a", "mimalloc": "#c77d1e", "jemalloc": "#3fa34d",
    "tcmalloc": "#b05cc8",
}  # fmt: skip
_LINES = ("#2a9df4", "#c77d1e", "#3fa34d")
_STYLE: Any = {
    "font.size": 9, "axes.edgecolor": _INK, "axes.labelcolor": _INK, "text.color": _INK,
    "xtick.color": _INK, "ytick.color": _INK, "axes.spines.top": False,
    "axes.spines.right": False, "svg.fonttype": "none", "svg.hashsalt": "goalloc",
}  # fmt: skip


def _axes(axes: Any, title: str, xlabel: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(xlabel)
    axes.grid(color=_INK, alpha=0.25, linewidth=0.5)
    axes.legend(frameon=False, fontsize=8)


def _line(axes: Any, rows: list[dict[str, Any]], name: str, scale: int = 1, **how: Any) -> None:
    axes.plot([row["n"] / scale for row in rows], [row[name] for row in rows], **how)


def draw(file: Path) -> Path:
    rows = json.loads(file.read_text())["rows"]
    parts = {part: [r for r in rows if r["part"] == part] for part in ("blocks", "runs", "arenas")}
    with plt.rc_context(_STYLE):
        figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained")
        for name in dict.fromkeys(row["contender"] for row in parts["blocks"]):
            mine = [row for row in parts["blocks"] if row["contender"] == name]
            width = 2.2 if name == "goalloc" else 1.1
            _line(left, mine, "replace", color=_COLOURS[name], linewidth=width, label=name)
        ours = [row for row in parts["blocks"] if row["contender"] == "goalloc"]
        _line(left, ours, "touch", color=_INK, linestyle=":", label="memory alone")
        for name, colour in zip(("fit", "split", "release"), _LINES, strict=True):
            _line(middle, parts["runs"], name, color=colour, label=name)
        for name, colour in zip(("grow", "lookup", "cycle"), _LINES, strict=True):
            _line(right, parts["arenas"], name, scale=1 << 30, color=colour, label=name)
        left.set_ylabel("ns")
        _axes(left, "replacing a random block", "live blocks")
        _axes(middle, "page heap", "free page runs")
        _axes(right, "large objects", "heap, GiB")
        target = file.with_suffix(".svg")
        figure.savefig(target, transparent=True, metadata={"Date": None})
        plt.close(figure)
    return target

"""How the pictures look, and that the same result gives the same file; needs matplotlib."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

# Legible on white and on black: no background, and nothing very light or very dark.
INK = "#808080"
COLOURS = {
    "goalloc": "#2a9df4", "stock": "#d9534f", "glibc": "#8a8a8a", "mimalloc": "#c77d1e",
    "jemalloc": "#3fa34d", "jemalloc-decay": "#3fa34d", "tcmalloc": "#b05cc8",
}  # fmt: skip
_STYLE: Any = {
    "font.size": 9, "axes.edgecolor": INK, "axes.labelcolor": INK, "text.color": INK,
    "xtick.color": INK, "ytick.color": INK, "axes.spines.top": False,
    "axes.spines.right": False, "svg.fonttype": "none", "svg.hashsalt": "goalloc",
}  # fmt: skip


def width(contender: str) -> float:
    """Of a contender's line."""
    return 2.0 if contender == "goalloc" else 1.2


def grid(axes: Any) -> None:
    axes.grid(color=INK, alpha=0.25, linewidth=0.5)


@contextmanager
def picture(file: Path, columns: int, size: tuple[float, float]) -> Iterator[tuple[Any, Any]]:
    """A figure with its axes side by side, which is written when all is drawn."""
    with plt.rc_context(_STYLE):
        figure, axes = plt.subplots(1, columns, figsize=size, layout="constrained")
        yield figure, axes
        figure.savefig(file, transparent=True, metadata={"Date": None})
        plt.close(figure)

"""Draw the resident size of the service over time as an SVG; needs matplotlib.

    python benchmarks/plot_service.py       results/service-rss.svg, from the newest service-*.json
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from report import RESULTS
from summary import newest

PICTURE = RESULTS / "service-rss.svg"

_INK = "#808080"  # legible on white and on black, as the lines are
_LINES = {  # contender -> label, colour, width
    "stock": ("stock Python", "#d9534f", 1.3),
    "jemalloc-decay": ("jemalloc, decay 1 s, background thread", "#3fa34d", 1.3),
    "goalloc": ("goalloc", "#2a9df4", 2.0),
}
_STYLE = {
    "font.size": 10, "font.family": "sans-serif", "text.color": _INK, "axes.edgecolor": _INK,
    "axes.labelcolor": _INK, "xtick.color": _INK, "ytick.color": _INK, "axes.spines.top": False,
    "axes.spines.right": False, "svg.fonttype": "none", "svg.hashsalt": "goalloc",
}  # fmt: skip


def draw(result: dict[str, Any], file: Path) -> None:
    """The same result gives the same file, byte for byte."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    with plt.rc_context(_STYLE):
        figure, axes = plt.subplots(figsize=(8, 3.2), layout="constrained")
        for name, (label, colour, width) in _LINES.items():
            if name in result["curves"]:
                seconds, mib = zip(*result["curves"][name], strict=True)
                axes.plot(seconds, mib, color=colour, linewidth=width, label=label)
        axes.set_xlabel("seconds")
        axes.set_ylabel("resident MiB")
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        axes.grid(color=_INK, alpha=0.25, linewidth=0.5)
        figure.legend(frameon=False, loc="outside upper center", ncols=len(_LINES))
        figure.savefig(file, transparent=True, metadata={"Date": None})
        plt.close(figure)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="in place of the newest")
    parser.add_argument("--output", type=Path, metavar="FILE", default=PICTURE)
    options = parser.parse_args(argv)
    result = json.loads(options.json.read_text()) if options.json else newest("service", RESULTS)
    if result is None:
        print("error: no results yet: run run_service.py first", file=sys.stderr)
        return 2
    draw(result, options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())

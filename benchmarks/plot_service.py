"""Draw the resident size of the service over time as an SVG; needs matplotlib.

    python benchmarks/plot_service.py       results/service-rss.svg, from the newest service-*.json
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from plotting import COLOURS, grid, picture, width
from report import RESULTS
from summary import newest

PICTURE = RESULTS / "service-rss.svg"

_LABELS = {
    "stock": "stock Python",
    "jemalloc-decay": "jemalloc, decay 1 s, background thread",
    "goalloc": "goalloc",
}


def draw(result: dict[str, Any], file: Path) -> None:
    with picture(file, 1, (8, 3.2)) as (figure, axes):
        for name, label in _LABELS.items():
            if name in result["curves"]:
                seconds, mib = zip(*result["curves"][name], strict=True)
                axes.plot(seconds, mib, color=COLOURS[name], linewidth=width(name), label=label)
        axes.set_xlabel("seconds")
        axes.set_ylabel("resident MiB")
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        grid(axes)
        figure.legend(frameon=False, loc="outside upper center", ncols=len(_LABELS))


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

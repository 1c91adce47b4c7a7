"""What pairs of measurements say: each pair was taken at nearly the same moment.

On a shared machine the speed of everything swings within seconds; the ratio within a pair doesn't,
and the median over many pairs forgets those that a swing divided.
"""

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any


def speed(stock: Sequence[float], other: Sequence[float]) -> dict[str, Any]:
    """How many times as fast the other is: the median of the paired ratios, and their quartiles."""
    ratios = sorted(a / b for a, b in zip(stock, other, strict=True))
    if len(ratios) < 2:
        return {"speed": ratios[0], "quartiles": [ratios[0], ratios[0]], "pairs": len(ratios)}
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return {"speed": middle, "quartiles": [low, high], "pairs": len(ratios)}


def error(summary: dict[str, Any]) -> float:
    """The standard error of the median, as a part of it: from the quartiles, as if normal."""
    low, high = summary["quartiles"]
    sigma = (high - low) / 1.349
    return float(1.2533 * sigma / math.sqrt(summary["pairs"]) / summary["speed"])


def geometric_mean(values: Iterable[float]) -> float:
    return math.exp(statistics.fmean(math.log(value) for value in values))

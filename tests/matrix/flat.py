"""What a soak calls flat: numbers that may go up and down, and do not go up for good."""

from __future__ import annotations

MIB = 1 << 20
# More than this, and a tenth, must not be added in the later half.
SLACK = 16 * MIB


def halves(held: list[int]) -> tuple[list[int], list[int]]:
    """The first quarter is for warming up; what comes after it, earlier and later."""
    steady = held[len(held) // 4 :]
    half = len(steady) // 2
    return steady[:half], steady[half:]


def is_flat(held: list[int]) -> bool:
    """held: bytes, at equal distances."""
    earlier, later = halves(held)
    return not earlier or max(later) <= max(earlier) * 1.1 + SLACK

"""What is measured: the cells of the tables, a pattern and a size each."""

from dataclasses import dataclass

PATTERNS = ("lifo", "fifo", "random", "replace", "mixed")
SIZES = (16, 32, 64, 256, 512, 1024, 4096, 32768)
QUICK_SIZES = (64, 1024)

LIVE = 1_000_000
QUICK_LIVE = 100_000
_LIVE_BYTES = 1 << 30  # bounds the live set of the larger sizes


@dataclass(frozen=True)
class Cell:
    pattern: str
    size: int  # bytes; the mixed pattern draws its own
    live: int  # blocks live in the replace pattern

    @property
    def column(self) -> str:
        return "drawn" if self.pattern == "mixed" else str(self.size)


def cells(patterns: list[str], sizes: list[int], live: int) -> list[Cell]:
    grid = []
    for pattern in patterns:
        for size in sizes[:1] if pattern == "mixed" else sizes:
            grid.append(Cell(pattern, size, min(live, max(1, _LIVE_BYTES // size))))
    return grid

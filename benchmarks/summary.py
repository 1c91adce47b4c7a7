"""The results table of the README at the top of the repository.

One line for each pattern and each of a few sizes, for each memory scenario, and for the service,
with its picture; all with the newest Python that was measured.  The tables with everything are in
benchmarks/README.md.
"""

from pathlib import Path

from report import RESULTS, Result, Table, load_results, markdown_table
from runner import Row

# What stands at the top: (pattern, size) in this order, as far as measured.
LINES = [
    ("lifo", "64"),
    ("lifo", "512"),
    ("lifo", "4096"),
    ("fifo", "64"),
    ("random", "64"),
    ("random", "1024"),
    ("random", "32768"),
    ("replace", "64"),
    ("replace", "1024"),
    ("mixed", "drawn"),
]
RSS_LINES = [("idle", "A"), ("idle", "B"), ("idle", "C"), ("idle", "D")]
SERVICE_LINES = [("memory", "mean MiB"), ("memory", "peak MiB"), ("speed", "requests/s in bursts")]
CONTENDERS = ("stock", "goalloc", "tcmalloc", "mimalloc", "jemalloc", "jemalloc-decay")
_NAMES = {
    "A": "A: many small dicts, all freed",
    "B": "B: the same, 1 of 100 kept",
    "C": "C: JSON parsed by 8 threads, freed",
    "D": "D: bytearrays grown, freed",
}
_PICTURE = "service-rss.svg"


def newest(kind: str, results: Path = RESULTS) -> Result | None:
    """The result of the newest Python; None: there is none of this kind."""
    found = load_results(kind, results)
    return found[-1] if found else None


def _cell(row: Row | None, digits: int) -> str:
    if row is None or row["failure"]:
        return "-"
    value = f"{row['value']:.{digits}f}"
    if row["ratio"] is None or row["contender"] == "stock":
        return value
    ratio = f"{row['ratio']:.2f}x"
    return f"{value} (**{ratio}**)" if row["contender"] == "goalloc" else f"{value} ({ratio})"


def _name(pattern: str, size: str) -> str:
    if size.isdigit():
        return f"{pattern}, {int(size):,} B"
    return pattern if size == "drawn" else _NAMES.get(size, size)


def table(result: Result, lines: list[tuple[str, str]], digits: int) -> Table:
    """One row for each line that was measured, one column for each contender."""
    cells = {(r["contender"], r["pattern"], r["size"]): r for r in result["rows"]}
    names = [name for name in CONTENDERS if any(key[0] == name for key in cells)]
    out = [["", *names]]
    for pattern, size in lines:
        if ("goalloc", pattern, size) in cells:
            row = [_cell(cells.get((name, pattern, size)), digits) for name in names]
            out.append([_name(pattern, size), *row])
    return out


def _where(result: Result) -> str:
    machine = result["machine"]
    build = result["python"].replace("-", ", ", 1)
    kernel = machine["kernel"]
    libraries = ", ".join([machine["libc"], *result["libraries"].values()])
    return f"CPython {build}; {machine['cpu']}, Linux {kernel}, {libraries}"


def markdown(results: Path = RESULTS) -> str:
    out: list[str] = []
    for kind, lines, digits, unit in (
        ("pairs", LINES, 1, "Nanoseconds for a malloc and its free"),
        ("instructions", LINES[:3], 0, "Instructions for the same"),
        ("rss", RSS_LINES, 0, "Resident MiB after each of four scenarios in one process"),
        ("service", SERVICE_LINES, 0, "A service under load that comes and goes"),
    ):
        result = newest(kind, results)
        if result is not None:
            out += [f"{unit} ({_where(result)}):", ""]
            out += [*markdown_table(table(result, lines, digits)), ""]
    if (results / _PICTURE).exists():
        out += [f"![Resident size of the service over time](benchmarks/results/{_PICTURE})", ""]
    return "\n".join(out) if out else "No results yet.\n"

"""Results as text tables, as JSON files, and in the marked sections of README.md.

A result is a dict: kind (a key of _UNITS), python, machine, libraries, settings, and rows, each
with contender, pattern, size, value, ratio and failure.  pattern is the table a row belongs to and
size its column, whatever the kind measures.
"""

import json
import re
from pathlib import Path
from typing import Any

from cells import PATTERNS
from runner import Row

Result = dict[str, Any]

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
README = HERE / "README.md"

_UNITS = {
    "pairs": "ns per pair (ratio to {baseline})",
    "instructions": "instructions per pair",
    "rss": "resident MiB (ratio to {baseline})",
    "service": "each with its ratio to {baseline}",
}
_PATTERNS = {  # the tables of each kind
    "pairs": PATTERNS,
    "instructions": PATTERNS,
    "rss": ("idle", "peak"),
    "service": ("memory", "speed"),
}
_SECTION = re.compile(r"(<!-- table: (\w+) (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def default_file(kind: str, python: str, quick: bool) -> Path:
    return RESULTS / f"{kind}-{python}{'-quick' if quick else ''}.json"


def write_json(result: Result, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(result, indent=1) + "\n")


def failures(result: Result) -> list[str]:
    return [
        f"{row['contender']} {row['pattern']} {row['size']}: {row['failure']}"
        for row in result["rows"]
        if row["failure"]
    ]


def _cell(row: Row | None, baseline: str) -> str:
    if row is None:
        return "-"
    if row["failure"]:
        return "failed"
    if row["ratio"] is None or row["contender"] == baseline:
        return f"{row['value']:.{row['digits']}f}"
    return f"{row['value']:.{row['digits']}f} ({row['ratio']:.2f})"


def grid(result: Result, pattern: str) -> tuple[list[str], list[list[str]]]:
    """The sizes, and one line for each contender: its name, then a cell for each size."""
    rows = [row for row in result["rows"] if row["pattern"] == pattern]
    digits = 1 if result["kind"] == "pairs" else 0
    cells = {(row["contender"], row["size"]): {"digits": digits, **row} for row in rows}
    sizes = list(dict.fromkeys(row["size"] for row in rows))
    names = dict.fromkeys(row["contender"] for row in rows)
    baseline = result["settings"].get("baseline", "")
    return sizes, [
        [name, *(_cell(cells.get((name, size)), baseline) for size in sizes)] for name in names
    ]


def text_tables(result: Result) -> str:
    unit = _UNITS[result["kind"]].format(**result["settings"])
    out = [f"Python {result['python']}, {unit}, {describe(result)}"]
    for pattern in dict.fromkeys(row["pattern"] for row in result["rows"]):
        sizes, lines = grid(result, pattern)
        table = [[pattern, *sizes], *lines]
        widths = [max(len(line[i]) for line in table) for i in range(len(sizes) + 1)]
        out.append("")
        for name, *values in table:
            padded = [value.rjust(width) for value, width in zip(values, widths[1:], strict=True)]
            out.append("  ".join([name.ljust(widths[0]), *padded]))
    return "\n".join(out)


def describe(result: Result) -> str:
    settings = ", ".join(f"{name} {value}" for name, value in result["settings"].items())
    machine = result["machine"]
    libraries = dict.fromkeys([machine["libc"], *result["libraries"].values()])
    return f"{settings}; {machine['cpu']}, Linux {machine['kernel']}, {', '.join(libraries)}"


def _load_results(kind: str, results: Path) -> list[Result]:
    files = sorted(results.glob(f"{kind}-*.json"))
    found = [json.loads(file.read_text()) for file in files if "-quick" not in file.name]
    return sorted(found, key=lambda result: [int(n) for n in re.findall(r"\d+", result["python"])])


def _markdown(kind: str, pattern: str, results: Path) -> str:
    out = []
    for result in _load_results(kind, results):
        sizes, lines = grid(result, pattern)
        if not lines:
            continue
        unit = _UNITS[kind].format(**result["settings"])
        out += [f"Python {result['python']}: {unit}; {describe(result)}", ""]
        out += [f"| {pattern} | {' | '.join(sizes)} |", f"|---|{'---:|' * len(sizes)}"]
        out += [f"| {' | '.join(line)} |" for line in lines]
        out.append("")
    return "\n".join(out) if out else "No results yet.\n"


def rewrite_readme(readme: Path = README, results: Path = RESULTS) -> None:
    """Fill every `<!-- table: KIND PATTERN -->` section from the JSON files in results/."""

    def fill(match: re.Match[str]) -> str:
        start, kind, pattern, end = match.groups()
        if pattern not in _PATTERNS.get(kind, ()):
            raise ValueError(f"{readme}: no such table: {kind} {pattern}")
        return f"{start}\n{_markdown(kind, pattern, results)}{end}"

    readme.write_text(_SECTION.sub(fill, readme.read_text()))

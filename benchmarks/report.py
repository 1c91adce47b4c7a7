"""Results as JSON files in results/, and tables made of them: as text, and as Markdown.

A result is a dict with kind, machine, settings and rows; python and libraries, or compiler, say
what was measured.  The rows of a grid (a kind in _GRIDS) have contender, pattern, size, value,
ratio and failure each: pattern is the table that a row belongs to and size its column, whatever
the kind measures.
"""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from cells import PATTERNS
from runner import Row

Result = dict[str, Any]
Table = list[list[str]]  # the first line is the head

RESULTS = Path(__file__).resolve().parent / "results"


def describe(result: Result) -> str:
    settings = ", ".join(f"{name} {value}" for name, value in result["settings"].items())
    machine = result["machine"]
    libraries = dict.fromkeys([machine["libc"], *result.get("libraries", {}).values()])
    where = f"{machine['cpu']} ({machine['cpus']} processors), Linux {machine['kernel']}"
    compiler = [result["compiler"]] if "compiler" in result else []
    return "; ".join([settings, ", ".join([where, *libraries]), *compiler])


@dataclass(frozen=True)
class Section:
    """What a result of some kind shows in one place of a README."""

    kind: str
    tables: Callable[[Result], list[Table]]
    meaning: str = ""  # what the numbers are; may name settings in braces
    describe: Callable[[Result], str] = describe

    def heading(self, result: Result) -> str:
        python = f"Python {result['python']}: " if "python" in result else ""
        meaning = self.meaning.format(**result.get("settings", {}))
        return "; ".join(filter(None, [python + meaning, self.describe(result)]))


# ---- files --------------------------------------------------------------------------------------


def default_file(kind: str, python: str, quick: bool) -> Path:
    return RESULTS / f"{kind}-{python}{'-quick' if quick else ''}.json"


def write_json(result: Result, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(result, indent=1) + "\n")


def load_results(kind: str, results: Path = RESULTS) -> list[Result]:
    """The results of a kind, the oldest Python first."""
    files = [*results.glob(f"{kind}.json"), *results.glob(f"{kind}-*.json")]
    found = [json.loads(file.read_text()) for file in sorted(files) if "-quick" not in file.name]
    return sorted(found, key=lambda r: [int(n) for n in re.findall(r"\d+", r.get("python", ""))])


# ---- tables of any kind -------------------------------------------------------------------------


def _text(table: Table) -> list[str]:
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    out = []
    for name, *values in table:
        padded = [value.rjust(width) for value, width in zip(values, widths[1:], strict=True)]
        out.append("  ".join([name.ljust(widths[0]), *padded]).rstrip())
    return out


def markdown_table(table: Table) -> list[str]:
    head, *lines = (f"| {' | '.join(line)} |" for line in table)
    return [head, f"|---|{'---:|' * (len(table[0]) - 1)}", *lines]


def _notes(result: Result) -> list[str]:
    """What is missing from a table, one line for each."""
    out = [f"left out: {name}: {why}" for name, why in result.get("left_out", {}).items()]
    return out + [f"failed: {name}: {why}" for name, why in result.get("failed", {}).items()]


def text(result: Result, sections: Iterable[Section]) -> str:
    """What a command prints: a result in the sections of its kind."""
    out: list[str] = []
    meaning = None
    for section in sections:
        tables = section.tables(result) if section.kind == result["kind"] else []
        if tables and section.meaning != meaning:
            meaning = section.meaning
            out += [section.heading(result), ""]
        for table in tables:
            out += [*_text(table), ""]
    return "\n".join([*out, *_notes(result)]).rstrip()


def markdown(section: Section, results: Path = RESULTS) -> str:
    """What stands in a README: all results of the section's kind."""
    out: list[str] = []
    for result in load_results(section.kind, results):
        tables = section.tables(result)
        if not tables:
            continue
        out += [section.heading(result), ""]
        for table in tables:
            out += [*markdown_table(table), ""]
        notes = [f"* {note}" for note in _notes(result)]
        out += [*notes, ""] if notes else []
    return "\n".join(out) if out else "No results yet.\n"


# ---- grids --------------------------------------------------------------------------------------

_GRIDS = {  # kind -> its tables, what the numbers are
    "pairs": (PATTERNS, "ns per pair (ratio to {baseline})"),
    "instructions": (PATTERNS, "instructions per pair"),
    "rss": (("idle", "peak"), "resident MiB (ratio to {baseline})"),
    "service": (("memory", "speed"), "each with its ratio to {baseline}"),
}


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


def _grid(pattern: str, result: Result) -> list[Table]:
    """One line for each contender: its name, then a cell for each size; none if not measured."""
    rows = [row for row in result["rows"] if row["pattern"] == pattern]
    digits = 1 if result["kind"] == "pairs" else 0
    cells = {(row["contender"], row["size"]): {"digits": digits, **row} for row in rows}
    sizes = list(dict.fromkeys(row["size"] for row in rows))
    names = dict.fromkeys(row["contender"] for row in rows)
    baseline = result["settings"].get("baseline", "")
    lines = [
        [name, *(_cell(cells.get((name, size)), baseline) for size in sizes)] for name in names
    ]
    return [[[pattern, *sizes], *lines]] if lines else []


GRIDS = {
    f"{kind} {pattern}": Section(kind, partial(_grid, pattern), meaning)
    for kind, (patterns, meaning) in _GRIDS.items()
    for pattern in patterns
}

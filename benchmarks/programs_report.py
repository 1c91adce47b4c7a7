"""Tables of whole programs: as text, and in the marked sections of README.md.

    python benchmarks/programs_report.py            fill the sections from results/*.json
    python benchmarks/programs_report.py --check    exit status 1 if they are not up to date

A section is `<!-- programs: KIND -->` to `<!-- end -->`; KIND is one of TABLES.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

from report import README, RESULTS, Result, describe

Table = list[list[str]]  # the first line is the head


def _mib(size: float) -> str:
    return f"{size / 2**20:.1f}"


def pyperformance(result: Result) -> Table:
    names = list(result["summary"])
    cells = {(row["benchmark"], row["contender"]): row for row in result["rows"]}
    table = [["benchmark", *(f"{name}, quartiles" for name in names)]]
    for benchmark in sorted({row["benchmark"] for row in result["rows"]}):
        line = [benchmark]
        for name in names:
            row = cells[benchmark, name]
            low, high = row["quartiles"]
            line.append(f"{row['speed']:.3f} ({low:.3f} to {high:.3f})")
        table.append(line)
    sums = result["summary"].values()
    table.append(
        ["geometric mean, error", *(f"{s['speed']:.3f} (+- {s['error']:.3f})" for s in sums)]
    )
    table.append(["sum of peak resident sizes", *(f"{s['peak']:.3f}" for s in sums)])
    return table


def counts(result: Result) -> Table:
    names = list(result["summary"])
    cells = {(row["benchmark"], row["contender"]): row for row in result["rows"]}
    head = ["benchmark", "stock, million", "its allocator"]
    table = [[*head, *(cell for name in names for cell in (name, "its allocator"))]]
    for benchmark in sorted({row["benchmark"] for row in result["rows"]}):
        stock = cells[benchmark, "stock"]
        # Linked in, CPython's allocator is inlined into its callers and can't be told from them.
        share = _share(stock) if result["python"].endswith("-shared") else "-"
        line = [benchmark, f"{stock['instructions'] / 1e6:.0f}", share]
        for name in names:
            row = cells[benchmark, name]
            line += [f"{row['ratio']:.4f}", _share(row)]
        table.append(line)
    means = [cell for s in result["summary"].values() for cell in (f"{s['ratio']:.4f}", "")]
    table.append(["geometric mean", "", "", *means])
    return table


def _share(row: dict[str, float]) -> str:
    return f"{100 * row['allocator'] / row['instructions']:.1f} %"


def programs(result: Result) -> Table:
    names = list(dict.fromkeys(row["contender"] for row in result["rows"]))
    cells = {(row["program"], row["contender"]): row for row in result["rows"]}
    table = [["program", "stock, s, MiB", *names[1:]]]
    for program in dict.fromkeys(row["program"] for row in result["rows"]):
        stock = cells[program, "stock"]
        line = [program, f"{stock['seconds']:.2f}, {_mib(stock['peak'])}"]
        for name in names[1:]:
            row = cells[program, name]
            line.append(f"{row['speed']:.2f}, {row['peak'] / stock['peak']:.2f}")
        table.append(line)
    means = result["summary"]
    line = [f"{means[name]['speed']:.2f}, {means[name]['peak']:.2f}" for name in names[1:]]
    table.append(["geometric mean", "", *line])
    return table


def startup(result: Result) -> Table:
    table = [["", "start and exit, ms", "more than stock, ms", "resident, MiB", "more, MiB"]]
    for row in result["rows"]:
        table.append([
            row["way"], f"{row['ms']:.1f}", f"{row['more_ms']:+.2f}",
            _mib(row["resident"]), f"{row['more_resident'] / 2**20:+.2f}",
        ])  # fmt: skip
    return table


def fork(result: Result) -> Table:
    table = [["", "private dirty MiB of a child that sleeps, least and most"]]
    for row in result["fork"]:
        low, high = min(row["dirty"]), max(row["dirty"])
        table.append([row["contender"], f"{_mib(row['median'])} ({_mib(low)} to {_mib(high)})"])
    return table


# name of a section -> kind of the result files, table, what the numbers are
TABLES: dict[str, tuple[str, Callable[[Result], Table], str]] = {
    "pyperformance": ("pyperformance", pyperformance, "times as fast as stock"),
    "counts": ("counts", counts, "instructions of the whole program, as a part of stock's"),
    "programs": ("programs", programs, "times as fast as stock, peak resident size over stock's"),
    "startup": ("startup", startup, "an interpreter that does nothing"),
    "fork": ("startup", fork, "a child that only sleeps"),
}


def _notes(result: Result) -> list[str]:
    """What is missing from a table, one line for each."""
    out = [f"left out: {name}: {why}" for name, why in result.get("left_out", {}).items()]
    return out + [f"failed: {name}: {why}" for name, why in result.get("failed", {}).items()]


def text_table(result: Result) -> str:
    out = [f"Python {result['python']}; {describe(result)}"]
    for kind, make, meaning in TABLES.values():
        if kind != result["kind"]:
            continue
        table = make(result)
        widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
        out += ["", meaning]
        for name, *values in table:
            padded = [value.rjust(width) for value, width in zip(values, widths[1:], strict=True)]
            out.append("  ".join([name.ljust(widths[0]), *padded]).rstrip())
    return "\n".join([*out, *_notes(result)])


def load_results(kind: str, results: Path) -> list[Result]:
    """The results of a kind, the oldest Python first."""
    files = [file for file in results.glob(f"{kind}-*.json") if "-quick" not in file.name]
    found = [json.loads(file.read_text()) for file in files]
    return sorted(found, key=lambda result: [int(n) for n in re.findall(r"\d+", result["python"])])


def _markdown(section: str, results: Path) -> str:
    kind, make, meaning = TABLES[section]
    out: list[str] = []
    for result in load_results(kind, results):
        head, *lines = make(result)
        out += [f"Python {result['python']}: {meaning}; {describe(result)}", ""]
        out += [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
        out += [f"| {' | '.join(line)} |" for line in lines]
        out += ["", *(f"* {note}" for note in _notes(result)), ""]
    return "\n".join(out) if out else "No results yet.\n"


_SECTION = re.compile(r"(<!-- programs: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def fill(readme: str, results: Path) -> str:
    """The text of a README with its sections filled; ValueError: one is of no kind."""

    def table(match: re.Match[str]) -> str:
        start, section, end = match.groups()
        if section not in TABLES:
            raise ValueError(f"no such table: {section}; there are {', '.join(TABLES)}")
        return f"{start}\n{_markdown(section, results)}{end}"

    return _SECTION.sub(table, readme)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args(argv)
    old = README.read_text()
    new = fill(old, RESULTS)
    if options.check:
        if old != new:
            print(f"{README}: not what results/ says", file=sys.stderr)
        return int(old != new)
    README.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())

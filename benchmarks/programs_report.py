"""The tables of whole programs."""

from collections.abc import Callable

import report
from report import Result, Section, Table


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


def _section(kind: str, make: Callable[[Result], Table], meaning: str) -> Section:
    return Section(kind, lambda result: [make(result)], meaning)


SECTIONS = {
    "pyperformance": _section("pyperformance", pyperformance, "times as fast as stock"),
    "counts": _section("counts", counts, "instructions of the whole program, as a part of stock's"),
    "programs": _section(
        "programs", programs, "times as fast as stock, peak resident size over stock's"
    ),
    "startup": _section("startup", startup, "an interpreter that does nothing"),
    "fork": _section("startup", fork, "a child that only sleeps"),
}


def text(result: Result) -> str:
    return report.text(result, SECTIONS.values())

"""Fill all tables of benchmarks/README.md and of the README at the top from results/*.json.

    python benchmarks/tables.py            write them
    python benchmarks/tables.py --check    exit status 1 if they are not up to date

A table stands between `<!-- table: NAME -->` and `<!-- end -->`; NAME is one of TABLES.
"""

import argparse
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import against_go
import golden
import growth
import profile_cost
import programs_report
import report
import summary
import threads
from interpreter import HERE

_SECTIONS = {
    **report.GRIDS,
    **programs_report.SECTIONS,
    **{module.KIND: module.SECTION for module in (growth, threads, against_go, golden, profile_cost)},
}
# name -> what makes its Markdown from a folder of results
TABLES: dict[str, Callable[[Path], str]] = {
    **{name: partial(report.markdown, section) for name, section in _SECTIONS.items()},
    "summary": summary.markdown,
}
READMES = (HERE / "README.md", HERE.parent / "README.md")
_MARK = re.compile(r"(<!-- table: ([^\n]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def names(text: str) -> list[str]:
    """The tables that a README has."""
    return [match[2] for match in _MARK.finditer(text)]


def fill(text: str, results: Path = report.RESULTS) -> str:
    """The text of a README with its tables filled; ValueError: there is no such table."""
    for name in names(text):
        if name not in TABLES:
            raise ValueError(f"no such table: {name}; there are {', '.join(TABLES)}")
    return _MARK.sub(lambda mark: f"{mark[1]}\n{TABLES[mark[2]](results)}{mark[3]}", text)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args(argv)
    stale = 0
    for readme in READMES:
        old = readme.read_text()
        new = fill(old)
        if old != new and options.check:
            print(f"{readme}: not what results/ says", file=sys.stderr)
            stale = 1
        elif old != new:
            readme.write_text(new)
    return stale


if __name__ == "__main__":
    sys.exit(main())

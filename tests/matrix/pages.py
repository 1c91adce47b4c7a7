"""Makes docs/matrix.md, docs/cpython-suite.md and docs/soak.md of results/*.json.

    python tests/matrix/pages.py            write them
    python tests/matrix/pages.py --check    exit status 1 if they are not up to date
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import place
import rows
import soakpage

Results = dict[str, Any]

MATRIX = """\
# Every way in which CPython is used

Made by `tests/matrix/pages.py` of what `tests/matrix/run.py` found; each row is a program under
`tests/matrix/cases` or `tests/programs`, run as it is, in launch mode, in import mode and in wrap mode.
**ok**: it ends and prints as on stock in all of them, `mode()` is true to the end, and `check()` finds
nothing.  A number: a mode that is not offered there, for the reason below; `install()` then wraps.
"""

NOTES = """\
## Notes

* A free-threaded CPython (3.13t) must keep its object allocator: goalloc leaves its GIL off, and wraps.
  Only some rows have been run there; an empty cell was not.
* aarch64 is not in the table: it was run under emulation only (QEMU's user mode, which shows no mistake in
  the order of memory accesses): the tests of the C core, and in Debian's 3.11 all three modes, with
  profile, guarded blocks, threads and fork.  tests/README.md says how.
* `Py_Initialize` after `Py_Finalize` begins with a table of CPython's own.  What was launched or installed
  is out of it, `mode()` says None, and `install()` puts goalloc in again (that row does so).  A block that
  a C extension keeps from before must not be freed before that.
* Interpreters with a GIL each are not tried below the debug hooks: on 3.12 Python itself
  crashes there when several begin at once.
"""

SUITE = """\
# CPython's own tests

Made by `tests/matrix/pages.py` of what `tests/matrix/cpython_suite.py` found.  Each test file of
`python -m test` (all resources but network, gui, audio, large files, and those for hours; before 3.13
not the cases of `AF_VSOCK`, which wait for ever where a virtual machine's host does not answer) runs on the
plain interpreter and in launch mode; what differs, test case by test case, is tried again twice.
"""


def load(kind: str) -> list[Results]:
    """The results of all interpreters, oldest first."""
    found = [json.loads(path.read_text()) for path in place.RESULTS.glob(f"{kind}-*.json")]
    return sorted(found, key=lambda r: [int(n) for n in r["version"].split(".")] + [r["column"]])


def table(head: list[str], lines: Iterable[list[str]]) -> str:
    rule = ["---" for _ in head]
    return "".join(f"| {' | '.join(line)} |\n" for line in (head, rule, *lines))


class Notes:
    """Reasons, numbered in the order in which they come up."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        return self._numbers.setdefault(text, len(self._numbers) + 1)

    def markdown(self) -> str:
        return "".join(f"{n}. {text}\n" for text, n in self._numbers.items())


# ---- the matrix -----------------------------------------------------------------------------------


def _cell(modes: Results | None, notes: Notes) -> str:
    if modes is None:
        return ""
    ways = {mode: cell["status"] for mode, cell in modes.items()}
    if bad := [mode for mode, status in ways.items() if status == "FAILED"]:
        return "**FAILED**: " + ", ".join(bad)
    refused = {mode: cell["note"] for mode, cell in modes.items() if cell["status"] != "ok"}
    marks = [str(notes.number(why)) for why in dict.fromkeys(refused.values())]
    if len(refused) == len(modes):
        return f"not offered ({', '.join(marks)})"
    if not refused:
        return "ok"
    left = [mode for mode in modes if mode not in refused]
    return f"ok: {', '.join(left)} ({', '.join(marks)})"


def _build(column: str) -> str:
    return " (debug)" * ("d" in column) + " (free-threaded)" * ("t" in column)


def matrix(results: list[Results]) -> str:
    notes = Notes()
    head = ["", *(f"{r['column']} ({r['libpython']})" for r in results)]
    parts = [MATRIX]
    for group, members in itertools.groupby(rows.ROWS.values(), key=lambda row: row.group):
        lines = [
            [row.title, *(_cell(r["rows"].get(row.name), notes) for r in results)]
            for row in members
        ]
        parts.append(f"## {group}\n\n{table(head, lines)}")
    parts.append(f"## Why not\n\n{notes.markdown()}")
    versions = ", ".join(f"{r['version']}{_build(r['column'])}" for r in results)
    parts += [NOTES, f"Interpreters: {versions}.\n"]
    return "\n".join(parts)


# ---- CPython's tests ------------------------------------------------------------------------------


def explanations() -> list[dict[str, str]]:
    """[{'cases': pattern of 'file: case', 'why': a sentence}]"""
    found: list[dict[str, str]] = json.loads((rows.HERE / "cpython_explained.json").read_text())
    return found


def _why(name: str, case: str, known: list[dict[str, str]]) -> str:
    for each in known:
        if re.fullmatch(each["cases"], f"{name}: {case}"):
            return each["why"]
    return "**not explained**"


def _differences(results: list[Results]) -> list[list[str]]:
    known = explanations()
    found: dict[tuple[str, str], list[str]] = {}
    for r in results:
        for name, file in sorted(r["files"].items()):
            cases = file.get("differs", {})
            for case in cases if len(cases) == 1 else cases.keys() - {""}:
                words = f"{case.removeprefix('test.') or name}: {' / '.join(cases[case])}"
                found.setdefault((words, _why(name, case, known)), []).append(r["column"])
    return [[words, ", ".join(columns), why] for (words, why), columns in sorted(found.items())]


def _slow(r: Results) -> list[str]:
    cut = {n: f["seconds"][0] for n, f in r["files"].items() if f["how"] == "not run"}
    return [f"{name} ({seconds:.0f} s)" for name, seconds in sorted(cut.items())]


def _not_run(results: list[Results]) -> str:
    lines = []
    for r in results:
        left = r["listed"] - len(r["files"])
        if left or _slow(r):
            more = f"; and {left} that the run did not come to" * (left > 0)
            lines.append(f"{r['version']}: {', '.join(_slow(r)) or 'none'}{more}.\n")
    if not lines:
        return "Every file was run.\n"
    head = "## Not run\n\nFiles that had not ended on stock after so many seconds.\n"
    return "\n".join([head, *lines])


def packages(results: list[Results]) -> str:
    """NumPy's, pandas' and Cython's tests: a line for each part."""
    parts = ["## NumPy, pandas and Cython\n"]
    parts.append("The allocation-heavy parts of their tests, by `tests/matrix/package_suites.py`.\n")
    for r in results:
        versions = ", ".join(f"{name} {version}" for name, version in r["packages"].items())
        lines = [
            [name, f"{file.get('cases', 0):,}", file["how"], file.get("result", "slow")]
            for name, file in sorted(r["files"].items())
        ]
        parts.append(f"CPython {r['version']}: {versions}.\n")
        parts.append(table(["part", "test cases", "stock and goalloc", "stock ends with"], lines))
    return "\n".join(parts)


def suite(results: list[Results]) -> str:
    lines = []
    for r in results:
        files = r["files"].values()
        run = [file for file in files if file["how"] != "not run"]
        lines.append(
            [
                f"{r['version']} ({r['libpython']})",
                f"{len(run)} of {r['listed']}",
                f"{sum(file['cases'] for file in run):,}",
                str(sum(file["how"] == "same" for file in run)),
                str(sum(file["how"] == "same" and file["result"] == "failed" for file in run)),
                str(sum(file["how"] == "differs" for file in run)),
            ]
        )
    head = ["CPython", "test files run", "test cases", "same result", "failed on both", "differ"]
    parts = [SUITE, table(head, lines), "## Differences: stock / goalloc\n"]
    parts.append(table(["test: stock / goalloc", "CPython", "why"], _differences(results)))
    parts.append(_not_run(results))
    return "\n".join([*parts, packages(load("packages"))])


PAGES: dict[str, tuple[str, Callable[[list[Results]], str]]] = {
    "matrix.md": ("matrix", matrix),
    "cpython-suite.md": ("cpython", suite),
    "soak.md": ("soak", lambda results: soakpage.page(results, table)),
}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args(argv)
    stale = 0
    for name, (kind, make) in PAGES.items():
        page = Path(place.DOCS, name)
        text = make(load(kind))
        if page.exists() and page.read_text() == text:
            continue
        if options.check:
            print(f"{page}: not what results/ says", file=sys.stderr)
            stale = 1
        else:
            page.parent.mkdir(exist_ok=True)
            page.write_text(text)
    return stale


if __name__ == "__main__":
    sys.exit(main())

"""The allocation-heavy parts of the tests of NumPy, pandas and Cython: on stock and on goalloc.

    python tests/matrix/package_suites.py                             NumPy and pandas, where installed
    python tests/matrix/package_suites.py --cython cython-3.3.1       Cython too, from its sources
    python tests/matrix/package_suites.py numpy._core.tests.test_nditer

The results are in results/packages-VERSION.json, written after each part; pages.py has the table.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import re
import sys
import tempfile
from functools import partial
from pathlib import Path

import compare
import place

# What pytest --pyargs takes.
PARTS = [
    *(f"numpy._core.tests.test_{name}" for name in (
        "array_coercion", "dtype", "einsum", "item_selection", "mem_overlap", "mem_policy", "multiarray",
        "multithreading", "nditer", "numeric", "records", "regression", "shape_base", "stringdtype",
        "strings",
    )),
    *(f"pandas.tests.{name}" for name in (
        "copy_view", "groupby.test_groupby", "internals", "io.json.test_ujson", "io.parser.common",
        "libs", "reshape.merge.test_merge", "series.test_constructors", "test_algos",
    )),
]  # fmt: skip
# What runtests.py of Cython selects by.
CYTHON_PARTS = [
    f"run.{name}$"
    for name in (
        "bytearraymethods", "bytesmethods", "closures_T82", "dict", "exttype_dealloc", "exttype_freelist",
        "generators", "list", "nogil", "set", "trashcan", "unicodemethods", "with_gil",
    )
]  # fmt: skip
_LINE = re.compile(r"^(?:Doctest: )?([\w. ()]+?) \.\.\. (ok|FAIL|ERROR|skipped)", re.MULTILINE)


def _child(ours: bool, arguments: list[str], folder: Path, timeout: float) -> place.Outcome:
    run = ["-m", "goalloc", "run"] if ours else []
    env = place.clean_environment(TMPDIR=str(folder))
    return place.run([sys.executable, *run, *arguments], folder=folder, timeout=timeout, env=env)


def run_pytest(part: str, ours: bool, timeout: float) -> compare.Run:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        report = folder / "report.xml"
        options = ["-q", "-p", "no:cacheprovider", "-p", "no:randomly", f"--junit-xml={report}"]
        outcome = _child(
            ours, ["-m", "pytest", *options, "--pyargs", part], folder, timeout
        )
        return _run(outcome, compare.cases_of_report(report))


def run_cython(sources: Path, part: str, ours: bool, timeout: float) -> compare.Run:
    with tempfile.TemporaryDirectory() as folder:
        options = ["--backends=c", "--no-refnanny", f"--work-dir={folder}/work", "-vv", part]
        outcome = _child(ours, [str(sources / "runtests.py"), *options], sources, timeout)
        found = _LINE.findall(outcome.stdout + outcome.stderr)
        return _run(outcome, {name: "passed" if end == "ok" else end for name, end in found})


def _run(outcome: place.Outcome, cases: dict[str, str]) -> compare.Run:
    return {
        "how": outcome.how(),
        "seconds": round(outcome.seconds, 1),
        "cases": cases,
        "tail": outcome.tail(),
    }


def _versions(names: set[str]) -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in sorted(names)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", help="default: all that have no result yet")
    parser.add_argument("--cython", type=Path, metavar="FOLDER", help="unpacked sources of Cython")
    parser.add_argument("--slow", type=float, default=300, help="seconds after which one is not run")
    options = parser.parse_args()
    path = place.RESULTS / f"packages-{place.column()}.json"
    results = {**place.load(path), **place.describe(), "slow": options.slow}
    done = results.setdefault("files", {})
    installed = {name for name in ("numpy", "pandas") if importlib.util.find_spec(name)}
    results.setdefault("packages", {}).update(_versions(installed))
    runs = {part: partial(run_pytest, part) for part in PARTS if part.split(".")[0] in installed}
    if options.cython:
        sources = options.cython.resolve()
        runs |= {f"cython {p}": partial(run_cython, sources, p) for p in CYTHON_PARTS}
        results["packages"]["cython"] = sources.name.rpartition("-")[2]
    for name in options.parts or [name for name in runs if name not in done]:
        done[name] = compare.judge(runs.get(name) or partial(run_pytest, name), options.slow)
        place.save(path, results)
        print(name, done[name].get("differs") or (done[name]["how"], done[name].get("result")))
        sys.stdout.flush()
    return 1 if any(file["how"] == "differs" for file in done.values()) else 0


if __name__ == "__main__":
    sys.exit(main())

"""CPython's own tests, each file on a plain python and in launch mode: the differences.

    python tests/matrix/cpython_suite.py                  all of this interpreter's, or go on with them
    python tests/matrix/cpython_suite.py test_gc test_re  these, again
    python tests/matrix/cpython_suite.py --again          those that differ or were cut short, again
    python tests/matrix/cpython_suite.py --ours           all again, with another goalloc: on stock only
                                                          where what stock did last does not tell enough

The results are in results/cpython-VERSION.json, written after each file; pages.py makes
docs/cpython-suite.md of them.  A test case differs when it never ended under goalloc as it did on
stock, in several tries; it is unsteady when it ended in one of these in more than one way.
"""

from __future__ import annotations

import argparse
import re
import signal
import sys
import tempfile
from functools import partial
from pathlib import Path

import compare
import place

# Not offline, not here, or for hours.
_NOT_HERE = {"network", "urlfetch", "gui", "audio", "largefile", "extralargefile", "cpu", "walltime"}
# Before 3.13 they wait for ever in a virtual machine whose host does not answer, on stock too.
_LEFT_OUT = ["*VSOCK*"] if sys.version_info < (3, 13) else []
_WORD_OF_STATUS = {0: "passed", 2: "failed", 3: "changed its environment", 4: "no test ran"}
_NAMED = re.compile(r"^(FAIL|ERROR): (.*)$", re.MULTILINE)


def regrtest_options() -> list[str]:
    """Which resources there are."""
    from test.libregrtest.cmdline import ALL_RESOURCES

    lacking = [f"-{name}" for name in ALL_RESOURCES if name in _NOT_HERE]
    return ["-u", ",".join(["all", *lacking])]


def test_files(folder: Path) -> list[str]:
    command = [sys.executable, "-m", "test", "--list-tests"]
    listed = place.run(command, folder=folder, timeout=60, env=place.clean_environment())
    return listed.stdout.split()


def cases_of(report: Path, output: str) -> dict[str, str]:
    """The outcome of each test case: of the report, and what only the output names (subtests)."""
    cases = compare.cases_of_report(report)
    for kind, name in _NAMED.findall(output):
        words = re.fullmatch(r"(\w+) \(([\w.]+)\).*", name)
        key = name
        if words:  # "test_x (test.test_y.Z.test_x)": by the name that the report has
            key = words[2] if words[2].endswith(words[1]) else f"{words[2]}.{words[1]}"
        if cases.get(key, "passed") == "passed":
            cases[key] = {"FAIL": "failure", "ERROR": "error"}[kind]
    return cases


def run_file(name: str, ours: bool, timeout: float) -> compare.Run:
    """One run of one test file: how it ended, its seconds, the outcome of each case."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        test = ["-m", "test", *regrtest_options(), "--junit-xml", str(report), name]
        test += [word for pattern in _LEFT_OUT for word in ("--ignore", pattern)]
        run = ["-m", "goalloc", "run"] if ours else []
        outcome = place.run(
            [sys.executable, *run, *test],
            folder=Path(folder),
            timeout=timeout,
            env=place.clean_environment(TMPDIR=folder),
        )
        output = outcome.stdout + outcome.stderr
        how = outcome.how()
        if outcome.status in _WORD_OF_STATUS:
            how = _WORD_OF_STATUS[outcome.status]
            skipped = re.search(rf"^{re.escape(name)} skipped", output, re.MULTILINE)
            how = "skipped" if skipped else how
        return {
            "how": how,
            "seconds": round(outcome.seconds, 1),
            "cases": cases_of(report, output),
            "tail": outcome.tail(),
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("files", nargs="*", help="test files; default: all that have no result yet")
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--again", action="store_true", help="those without a `same` again")
    ways.add_argument("--ours", action="store_true", help="goalloc against what stock did last")
    parser.add_argument(
        "--slow", type=float, default=60, help="seconds on stock after which a file is not run"
    )
    options = parser.parse_args()
    # A shell starts what is in its background deaf to ^C; tests that send it would wait for ever.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    path = place.RESULTS / f"cpython-{place.column()}.json"
    results = {**place.load(path), **place.describe()}
    done = results.setdefault("files", {})
    with tempfile.TemporaryDirectory() as folder:
        listed = test_files(Path(folder))
    if unknown := set(options.files) - set(listed):
        parser.error(f"--list-tests of this python has no {', '.join(sorted(unknown))}")
    names = options.files or listed
    results["listed"] = len(listed)
    place.save(path, results)
    for i, name in enumerate(names, 1):
        if not options.files and not options.ours and name in done:
            if not options.again or done[name]["how"] == "same":
                continue
        run = partial(run_file, name)
        told = compare.still_same(run, done[name]) if options.ours and name in done else None
        done[name] = told or compare.judge(run, options.slow)
        place.save(path, results)
        note = done[name].get("differs") or done[name].get("result", "")
        print(f"{i}/{len(names)} {name}: {done[name]['how']} {note}", flush=True)
    return 1 if any(file["how"] == "differs" for file in done.values()) else 0


if __name__ == "__main__":
    sys.exit(main())

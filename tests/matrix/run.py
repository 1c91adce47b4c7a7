"""The matrix: every way in which CPython is used, with goalloc in each mode, in this interpreter.

    python tests/matrix/run.py                  all rows
    python tests/matrix/run.py --quick          those that the tests run, nothing written
    python tests/matrix/run.py greenlet memray  these rows

A cell is a process of its own, which must end as the same program does on stock: the same exit status
or signal, the same output; at its exit goalloc must be in the mode that it was in, and check() clean.
The results are in results/matrix-VERSION.json; pages.py makes docs/matrix.md of them.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

import place
import rows
from rows import ROWS, Row

OK, REFUSED, FAILED = "ok", "not offered", "FAILED"
TIMEOUT = 300
_WARNING = "goalloc: warning: "
# What differs from process to process.
_VOLATILE = re.compile(r"0x[0-9a-f]+|\b\d{5,}\b|enter\.py\", line \d+")
_EXTENSIONS = re.compile(r"\n+Extension modules: .*")


def compile_c(source: Path, target: Path, *flags: str) -> None:
    include = sysconfig.get_path("include")
    cc = shlex.split(sysconfig.get_config_var("CC"))
    subprocess.run([*cc, "-O1", f"-I{include}", str(source), "-o", str(target), *flags], check=True)


def embedding_flags() -> list[str]:
    """To link libpython: the shared one."""
    folder = sysconfig.get_config_var("LIBDIR")
    version = sysconfig.get_config_var("LDVERSION")
    return [f"-L{folder}", f"-Wl,-rpath,{folder}", f"-lpython{version}"]


class Bench:
    """Runs cells in a scratch folder, with the C programs that they need."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cells = 0

    def _built(self, source: Path, *flags: str) -> str:
        target = self.folder / source.stem
        if not target.exists():
            compile_c(source, target, *flags)
        return str(target)

    def _arguments(self, row: Row) -> list[str]:
        saver = rows.HERE.parent / "c" / "saver.c"
        return [
            self._built(saver, "-shared", "-fPIC") if argument == "{saver}" else argument
            for argument in row.args
        ]

    def _command(self, row: Row, mode: str) -> tuple[list[str], dict[str, str]]:
        script = [str(row.path()), *self._arguments(row)]
        if mode not in rows.BY_ITSELF:
            script = [str(rows.HERE / "enter.py"), mode, row.before, *script]
        if row.embed:
            return self._embedded(script, mode)
        run = ["-m", "goalloc", "run"] if mode == "launch" else []
        return [sys.executable, *row.options, *run, *script], {}

    def _embedded(self, script: list[str], mode: str) -> tuple[list[str], dict[str, str]]:
        from goalloc import __path__
        from goalloc.launch import environment

        program = self._built(rows.PROGRAMS / "embed.c", *embedding_flags())
        home = str(Path(__path__[0]).parent)
        code = (
            f"import sys; sys.path.append({home!r}); sys.argv = {script!r}\n"
            "import runpy; runpy.run_path(sys.argv[0], run_name='__main__')"
        )
        env = environment({}, warn=True) if mode == "launch" else {}
        return [program, code], env

    def _run(self, row: Row, mode: str) -> tuple[place.Outcome, list[dict[str, Any]]]:
        self.cells += 1
        folder = self.folder / f"{self.cells}"
        folder.mkdir()
        report = folder.with_suffix(".report")
        command, env = self._command(row, mode)
        if mode in rows.BY_ITSELF:
            env = {"PYTHONPATH": str(rows.PROGRAMS)}
        clean = place.clean_environment(MATRIX_REPORT=str(report), **row.env, **env)
        outcome = place.run(command, folder=folder, timeout=TIMEOUT, env=clean)
        lines = report.read_text().splitlines() if report.exists() else []
        return outcome, [json.loads(line) for line in lines]

    def row(self, row: Row) -> dict[str, dict[str, str]]:
        """{mode: {'status': ..., 'note': ...}}"""
        if (why := row.needs()) is not None:
            return {mode: {"status": REFUSED, "note": why} for mode in row.modes}
        if row.modes == rows.BY_ITSELF:
            outcome, _ = self._run(row, *rows.BY_ITSELF)
            wrong = None if outcome.how() == row.outcome else _tail(outcome)
            return {rows.BY_ITSELF[0]: _cell(wrong)}
        stock, _ = self._run(row, "stock")
        if stock.how() != row.outcome:
            why = f"Python itself fails: {stock.how()}"
            return {mode: {"status": REFUSED, "note": why} for mode in row.modes}
        return {mode: self._cell(row, mode, stock) for mode in row.modes}

    def _cell(self, row: Row, mode: str, stock: place.Outcome) -> dict[str, str]:
        ours, reports = self._run(row, mode)
        for report in reports:
            if "refused" in report:
                return {"status": REFUSED, "note": report["refused"] or _warning(ours.stderr)}
        return _cell(_difference(ours, stock) or _untrue(reports, mode, row.stays))


def _cell(wrong: str | None) -> dict[str, str]:
    return {"status": OK} if wrong is None else {"status": FAILED, "note": wrong}


def _warning(stderr: str) -> str:
    for line in stderr.splitlines():
        if line.startswith(_WARNING):
            return line.removeprefix(_WARNING)
    return "no reason given"


def _tail(outcome: place.Outcome) -> str:
    return f"{outcome.how()}: {outcome.stdout[-300:]} {outcome.stderr[-900:]}"


def _difference(ours: place.Outcome, stock: place.Outcome) -> str | None:
    if (ours.how(), ours.stdout) != (stock.how(), stock.stdout):
        return f"{_tail(ours)}; on stock {stock.how()}: {stock.stdout[-300:]}"
    texts = [_EXTENSIONS.sub("", outcome.stderr) for outcome in (stock, ours)]
    plain, found = (_VOLATILE.sub("N", text).splitlines() for text in texts)
    if found[-1:] != plain[-1:] or len(found) > len(plain) + 20:
        return f"says something else: {ours.stderr[-900:]}; on stock {stock.stderr[-300:]}"
    return None


def _untrue(reports: list[dict[str, Any]], mode: str, stays: bool) -> str | None:
    """What is wrong with what the process said of its mode and of check()."""
    if not any(report.get("entered") == mode for report in reports):
        return f"it never was in {mode} mode"
    for report in reports:
        if report.get("wrong"):
            return f"check(): {report['wrong']}"
        if stays and report.get("mode", mode) != mode:
            return f"mode() was {report['mode']} at the end"
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("rows", nargs="*", metavar="row", help=", ".join(ROWS))
    parser.add_argument("--quick", action="store_true", help="few rows, no results written")
    options = parser.parse_args()
    if unknown := set(options.rows) - ROWS.keys():
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    chosen = [ROWS[name] for name in options.rows or ROWS]
    if options.quick:
        chosen = [row for row in chosen if row.quick]
    path = place.RESULTS / f"matrix-{place.column()}.json"
    results = {**place.load(path), **place.describe()}
    done = results.setdefault("rows", {})
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        for row in chosen:
            done[row.name] = bench.row(row)
            failures += any(cell["status"] == FAILED for cell in done[row.name].values())
            if not options.quick:
                place.save(path, results)
            print(row.name, done[row.name], flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

"""Run everything that the READMEs show, one after the other, then draw and fill the tables.

    python benchmarks/run_all.py --python 3.11/bin/python 3.13/bin/python
    python benchmarks/run_all.py --quick            does all of it work here?  Keeps nothing
    python benchmarks/run_all.py --list             what there is, how long, what is missing

What the machine lacks is skipped, and said.  A step that fails doesn't stop the others.
"""

import argparse
import importlib.util
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from contenders import PEERS, find_library
from interpreter import HERE, ChildFailed
from subjects import look_at


@dataclass(frozen=True)
class Step:
    script: str
    minutes: float  # about, on the machine of the tables; for each interpreter
    args: tuple[str, ...] = ()
    quick: tuple[str, ...] | None = ("--quick",)  # in place of args; None: not when quick
    needs: tuple[str, ...] = ()  # programs and modules
    each_python: bool = False
    writes: str = "--json"  # the option that says where a quick run leaves its result


STEPS = (
    Step("golden.py", 0.5, ("--write",), ("--write",), needs=("valgrind",), writes="--file"),
    Step("startup.py", 1, each_python=True),
    Step("against_go.py", 4, needs=("go",)),
    Step("threads.py", 6),
    Step("growth.py", 15),
    Step("run_pairs.py", 20, each_python=True),
    Step("instructions.py", 15, needs=("valgrind",), each_python=True),
    Step("run_programs.py", 15, each_python=True),
    Step("profile_cost.py", 12, each_python=True),
    Step("run_rss.py", 8, each_python=True),
    Step("run_service.py", 20, each_python=True),
    Step("run_pyperformance.py", 20, each_python=True),
    Step(
        "count_programs.py", 30, quick=("--benchmarks", "json_loads", "--seconds", "0.01"),
        needs=("valgrind",), each_python=True,
    ),
    Step("growth.py", 0.1, ("--plot",), None, needs=("matplotlib",)),
    Step("plot_service.py", 0.1, quick=None, needs=("matplotlib",)),
    Step("tables.py", 0.1, quick=None),
)  # fmt: skip


@dataclass(frozen=True)
class Task:
    step: Step
    command: tuple[str, ...]  # without the interpreter and the folder
    why_not: str | None

    def __str__(self) -> str:
        return shlex.join(self.command)


def _lacks(needs: tuple[str, ...]) -> str | None:
    for name in needs:
        if shutil.which(name) is None and importlib.util.find_spec(name) is None:
            return f"no {name} here"
    return None


def _unfit(python: str) -> str | None:
    """Why an interpreter can't be measured, or None."""
    with tempfile.TemporaryDirectory(prefix="goalloc-benchmarks-") as scratch:
        try:
            found = look_at(python, Path(scratch))
        except (ChildFailed, OSError) as error:
            return str(error)
    return None if found.goalloc else "goalloc is not installed there"


def plan(pythons: list[str], only: list[str] | None, quick: bool, scratch: Path) -> Iterator[Task]:
    """All that is to run, in order, with the reason where it can't."""
    unfit = {python: _unfit(python) for python in pythons}
    for step in STEPS:
        if (only and step.script not in only) or (quick and step.quick is None):
            continue
        args = (step.quick or ()) if quick else step.args
        for number, python in enumerate(pythons if step.each_python else [""]):
            command = (step.script, *(("--python", python) if python else ()), *args)
            if quick:
                command += (step.writes, str(scratch / f"{number}-{step.script}.json"))
            yield Task(step, command, unfit.get(python) or _lacks(step.needs))


def _duration(minutes: float) -> str:
    return f"{minutes * 60:.0f} s" if minutes < 1 else f"{minutes:.0f} min"


def show(tasks: list[Task], quick: bool) -> None:
    for task in tasks:
        print(f"{task}: {task.why_not or ('short' if quick else _duration(task.step.minutes))}")
    missing = [name for name, stems in PEERS.items() if find_library(stems) is None]
    if missing:
        print(f"note: measured without {', '.join(missing)}, not on this machine")


def run(tasks: list[Task], quick: bool) -> list[Task]:
    """Runs what can run; the tasks that failed."""
    failed = []
    left = sum(task.step.minutes for task in tasks)
    for number, task in enumerate(tasks, 1):
        place = f"== {number}/{len(tasks)} {task}"
        begin = time.monotonic()
        print(place if quick else f"{place}: about {_duration(task.step.minutes)} of "
              f"{_duration(left)}", flush=True)  # fmt: skip
        script, *args = task.command
        if subprocess.run([sys.executable, str(HERE / script), *args]).returncode != 0:
            failed.append(task)
        left -= task.step.minutes
        print(f"== took {_duration((time.monotonic() - begin) / 60)}", flush=True)
    return failed


def main(argv: list[str] | None = None) -> int:
    scripts = list(dict.fromkeys(step.script for step in STEPS))
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--python", nargs="+", default=[sys.executable], metavar="PATH", help="default: this")
    add("--only", nargs="+", choices=scripts, metavar="SCRIPT", help=", ".join(scripts))
    add("--quick", action="store_true", help="short runs, nothing kept: does it work here?")
    add("--list", action="store_true", help="run nothing: show what would run")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="goalloc-benchmarks-") as scratch:
        tasks = list(plan(options.python, options.only, options.quick, Path(scratch)))
        if options.list:
            show(tasks, options.quick)
            return 0
        failed = run([task for task in tasks if task.why_not is None], options.quick)
    for task in tasks:
        if task.why_not:
            print(f"skipped: {task}: {task.why_not}")
    for task in failed:
        print(f"failed: {task}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())

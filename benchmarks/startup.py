"""What goalloc costs where nothing runs: start and exit, resident size, a forked child that sleeps.

Three ways to an interpreter that does nothing take turns: a plain one, one that inherits goalloc
from its environment, and `python -m goalloc run`, which starts two.
"""

import argparse
import os
import select
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import programs_report
import report
from contenders import Contender
from interpreter import ChildFailed, Interpreter, clean_environment
from runner import Progress, core
from subjects import contenders, headed, look_at

_NOTHING = "pass"
_RESIDENT = "print(next(line for line in open('/proc/self/status') if line.startswith('VmRSS:')))"

# A live heap of some megabytes; then the child sleeps, and its parent too, since a page that the
# parent writes to becomes the child's own.
_FORKS = """
import os, time
live = [{"key": n, "text": str(n)} for n in range(50_000)]
child = os.fork()
if child == 0:
    time.sleep(60)
    os._exit(0)
os.write(1, b"%d\\n" % child)
time.sleep(60)
"""
_SETTLE = 0.3  # seconds until the child is asleep

Ways = dict[str, tuple[list[str], dict[str, str]]]  # command up to -c, environment


def ways(python: Interpreter, goalloc: Contender) -> Ways:
    plain = clean_environment()
    return {
        "plain": ([python.path], plain),
        "inherits goalloc": ([python.path, *goalloc.args], goalloc.environment()),
        "python -m goalloc run": ([python.path, "-m", "goalloc", "run"], plain),
    }


def _milliseconds(command: list[str], env: dict[str, str], cwd: Path) -> float:
    start = time.perf_counter()
    done = subprocess.run([*command, "-c", _NOTHING], env=env, cwd=cwd, capture_output=True)
    if done.returncode != 0:
        raise ChildFailed(f"{command} ended with {done.returncode}: {done.stderr.decode()}")
    return 1000 * (time.perf_counter() - start)


def _resident(command: list[str], env: dict[str, str], cwd: Path) -> int:
    done = subprocess.run([*command, "-c", _RESIDENT], env=env, cwd=cwd, capture_output=True)
    return 1024 * int(done.stdout.split()[1])


def measure_start(all_ways: Ways, cwd: Path, rounds: int) -> list[dict[str, Any]]:
    times: dict[str, list[float]] = {name: [] for name in all_ways}
    resident: dict[str, list[int]] = {name: [] for name in all_ways}
    names = list(all_ways)
    progress = Progress(rounds)
    for turn in range(rounds):
        progress.step("start and exit")
        for name in names if turn % 2 else reversed(names):
            times[name].append(_milliseconds(*all_ways[name], cwd))
            if turn < 5:
                resident[name].append(_resident(*all_ways[name], cwd))
    progress.finish()
    base = statistics.median(resident["plain"])
    return [
        {
            "way": name,
            "ms": statistics.median(times[name]),
            "more_ms": statistics.median(
                mine - plain for mine, plain in zip(times[name], times["plain"], strict=True)
            ),
            "resident": int(statistics.median(resident[name])),
            "more_resident": int(statistics.median(resident[name]) - base),
        }
        for name in names
    ]


def _private_dirty(command: list[str], env: dict[str, str], cwd: Path) -> int:
    """Of a child forked by a process with a live heap, when it has slept for a moment."""
    with subprocess.Popen(
        [*command, "-c", _FORKS], env=env, cwd=cwd, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        try:
            ready, _, _ = select.select([parent.stdout], [], [], 60)
            if not ready:
                raise ChildFailed("the parent of the sleeping child doesn't answer")
            child = int(parent.stdout.readline())
            time.sleep(_SETTLE)
            rollup = Path(f"/proc/{child}/smaps_rollup").read_text()
            os.kill(child, 9)
        finally:
            parent.kill()
    return 1024 * int(rollup.partition("Private_Dirty:")[2].split()[0])


def measure_fork(python: Interpreter, chosen: list[Contender], rounds: int) -> list[dict[str, Any]]:
    dirty: dict[str, list[int]] = {contender.name: [] for contender in chosen}
    for _ in range(rounds):
        for contender in chosen:
            command = [python.path, *contender.args]
            dirty[contender.name].append(
                _private_dirty(command, contender.environment(), python.build_dir)
            )
    return [
        {"contender": name, "dirty": sizes, "median": int(statistics.median(sizes))}
        for name, sizes in dirty.items()
    ]


def run(python: Interpreter, options: argparse.Namespace) -> report.Result:
    chosen = contenders(python, ["goalloc"])
    result = headed("startup", python, chosen)
    result["settings"] = {"rounds": options.rounds, "forks": options.forks}
    os.sched_setaffinity(0, {core()})  # the children inherit it
    result["rows"] = measure_start(ways(python, chosen[1]), python.build_dir, options.rounds)
    result["fork"] = measure_fork(python, chosen, options.forks)
    return result


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--python", default=sys.executable, metavar="PATH", help="interpreter (default: this)")
    add("--rounds", type=int, default=60, help="starts of each way")
    add("--forks", type=int, default=5, help="forks under each allocator")
    add("--json", type=Path, metavar="FILE", help="in place of a file in results/")
    add("--quick", action="store_true", help="few starts: does it work here?")
    options = parser.parse_args(argv)
    if options.quick:
        options.rounds, options.forks = 3, 1
    with tempfile.TemporaryDirectory(prefix="goalloc-startup-") as scratch:
        try:
            python = look_at(options.python, Path(scratch))
            result = run(python, options)
        except (ChildFailed, LookupError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
    file = options.json or report.default_file("startup", python.label, options.quick)
    report.write_json(result, file)
    print(programs_report.text(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())

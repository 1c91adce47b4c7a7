"""goalloc's Python-level tests under an interpreter that was itself built with a sanitizer.

    python tests/sanitized_python.py PYTHON --into FOLDER [--cpython SOURCE] [--again] [for pytest]

PYTHON is a CPython whose CFLAGS have -fsanitize=...; extensions get the same flags from it, so goalloc
is instrumented, too.  tests/README.md says how to build one.  The script makes an environment in
FOLDER with goalloc (lock order checked) and pytest, runs the tests below or those that are named, and
prints every report that has goalloc's code at either end, once, with the number of times it came; of
CPython's own only a line.  Exit status 1 if a test fails, or if there is a report of ours.

What CPython's developers know of its races is in its sources (SOURCE/Tools/tsan); those that goalloc
means are in a list below, each with its reason.
"""

from __future__ import annotations

import argparse
import collections
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NEEDED = ("setuptools", "Cython", "pytest", "hypothesis")
# Those with programs, threads and interpreters in them; what only reads profiles or draws is left out.
TESTS = (
    "test_threads_fork.py", "test_interpreters.py", "test_hooks.py", "test_shared.py", "test_wrap.py",
    "test_heap.py", "test_stats.py", "test_snapshot.py", "test_scavenge.py", "test_profile_core.py",
    "test_profiles_live.py", "test_guard.py", "test_debug.py", "test_crimes.py", "test_c_api.py",
)  # fmt: skip

# Races that are meant: a function of ours that reads what CPython writes, and why that is right.
BY_DESIGN = {
    # The list is read without CPython's lock, a word at a time.  An interpreter other than the main one
    # is made and ended by a thread that holds the GIL whose cache is in question, or by one whose own
    # cache is found by its thread state; so either answer is right for who asks.  csrc/interp.h
    "only_main_interpreter": "the list of interpreters",
    # The scavenger asks where the main GIL is.  The main interpreter is static memory, and NULL in the
    # list from its end on; what is found counts only under the GIL's own mutex.  csrc/interp_gil.c
    "main_gil": "the main interpreter, as it ends",
    # What is made before the table has us is published by membarrier (os_publish), which
    # ThreadSanitizer does not see.  csrc/pyhook_install.c
    "make_heap": "the heap, published before its functions are",
    # CPython's readers of its arena allocator take no lock.  The words are written whole, the context
    # stays, and what ours pass on to has been published before by membarrier.
    "save_arena_table": "what was there before, published with the heap",
    "set_arena_table": "the arena allocator, beside interpreters with a GIL of their own",
}

_BEGIN = re.compile(r"(?:(?:WARNING|ERROR|FATAL): \w+Sanitizer|runtime error): (.*)")
# A process writes all of its reports into one file; those of UBSan begin without a line of "=".
_BETWEEN = re.compile(r"^={18,}\n|^(?=\S+:\d+:\d+: runtime error: )", re.M)
_SUMMARY = re.compile(r"^SUMMARY: \w+: (.*)$", re.M)
_FRAME = re.compile(r"^ +#\d+ (.*)$", re.M)
# Functions of the C library and of the sanitizer say nothing of whose code it is.
_OURS = re.compile(r"/csrc/|/_core\.c:|goalloc/_core")
_NOBODYS = re.compile(r"<null>|__interceptor|__asan|__tsan|sanitizer")


def sanitizers(python: str) -> set[str]:
    """What PYTHON was built with: {'thread'}, {'address', 'undefined'}."""
    code = "import sysconfig; print(sysconfig.get_config_var('CFLAGS'))"
    flags = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout
    return {name for found in re.findall(r"-fsanitize=(\S+)", flags) for name in found.split(",")}


def environment(kinds: set[str], folder: Path, cpython: Path | None) -> dict[str, str]:
    """Reports go to files: the tests compare what their children say."""
    log = f"log_path={folder / 'report'}"
    if "thread" not in kinds:
        # Not leaks: what an interpreter leaves at its end is no mistake.  Not the order of libraries:
        # launch mode loads its shim before main.
        address = f"{log}:detect_leaks=0:verify_asan_link_order=0:allocator_may_return_null=1"
        return {"ASAN_OPTIONS": address, "UBSAN_OPTIONS": f"{log}:print_stacktrace=1"}
    own = folder / "suppressions"
    lines = [f"race:{name}" for name in BY_DESIGN]
    if cpython is not None:
        lines.append((cpython / "Tools" / "tsan" / "suppressions.txt").read_text())
    own.write_text("\n".join(lines) + "\n")
    # A child of fork has the threads of its parent no more, and may start its own.
    options = f"{log}:suppressions={own}:exitcode=0:die_after_fork=0:allocator_may_return_null=1"
    return {"TSAN_OPTIONS": options + ":handle_segv=0:handle_sigbus=0"}


def prepare(base: str, python: Path, env: dict[str, str]) -> None:
    """Makes the environment of `python`, with goalloc built from these sources."""
    if not python.exists():
        subprocess.run([base, "-m", "venv", python.parent.parent], env=env, check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *NEEDED], env=env, check=True)
    install = [python, "-m", "pip", "install", "-q", "--no-build-isolation", "--no-deps"]
    env = {**env, "GOALLOC_DEBUG_BUILD": "1"}
    subprocess.run([*install, "--force-reinstall", ROOT], env=env, check=True)


def is_ours(report: str) -> bool:
    """Has one of its accesses our code on top?  Where threads and locks were made does not count."""
    for stack in report.split("\n\n"):
        if re.search(r"created (at|by)|allocated by|Location is", stack):
            continue
        frames = [frame for frame in _FRAME.findall(stack) if not _NOBODYS.search(frame)]
        if frames and _OURS.search(frames[0]):
            return True
    return not _FRAME.search(report) and bool(_OURS.search(report))  # UBSan may show no stack


def reports(folder: Path) -> tuple[int, int]:
    """Prints them; how many are ours, how many others'."""
    whole: dict[tuple[bool, str], str] = {}  # the first of each kind: is it ours, and what it says
    found: collections.Counter[tuple[bool, str]] = collections.Counter()
    for path in sorted(folder.glob("report.*")):
        for part in _BETWEEN.split(path.read_text(errors="replace")):
            begin, summary = _BEGIN.search(part), _SUMMARY.search(part)
            if begin:
                # What it says is of one end only: the other may be ours in some, and not in others.
                kind = is_ours(part), (summary or begin).group(1)
                found[kind] += 1
                whole.setdefault(kind, part)
    for (ours, name), count in found.most_common():
        if ours:
            print(f"\n==== {count} times: {name}\n{whole[ours, name]}")
        else:
            print(f"of CPython, {count} times: {name}")
    ours_found = sum(ours for ours, _ in found)
    return ours_found, len(found) - ours_found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("python", help="an interpreter built with a sanitizer")
    parser.add_argument("--into", type=Path, required=True, help="a folder for all that is made")
    parser.add_argument("--cpython", type=Path, help="the sources that it was built of")
    parser.add_argument("--again", action="store_true", help="with what was built before")
    options, more = parser.parse_known_args()
    kinds = sanitizers(options.python)
    if not kinds:
        parser.error(f"{options.python} was not built with -fsanitize=...")
    folder = options.into.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    python = folder / "venv" / "bin" / "python"
    env = {**os.environ, **environment(kinds, folder, options.cpython)}
    if not options.again:
        prepare(options.python, python, env)
    for old in folder.glob("report.*"):
        old.unlink()
    named = any("test_" in word for word in more)
    chosen = more if named else [*more, *(str(ROOT / "tests" / name) for name in TESTS)]
    # -P: what is installed, and not the sources beside the tests, which are not built.
    command = [python, "-P", "-m", "pytest", "-q", *chosen]
    failed = subprocess.run(command, cwd=ROOT, env=env).returncode
    ours, others = reports(folder)
    print(f"pytest: {failed}; reports: {ours} of goalloc, {others} of CPython")
    return 1 if failed or ours else 0


if __name__ == "__main__":
    sys.exit(main())

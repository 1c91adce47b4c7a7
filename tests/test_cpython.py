"""CPython's own tests in launch mode: each passes, or fails exactly as under a plain python."""

import concurrent.futures
import importlib.util
import re

import pytest
from pychild import needs_replaceable
from stock import PROGRAMS

pytestmark = [
    needs_replaceable,
    pytest.mark.skipif(
        not (importlib.util.find_spec("test") and importlib.util.find_spec("test.test_list")),
        reason="this Python comes without its tests",
    ),
]

# Names of one subject in several versions stand together; what a Python lacks is skipped.
SUITES = [
    "test_list",
    "test_dict",
    "test_set",
    "test_unicode test_str",
    "test_bytes",
    "test_int",
    "test_gc",
    "test_weakref",
    "test_thread",
    "test_fork1",
    "test_capi",
    "test_pickle",
    "test_json",
    "test_re",
    "test_ast",
    "test_compileall",
    "test_sqlite3",
    "test__xxsubinterpreters test__interpreters",
]
SLOW_SUITES = [
    "test_threading",
    "test_subprocess",
    "test_interpreters",
    "test_tracemalloc",
    "test_faulthandler",
    "test_asyncio",
]


def failures(result):
    """The tests that a run of unittest or regrtest names as failed, without their order."""
    return sorted(set(re.findall(r"^(?:FAIL|ERROR): (.*)$", result.stdout + result.stderr, re.M)))


def same_result(python, *command):
    ours = python.run(*command, timeout=600)
    if ours.returncode == 0:
        return
    plain = python(*command, timeout=600)
    assert (ours.returncode, failures(ours)) == (plain.returncode, failures(plain)), (
        ours.stdout[-5000:] + ours.stderr[-5000:]
    )
    assert failures(ours), ours.stdout[-5000:] + ours.stderr[-5000:]


def suite_command(names):
    """None where this Python has no such suite."""
    found = [n for n in names.split() if importlib.util.find_spec("test." + n)]
    return ["-m", "test", "-W", *found] if found else None


@pytest.mark.parametrize("names", SUITES)
def test_suite(python, names):
    if (command := suite_command(names)) is None:
        pytest.skip(f"this Python comes without {names}")
    same_result(python, *command)


@pytest.mark.slow
def test_slow_suites_side_by_side(python):
    """They wait more than they work."""
    commands = [suite_command(names) for names in SLOW_SUITES]
    commands += [
        [PROGRAMS / "multiprocessing_tests.py", method]
        for method in ("spawn", "forkserver", "fork")
    ]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        for future in [pool.submit(same_result, python, *c) for c in reversed(commands) if c]:
            future.result()

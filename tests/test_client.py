"""Builds for AddressSanitizer and valgrind: both see a use after free inside of our spans."""

import shutil
import subprocess
from pathlib import Path

import cbuild
import pytest

CRIMES = ["small", "small_read", "large", "tiny", "realloc", "realloc_large", "shrunk"]
PROGRAM = cbuild.CTESTS / "client_uaf.c"


@pytest.mark.parametrize("crime", [*CRIMES, "beyond"])
def test_asan_sees_it(builder, crime):
    done = builder.run(PROGRAM, "asan-client", crime)
    assert done.returncode != 0 and "AddressSanitizer: use-after-poison" in done.stderr, done.stderr
    assert "done" not in done.stdout


def test_asan_is_silent_otherwise(builder):
    done = builder.run(PROGRAM, "asan-client", env={"ASAN_OPTIONS": "detect_leaks=0"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


@pytest.mark.parametrize("name", ["test_model", "test_tiny", "test_threads"])
def test_modules_touch_nothing_that_is_free(builder, seed, name):
    """The core itself never looks into free memory; these tests don't either."""
    source = cbuild.CTESTS / f"{name}.c"
    done = builder.run(source, "asan-client", env={"GOALLOC_SEED": str(seed)})
    assert done.returncode == 0, done.stderr


@pytest.fixture
def under_valgrind(builder):
    if shutil.which("valgrind") is None or not Path("/usr/include/valgrind/memcheck.h").exists():
        pytest.skip("valgrind and its headers are not here")
    program = builder.program(PROGRAM, "valgrind-client")

    def run(*args):
        return subprocess.run(
            ["valgrind", "-q", "--error-exitcode=9", program, *args], capture_output=True, text=True
        )

    return run


@pytest.mark.slow
@pytest.mark.parametrize("crime", CRIMES)
def test_valgrind_sees_it(under_valgrind, crime):
    done = under_valgrind(crime)
    assert done.returncode == 9, done
    assert "Invalid " + ("read" if crime.endswith("read") else "write") in done.stderr


@pytest.mark.slow
def test_valgrind_tells_where_it_was_freed(under_valgrind):
    said = under_valgrind("small").stderr
    assert "3 bytes inside a block of size 112 free'd" in said and "by 0x" in said


@pytest.mark.slow
def test_valgrind_is_silent_otherwise(under_valgrind):
    done = under_valgrind()
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")

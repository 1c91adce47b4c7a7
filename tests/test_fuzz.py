"""The fuzzer of the C core (tests/c/fuzz.c), for a short while; README.md says how to run it longer.

Its own seed replays a failure, together with the options that are printed here.
"""

import re
import shutil
import subprocess

import cbuild
import fuzz_guided
import pytest

FUZZ = cbuild.CTESTS / "fuzz.c"


def summary(output):
    """Operations, rounds, threads, calls of the system."""
    pattern = r"^(\d+) operations in (\d+) rounds, (\d+) threads, (\d+) calls"
    return [int(n) for n in re.search(pattern, output, re.M).groups()]


@pytest.mark.parametrize("sanitizer, options", [
    ("asan", "--ops 800000 --round 200000"),
    ("asan", "--ops 300000 --round 100000 --threads 4"),
    ("tsan", "--ops 200000 --round 50000 --threads 4"),
])
def test_fuzz(builder, seed, sanitizer, options):
    if builder.runner(sanitizer) is None:
        pytest.skip(f"programs built with {sanitizer} do not run here")
    done = builder.run(FUZZ, sanitizer, *options.split(), "--seed", str(seed))
    print(options, done.stdout + done.stderr)
    assert done.returncode == 0
    assert summary(done.stdout)[0] >= int(re.search(r"--ops (\d+)", options).group(1))


@pytest.mark.slow
def test_fuzz_under_valgrind(builder, seed):
    valgrind = shutil.which("valgrind")
    if valgrind is None or cbuild.RUNNER or builder.runner("plain") is None:
        pytest.skip("needs valgrind")
    done = subprocess.run(
        [valgrind, "-q", "--error-exitcode=9", builder.program(FUZZ, "plain"),
         "--ops", "40000", "--round", "20000", "--seed", str(seed)],
        capture_output=True, text=True, timeout=cbuild.SECONDS,
    )
    print(done.stdout + done.stderr)
    assert done.returncode == 0 and summary(done.stdout)[:2] == [40000, 2]


def test_a_seed_is_replayed(builder, seed):
    """A failure can be looked for again: two runs make the same calls of the system."""
    first, again = (
        builder.run(FUZZ, "asan", "--ops", "200000", "--round", "100000", "--seed", str(seed))
        for _ in range(2)
    )
    assert first.returncode == again.returncode == 0
    assert summary(first.stdout) == summary(again.stdout)


def test_the_bytes_of_files_decide(builder, seed, tmp_path):
    """What a guided fuzzer finds is replayed by the plain program, the same each time."""
    fuzz_guided.write_seeds(tmp_path, seed)
    (tmp_path / "empty").touch()
    files = sorted(map(str, tmp_path.iterdir()))
    first, again = (builder.run(FUZZ, "asan", *files) for _ in range(2))
    print(first.stdout + first.stderr)
    assert first.returncode == again.returncode == 0
    assert first.stdout == again.stdout
    assert first.stdout.startswith(f"{len(files)} files, ")


@pytest.mark.slow
@pytest.mark.parametrize("engine", sorted(fuzz_guided.ENGINES))
def test_guided(engine, seed, tmp_path):
    """More is reached than the seeds do, and nothing is found."""
    if not fuzz_guided.works(fuzz_guided.ENGINES[engine], tmp_path):
        pytest.skip(f"{fuzz_guided.ENGINES[engine].compiler} is not there, or has no fuzzer")
    result = fuzz_guided.fuzz(engine, tmp_path / "fuzz", 5, seed)
    print(result)
    assert result.found == []
    assert result.executions > 0 and result.edges > 1000

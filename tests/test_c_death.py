"""Programs that must die: by abort, after exactly one line, which begins as the table says."""

import signal

import cbuild
import pytest

FATAL = "goalloc: fatal: "

# program tests/c/death_<name>.c, its argument, the line after "goalloc: fatal: "
DEATHS = [
    ("fatal", "formats", "s=text zu=0,18446744073709551615 u=0,4294967295 "
                         "p=0x0,0xffffffffffffffff .\n"),
    ("fatal", "long", "x" * (1024 - 1 - len(FATAL)) + "\n"),
    ("fatal", "check", f"{cbuild.CTESTS}/death_fatal.c:18: check failed: argc % 2 == 1\n"),
    ("lock_order", "falling", "lock order: central (rank 3) taken under heap (rank 4)\n"),
    ("lock_order", "equal", "lock order: other central (rank 3) taken under central (rank 3)\n"),
    ("lock_order", "again", "lock order: heap (rank 4) taken under heap (rank 4)\n"),
    ("lock_order", "not-held", "unlock of heap, which this thread does not hold\n"),
]


@pytest.mark.parametrize("name, crime, line", DEATHS, ids=[f"{d[0]}-{d[1]}" for d in DEATHS])
def test_death(builder, name, crime, line):
    done = builder.run(cbuild.CTESTS / f"death_{name}.c", "asan", crime)
    print(done.stdout + done.stderr)
    assert done.returncode == -signal.SIGABRT
    assert done.stderr.startswith(FATAL + line)
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", sorted({row[0] for row in DEATHS}))
def test_innocent(builder, name):
    """Without a crime the same program lives: it is the crime that kills."""
    done = builder.run(cbuild.CTESTS / f"death_{name}.c", "asan")
    assert (done.returncode, done.stderr) == (0, "")


def test_every_program_has_a_row():
    programs = {file.stem.removeprefix("death_") for file in cbuild.CTESTS.glob("death_*.c")}
    assert programs == {row[0] for row in DEATHS}

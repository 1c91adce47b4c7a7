"""Programs that must die: by abort, after exactly one line, which begins as the table says."""

import re
import signal

import cbuild
import pytest

FATAL = "goalloc: fatal: "

SMALL = " (block of 64 bytes, span class 11)\n"
TINY = " (block of 16 bytes, span class 5)\n"
LARGE = " (block of 106496 bytes, span class 1)\n"

# program tests/c/death_<name>.c, its argument, the line after "goalloc: fatal: ";
# 0x stands for an address
DEATHS = [
    ("fatal", "formats", "s=text zu=0,18446744073709551615 u=0,4294967295 "
                         "p=0x0,0xffffffffffffffff .\n"),
    ("fatal", "long", "x" * (1024 - 1 - len(FATAL)) + "\n"),
    ("fatal", "check", f"{cbuild.CTESTS}/death_fatal.c:18: check failed: argc % 2 == 1\n"),
    ("lock_order", "falling", "lock order: central (rank 4) taken under heap (rank 5)\n"),
    ("lock_order", "equal", "lock order: other central (rank 4) taken under central (rank 4)\n"),
    ("lock_order", "again", "lock order: heap (rank 5) taken under heap (rank 5)\n"),
    ("lock_order", "not-held", "unlock of heap, which this thread does not hold\n"),
    ("misuse", "double_free_small", "double free of 0x" + SMALL),
    ("misuse", "double_free_tiny", "double free of 0x" + TINY),
    ("misuse", "double_free_large", "double free of 0x\n"),
    ("misuse", "scavenged_small", "double free of 0x\n"),
    ("misuse", "scavenged_large", "double free of 0x\n"),
    ("misuse", "free_interior_small", "free of interior pointer 0x" + SMALL),
    ("misuse", "free_interior_tiny", "free of interior pointer 0x" + TINY),
    ("misuse", "free_interior_large", "free of interior pointer 0x" + LARGE),
    ("misuse", "free_unallocated", "free of unallocated pointer 0x" + SMALL),
    ("misuse", "free_foreign", "free of foreign pointer 0x\n"),
    ("misuse", "realloc_freed_small", "realloc of freed 0x" + SMALL),
    ("misuse", "realloc_freed_tiny", "realloc of freed 0x" + TINY),
    ("misuse", "realloc_freed_large", "realloc of freed 0x\n"),
    ("misuse", "realloc_interior_small", "realloc of interior pointer 0x" + SMALL),
    ("misuse", "realloc_interior_large", "realloc of interior pointer 0x" + LARGE),
    ("misuse", "realloc_unallocated", "realloc of unallocated pointer 0x" + SMALL),
    ("misuse", "realloc_foreign", "realloc of foreign pointer 0x\n"),
]


@pytest.mark.parametrize("name, crime, line", DEATHS, ids=[f"{d[0]}-{d[1]}" for d in DEATHS])
def test_death(builder, name, crime, line):
    done = builder.run(cbuild.CTESTS / f"death_{name}.c", "asan", crime)
    print(done.stdout + done.stderr)
    assert done.returncode == -signal.SIGABRT
    said = re.sub("0x[0-9a-f]+", "0x", done.stderr) if name == "misuse" else done.stderr
    assert said.startswith(FATAL + line)
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", sorted({row[0] for row in DEATHS}))
def test_innocent(builder, name):
    """Without a crime the same program lives: it is the crime that kills."""
    done = builder.run(cbuild.CTESTS / f"death_{name}.c", "asan")
    assert (done.returncode, done.stderr) == (0, "")


def test_every_program_has_a_row():
    programs = {file.stem.removeprefix("death_") for file in cbuild.CTESTS.glob("death_*.c")}
    assert programs == {row[0] for row in DEATHS}

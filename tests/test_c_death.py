"""Programs that must die: by abort, after a line that begins as the table says, mostly the only one."""

import re
import signal

import cbuild
import pytest

FATAL = "goalloc: fatal: "

SMALL = " (block of 64 bytes, span class 11)\n"
TINY = " (block of 16 bytes, span class 5)\n"
LARGE = " (block of 106496 bytes, span class 1)\n"

# what death_guard.c tells of the two blocks
MADE_FIRST = "  allocated by thread 7 at place 1\n"
MADE = "  allocated by thread 7 at place 2\n"
FREED = "  freed by thread 7 at place 3\n"

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
    *[
        ("debug", prefix + crime, line.replace("BLOCK", f"obj block 0x of {size} bytes")
         .replace("END", str(size)).replace("FAR", str(size + 5)))
        for prefix, size in (("", 100), ("large_", 100000))
        for crime, line in (
            ("overflow_byte", "overflow of BLOCK at byte END, found by PyObject_Free\n"),
            ("overflow_far", "overflow of BLOCK at byte FAR, found by PyObject_Free\n"),
            ("realloc_overflow", "overflow of BLOCK at byte END, found by PyObject_Realloc\n"),
            ("double_free", f"double free of 0x (obj block of {size} bytes, now by PyObject_Free)\n"),
            ("realloc_freed", f"realloc of freed 0x (obj block of {size} bytes)\n"),
            ("after_realloc", f"double free of 0x (obj block of {size} bytes, now by PyObject_Free)\n"),
            ("write_after_free_check", "write after free to BLOCK at byte 7, found by check\n"),
            ("write_after_free_ring", "write after free to BLOCK at byte 7, found when it left the "
                                      "ring\n"),
            ("mixed_0", "obj block 0x freed by PyMem_RawFree\n"),
            ("mixed_1", "obj block 0x freed by PyMem_Free\n"),
            ("mixed_3", "obj block 0x freed by goalloc_free\n"),
            ("realloc_mixed_0", "obj block 0x reallocated by PyMem_RawRealloc\n"),
            ("realloc_mixed_1", "obj block 0x reallocated by PyMem_Realloc\n"),
            ("realloc_mixed_3", "obj block 0x reallocated by goalloc_realloc\n"),
        )
    ],
    *[
        ("debug", sampled + "check_overflow",
         "overflow of obj block 0x of 100 bytes at byte 100, found by check\n")
        for sampled in ("", "sampled_")
    ],
    ("debug", "write_after_free_reuse", "write after free to obj block 0x of 100 bytes at byte 7, "
                                        "found when its memory was used again\n"),
    ("debug", "overflow_all", "overflow of the block at 0x, or underflow of the next one, over its "
                              "size (a slot of 128 bytes), found by PyObject_Free\n"),
    ("debug", "large_overflow_all", "overflow of obj block 0x of 100000 bytes at byte 100000, found by "
                                    "PyObject_Free\n"),
    *[
        ("debug", sampled + "neighbour_" + crime + ring, line + found)
        for sampled in ("", "sampled_")
        for ring, found in (("", "found by check\n"), ("_ring", "found when it left the ring\n"))
        for crime, line in (
            ("underflow", "write after free to the block at 0x, or underflow of the next one, over its "
                          "seal (a slot of 128 bytes), "),
            ("overflow", "overflow of the block at 0x, or underflow of the next one, over its size (a "
                         "slot of 128 bytes), "),
            ("overflow_zero", "overflow of the block at 0x, or underflow of the next one, over its size "
                              "(a slot of 128 bytes), "),
            ("first_byte", "write after free to obj block 0x of 100 bytes at byte 0, "),
        )
        if not (sampled and crime == "overflow_zero")
    ],
    ("debug", "interior", "free of interior pointer 0x (block of 128 bytes, span class 18)\n"),
    ("debug", "foreign", "free of foreign pointer 0x\n"),
    *[
        ("guard", prefix + crime, line.replace("BLOCK", f"obj block 0x of {size} bytes"))
        for prefix, size in (("", 100), ("large_", 100000), ("kept_", 100))
        for crime, line in (
            ("overflow", f"overflow of BLOCK: write to 0x, {-size % 16} bytes behind its end\n"),
            ("overflow_read", f"overflow of BLOCK: read of 0x, {-size % 16 + 100} bytes behind its end\n"),
            ("overflow_found", f"overflow of BLOCK at byte {size + 2}, found by PyObject_Free\n"),
            ("underflow", "underflow of BLOCK: write to 0x, 1 bytes before its start\n"),
            ("underflow_found", "underflow of BLOCK, 3 bytes before its start, found by "
                                "PyObject_Free\n"),
            ("write_after_free", "use after free of BLOCK: write to 0x, at byte 5\n" + MADE + FREED),
            ("read_after_free", "use after free of BLOCK: read of 0x, at byte 5\n"),
            ("double_free", f"double free of 0x (guarded obj block of {size} bytes, now by "
                            "PyObject_Free)\n" + MADE_FIRST + FREED),
            ("realloc_freed", f"realloc of freed 0x (guarded obj block of {size} bytes)\n"),
            ("interior", f"free of interior pointer 0x (guarded obj block 0x of {size} bytes)\n"
                         + MADE_FIRST),
            ("mixed", "obj block 0x freed by PyMem_Free\n"),
            ("realloc_mixed", "obj block 0x reallocated by PyMem_RawRealloc\n"),
        )
    ],
    ("guard", "unallocated", "free of unallocated pointer 0x (in guarded memory)\n"),
    ("guard", "nowhere", "read of 0x, which is in guarded memory, near no block\n"),
]
ONE_LINE = {"fatal", "lock_order", "misuse", "debug"}  # the others tell where blocks were made
ADDRESSES_VARY = {"misuse", "debug", "guard"}


@pytest.mark.parametrize("name, crime, line", DEATHS, ids=[f"{d[0]}-{d[1]}" for d in DEATHS])
def test_death(builder, name, crime, line):
    done = builder.run(cbuild.CTESTS / f"death_{name}.c", "asan", crime)
    print(done.stdout + done.stderr)
    assert done.returncode == -signal.SIGABRT
    said = re.sub("0x[0-9a-f]+", "0x", done.stderr) if name in ADDRESSES_VARY else done.stderr
    if cbuild.RUNNER:  # an emulator does not tell which of the two it was
        line = re.sub("write to|read of", "access to", line) if "access to" in said else line
    assert said.startswith(FATAL + line)
    assert name not in ONE_LINE or done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", sorted({row[0] for row in DEATHS}))
def test_innocent(builder, name):
    """Without a crime the same program lives: it is the crime that kills."""
    done = builder.run(cbuild.CTESTS / f"death_{name}.c", "asan")
    assert (done.returncode, done.stderr) == (0, "")


def test_every_program_has_a_row():
    programs = {file.stem.removeprefix("death_") for file in cbuild.CTESTS.glob("death_*.c")}
    assert programs == {row[0] for row in DEATHS}

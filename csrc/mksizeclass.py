"""Derives the size classes and writes sizeclass_table.h.

    python csrc/mksizeclass.py            print the header
    python csrc/mksizeclass.py --write    write it next to this script
    python csrc/mksizeclass.py --check    exit 1 if the file there differs

The rules are those of Go 1.3-1.15, which give 67 classes:

* Candidate sizes grow in steps of an eighth of the last power of two or less, so rounding a request
  up wastes at most about an eighth of its slot.  Below 128 bytes the step is 16, the alignment that
  CPython promises; the one class below 16 exists for requests of at most 8 bytes.
* A span gets the fewest pages of which at most an eighth is left over behind its last slot.
* Candidates that cut the same span into the same number of slots are one class, the largest of
  them: a smaller slot would only move bytes from the slots to the tail.  This widens some gaps
  beyond an eighth, and never costs a span a slot.
* At last a slot takes its share of the tail, in steps of 128 bytes.

So no simple formula bounds the sum of both wastes; the column `max waste` of the table is exact:
the part of a span that is lost when each of its slots holds the smallest request of its class.
"""

import argparse
import pathlib
import sys
from typing import NamedTuple

PAGE_SIZE = 8192
MAX_SMALL_SIZE = 32768
SMALL_SIZE_MAX, SMALL_SIZE_DIV = 1024, 8  # requests up to here: one table entry for each 8 bytes
LARGE_SIZE_DIV = 128  # larger requests: one for each 128 bytes
NUM_SIZE_CLASSES = 67  # with class 0, which stands for large objects
MIN_ALIGN = 16  # step of the classes from here to 128 bytes
ENLARGE_STEP = 128
DIV_BITS = 32  # n / size = n * divmagic >> DIV_BITS

HEADER = pathlib.Path(__file__).with_name("sizeclass_table.h")


class SizeClass(NamedTuple):
    size: int
    npages: int

    @property
    def span(self):
        return self.npages * PAGE_SIZE

    @property
    def objects(self):
        return self.span // self.size

    @property
    def tail(self):
        return self.span % self.size

    @property
    def divmagic(self):
        return -(-(1 << DIV_BITS) // self.size)


def candidate_sizes():
    """Multiples of a step that is chosen anew at each power of two."""
    size = step = 8
    while size <= MAX_SMALL_SIZE:
        if size & (size - 1) == 0:
            if size >= 2048:
                step = 256
            elif size >= 128:
                step = size // 8
            elif size >= MIN_ALIGN:
                step = MIN_ALIGN
        yield size
        size += step


def pages_for(size):
    npages = 1
    while npages * PAGE_SIZE % size > npages * PAGE_SIZE // 8:
        npages += 1
    return npages


def enlarged(cls):
    share = cls.span // cls.objects // ENLARGE_STEP * ENLARGE_STEP
    return cls._replace(size=max(cls.size, share))


def derive():
    """All classes; the entry at 0 stands for large objects."""
    classes = []
    for size in candidate_sizes():
        cls = SizeClass(size, pages_for(size))
        if classes and (classes[-1].npages, classes[-1].objects) == (cls.npages, cls.objects):
            classes[-1] = cls
        else:
            classes.append(cls)
    return [None, *map(enlarged, classes)]


def lookup_tables(classes):
    """Class of the largest request of each entry, for both halves of the range."""

    def smallest(n):
        return next(i for i, cls in enumerate(classes) if cls and cls.size >= n)

    class8 = [smallest(n) for n in range(0, SMALL_SIZE_MAX + 1, SMALL_SIZE_DIV)]
    class128 = [smallest(n) for n in range(SMALL_SIZE_MAX, MAX_SMALL_SIZE + 1, LARGE_SIZE_DIV)]
    return class8, class128


def check_classes(classes, class8, class128):
    """Everything the C code relies on, tried out for every request and every offset."""
    assert len(classes) == NUM_SIZE_CLASSES
    sizes = [cls.size for cls in classes[1:]]
    assert sizes == sorted(set(sizes)) and sizes[-1] == MAX_SMALL_SIZE

    fitting = 1
    for n in range(MAX_SMALL_SIZE + 1):
        if n > classes[fitting].size:
            fitting += 1
        if n <= SMALL_SIZE_MAX:
            got = class8[(n + SMALL_SIZE_DIV - 1) // SMALL_SIZE_DIV]
        else:
            got = class128[(n - SMALL_SIZE_MAX + LARGE_SIZE_DIV - 1) // LARGE_SIZE_DIV]
        assert got == fitting, (n, got, fitting)

    for cls in classes[1:]:
        assert cls.size % 16 == 0 or cls.size == 8, cls
        assert cls.tail <= cls.span // 8, cls
        assert cls.divmagic < 1 << DIV_BITS, cls
        for n in range(cls.span):
            assert n * cls.divmagic >> DIV_BITS == n // cls.size, (cls, n)


def human_rows(classes):
    yield "class  bytes/obj  bytes/span  objects  tail waste  max waste"
    smaller = 0
    for i, cls in enumerate(classes[1:], 1):
        lost = (cls.size - smaller - 1) * cls.objects + cls.tail
        smaller = cls.size
        yield (
            f"{i:5}  {cls.size:9}  {cls.span:10}  {cls.objects:7}  {cls.tail:10}"
            f"  {100 * lost / cls.span:8.2f}%"
        )


def c_array(ctype, name, values, per_line):
    yield f"static const {ctype} {name}[{len(values)}] = {{"
    for at in range(0, len(values), per_line):
        yield "    " + ", ".join(map(str, values[at : at + per_line])) + ","
    yield "};"


def header(classes, class8, class128):
    real = classes[1:]
    lines = [
        "/* Generated by mksizeclass.py; DO NOT EDIT.",
        " *",
        " * The size classes; sizeclass.h says how they are read.  No state, no locks.",
        " *",
        *(f" * {row}" for row in human_rows(classes)),
        " */",
        "#ifndef GA_SIZECLASS_TABLE_H",
        "#define GA_SIZECLASS_TABLE_H",
        "",
        "#include <stdint.h>",
        "",
        f"#define GA_NUM_SIZE_CLASSES {len(classes)}",
        f"#define GA_MAX_SLOTS_PER_SPAN {max(cls.objects for cls in real)}",
        "",
        *c_array("uint16_t", "class_to_size", [0, *(c.size for c in real)], 12),
        "",
        *c_array("uint8_t", "class_to_allocnpages", [0, *(c.npages for c in real)], 24),
        "",
        *c_array("uint32_t", "class_to_divmagic", [0, *(c.divmagic for c in real)], 8),
        "",
        *c_array("uint8_t", "size_to_class8", class8, 20),
        "",
        *c_array("uint8_t", "size_to_class128", class128, 20),
        "",
        "#endif",
    ]
    return "\n".join(lines) + "\n"


def main(argv=None):
    parser = argparse.ArgumentParser(description="Derive the size classes.")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--write", action="store_true", help=f"write {HEADER.name}")
    mode.add_argument("--check", action="store_true", help=f"exit 1 if {HEADER.name} differs")
    options = parser.parse_args(argv)

    classes = derive()
    tables = lookup_tables(classes)
    check_classes(classes, *tables)
    text = header(classes, *tables)
    if options.write:
        HEADER.write_text(text)
    elif options.check:
        if not HEADER.exists() or HEADER.read_text() != text:
            print(f"{HEADER.name} is stale: run {pathlib.Path(__file__).name} --write")
            return 1
    else:
        sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The house rules of csrc that a program can check: floors, sizes, who may know Python."""

import re

import cbuild
import pytest

# Bottom up; a file includes only headers of floors before its own.  os_posix.c, os_elf.c and
# os_cgroup.c stand on floor os.
FLOORS = """
    config base hash client fatal domain lock rng explog os guard persistent fixalloc
    budget special table linetable locations
    sizeclass_table sizeclass sampler tally mspan treap arena huge mheap large mcentral tiny stack
    profile mcache malloc scavenger background inspect check debug report settings
    interp pystack wrap pyhook goalloc
    pystart
""".split()
KNOW_PYTHON = {"interp", "pystack", "wrap", "pyhook", "goalloc", "pystart"}
MAX_FILE_LINES = 700
MAX_FUNCTION_LINES = 60
MAX_COLUMNS = 100

HEADERS = sorted(cbuild.CSRC.glob("*.h"))
FILES = [
    file for file in sorted(cbuild.CSRC.glob("*.[ch]")) if file.name not in cbuild.PROGRAMS
]


def name_of(file):
    return file.name


def floor_of(stem):
    """mspan -> mspan, os_posix -> os; None: on no floor."""
    while stem not in FLOORS:
        stem, separator, _ = stem.rpartition("_")
        if not separator:
            return None
    return stem


def functions(text):
    """(first line, lines) of each function: from a line that ends in `) {` to a `}` in column 0."""
    start = None
    for number, line in enumerate(text.splitlines(), 1):
        if start is None and re.search(r"\)\s*\{$", line):
            start = number
        elif start is not None and line == "}":
            yield start, number - start + 1
            start = None


def test_there_are_files():
    assert len(FILES) > len(HEADERS) > 0


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_floor(file):
    own = floor_of(file.stem)
    assert own is not None, f"{file.name} stands on no floor"
    for name in cbuild.includes(file):
        if name == "<Python.h>":
            assert own in KNOW_PYTHON, f"{file.name} knows Python"
        elif not name.startswith("<"):
            stem, _, suffix = name.rpartition(".")
            assert suffix == "h", f"{file.name} includes {name}"
            below = floor_of(stem)
            assert below is not None, f"{file.name} includes {name}, which is on no floor"
            assert FLOORS.index(below) <= FLOORS.index(own), f"{file.name} looks up to {name}"


@pytest.mark.parametrize("file", HEADERS, ids=name_of)
def test_header_compiles_alone(file):
    cbuild.check_header(file)


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_size(file):
    text = file.read_text()
    assert text.count("\n") <= MAX_FILE_LINES
    long = [start for start, lines in functions(text) if lines > MAX_FUNCTION_LINES]
    assert not long, f"{file.name}: functions that fit no screen, at lines {long}"


@pytest.mark.parametrize("folder", [cbuild.CSRC, cbuild.CTESTS], ids=name_of)
def test_columns(folder):
    """Of C, in the core and in its tests."""
    wide = [
        f"{file.name}:{number}"
        for file in sorted(folder.glob("*.[ch]"))
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if len(line) > MAX_COLUMNS
    ]
    assert not wide, f"lines of more than {MAX_COLUMNS} columns: {wide}"


def test_functions_are_found():
    text = "struct s {\n    int a;\n};\nint f(int a,\n      int b) {\n    if (a) {\n    }\n}\n"
    text += "static int g(void) { return 1; }\nvoid h(void) {\n}\n"
    assert list(functions(text)) == [(5, 4), (10, 2)]

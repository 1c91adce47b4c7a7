"""Reads callgrind's output files: instructions of each function, without what it calls."""

import re
from collections import Counter
from pathlib import Path

Function = tuple[str, str]  # name of the object file, name of the function

# A name is given in full once, as `fn=(12) name`, and then by its number.
_NAME = re.compile(r"^(ob|fn|cob|cfn)=\((\d+)\)(?: (.*))?$")


def self_costs(file: Path) -> Counter[Function]:
    """Instructions by function."""
    costs: Counter[Function] = Counter()
    names: dict[tuple[str, str], str] = {}  # objects and functions are numbered apart
    current = {"ob": "", "fn": ""}
    called = False  # the next line is what a call cost, which is counted where it was spent
    with open(file) as lines:
        for line in lines:
            first = line[:1]
            if first.isdigit() or first in "+-*":
                if not called:
                    costs[current["ob"], current["fn"]] += int(line.split()[1])
                called = False
            elif line.startswith("calls="):
                called = True
            elif match := _NAME.match(line.rstrip("\n")):
                what, number, name = match.groups()
                space = what.removeprefix("c")
                if name is not None:
                    names[space, number] = "unknown" if name.startswith("0x") else name
                if what in current:
                    current[what] = names[space, number]
    return costs


# The C library's allocator, and CPython's: what a replaced allocator saves.
_LIBC = re.compile(
    r"^_?_?(libc_)?(malloc|free|calloc|realloc)$|^_int_(malloc|free|realloc|memalign)|"
    r"^(malloc_consolidate|unlink_chunk|sysmalloc|systrim|ptmalloc|tcache|mremap_chunk|"
    r"arena_get|free_perturb|alloc_perturb|checked_request2size|__default_morecore|int_mallinfo)"
)
_CPYTHON = re.compile(
    r"^_?Py(Object|Mem)(_Raw)?_?(Raw)?(Malloc|Free|Calloc|Realloc)$|"
    r"^(pymalloc_|address_in_range|arena_map_|new_arena|allocate_from_new_pool|insert_to_|"
    r"_PyObject_Arena|_PyMem_Arena|_PyMem_Raw|_PyMem_Arena|_Py(Mem|Object)_(Malloc|Free))"
)


def is_allocator(function: Function) -> bool:
    """Whether a function is an allocator's, goalloc's or a peer's own library included."""
    library, name = function
    name = name.partition("'")[0].partition(".")[0]  # without recursion level and clone
    if re.search(r"/goalloc/|mimalloc|jemalloc|tcmalloc|libfloor", library):
        return True
    return bool(_CPYTHON.match(name)) or ("libc" in library and bool(_LIBC.match(name)))

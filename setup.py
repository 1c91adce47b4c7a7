"""Builds the two shared objects of goalloc; all else is in pyproject.toml.

goalloc._core     the allocator, the hooks and the Python objects.  Nothing else may link csrc: two
                  copies of it would be two heaps.
goalloc._preload  the launch shim, which LD_PRELOAD brings into a python before its main().  Plain C,
                  no module; it is an Extension only to be built and shipped beside _core.

GOALLOC_DEBUG_BUILD=1 in the environment: lock order checked, symbols, little optimisation.
GOALLOC_ASAN_BUILD=1, GOALLOC_VALGRIND_BUILD=1: AddressSanitizer or valgrind sees our blocks.
"""

import os
import shutil
import sys
import sysconfig
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_py import build_py

SHIM = "csrc/preload.c"
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
DEBUG = os.environ.get("GOALLOC_DEBUG_BUILD") == "1"

CFLAGS = ["-std=c11", "-D_GNU_SOURCE", "-pthread", "-fvisibility=hidden", "-Wall", "-Wextra"]
CFLAGS += ["-DGA_DEBUG_LOCKS", "-g", "-O1"] if DEBUG else ["-O3"]

# -iquote and not -I: csrc/malloc.h must not stand in for the <malloc.h> of the system.
# For a look with a tool that watches every access; csrc/client.h says what it is told.
if os.environ.get("GOALLOC_ASAN_BUILD") == "1":
    CFLAGS += ["-DGA_CLIENT_ASAN", "-fsanitize=address", "-g"]
elif os.environ.get("GOALLOC_VALGRIND_BUILD") == "1":
    CFLAGS += ["-DGA_CLIENT_VALGRIND", "-g"]

core = Extension(
    "goalloc._core",
    ["goalloc/_core.pyx", *sorted(str(p) for p in Path("csrc").glob("*.c") if str(p) != SHIM)],
    depends=sorted(str(p) for p in Path("csrc").glob("*.h")),
    # What Cython needs to serve interpreters with a GIL of their own: no state and no type is static.
    define_macros=[("CYTHON_USE_MODULE_STATE", "1"), ("CYTHON_USE_TYPE_SPECS", "1")],
    extra_compile_args=[
        *CFLAGS,
        "-iquotecsrc",
        "-fno-tree-slp-vectorize",  # a 16-byte load of two 8-byte stores stalls (mcache.h)
        "-fno-semantic-interposition",
        "-fomit-frame-pointer",
        "-ftls-model=initial-exec",
        # What Cython writes is not ours to tidy.
        "-Wno-unused-function",
        "-Wno-unused-parameter",
        "-Wno-missing-field-initializers",
        "-Wno-cast-function-type",
    ],
    # Whoever launches goalloc calls few of the functions of Python that it links.
    extra_link_args=["-pthread", "-Wl,-z,lazy"],
)

preload = Extension(
    "goalloc._preload",
    [SHIM],
    define_macros=[
        ("GOALLOC_CORE", f'"_core{SUFFIX}"'),
        ("GOALLOC_PYTHON", f'"{sys.version_info[0]}.{sys.version_info[1]}"'),
        ("GOALLOC_PYTHON_DEBUG", str(int(hasattr(sys, "gettotalrefcount")))),
        ("GOALLOC_PYTHON_FREE_THREADED", str(int("t" in sys.abiflags))),
    ],
    # Children that are no Python load it too: it must not need the runtime of a sanitizer, which the
    # flags of an interpreter may bring along.
    extra_compile_args=[*CFLAGS, "-fno-sanitize=all"],
    extra_link_args=["-fno-sanitize=all"],  # gcc links the runtime into what needs none of it
    libraries=["dl"],
)


class BuildPy(build_py):
    """Also ships the headers of csrc as goalloc/include/goalloc, for goalloc.get_include()."""

    def run(self):
        super().run()
        base = "" if self.editable_mode else self.build_lib
        target = Path(base, "goalloc", "include", "goalloc")
        if self.editable_mode:
            target.parent.mkdir(exist_ok=True)
            if not target.is_symlink():
                target.symlink_to(Path("csrc").resolve())
            return
        target.mkdir(parents=True, exist_ok=True)
        for header in sorted(Path("csrc").glob("*.h")):
            shutil.copyfile(header, target / header.name)


setup(
    ext_modules=[
        *cythonize([core], build_dir="build/cython", language_level=3),
        preload,
    ],
    cmdclass={"build_py": BuildPy},
)

"""Fixtures of the Python-level tests: a private heap that is checked at the end, child Pythons."""

import os
import re
import shlex
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

import goalloc


@pytest.fixture(params=["sparse", "linear"])
def heap(request):
    with goalloc.Heap(request.param) as heap:
        yield heap
        heap.check()


# A free-threaded build needs its own allocator.  A debug build has Python's debug hooks on from the
# start, so that goalloc comes below them in launch mode only: see test_wrap.py.
LAUNCHABLE = "t" not in sys.abiflags
REPLACEABLE = LAUNCHABLE and not hasattr(sys, "gettotalrefcount")
needs_launch = pytest.mark.skipif(
    not LAUNCHABLE, reason="the allocators of a free-threaded build stay as they are"
)
needs_replaceable = pytest.mark.skipif(
    not REPLACEABLE, reason="the allocators of a debug or free-threaded build stay as they are"
)


# What this interpreter was built with: "thread", "address", ... (sanitized_python.py)
_CFLAGS = sysconfig.get_config_var("CFLAGS") or ""
SANITIZERS = ",".join(re.findall(r"-fsanitize=(\S+)", _CFLAGS)).split(",")

# Makes and ends interpreters with a GIL of their own; since Python 3.12.
ISOLATED_INTERPRETERS = """
import sys
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
for _ in range(5):
    if sys.version_info >= (3, 13):
        i = interpreters.create("isolated")
    else:
        i = interpreters.create(isolated=True)
    interpreters.run_string(i, "import json; json.dumps(list(range(5000)))")
    interpreters.destroy(i)
print("ok")
"""


def wait_for(condition):
    for _ in range(2400):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come about within two minutes")


class Child:
    """Runs this Python again, in an environment without any trace of goalloc."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(
        self, *args, env=None, input=None, executable=sys.executable, timeout=300, **options
    ):
        if not LAUNCHABLE and (env or {}).get("PYTHONMALLOC", "").startswith(("malloc", "pymalloc")):
            pytest.skip("a free-threaded build has mimalloc only, and does not start with another name")
        clean = {k: v for k, v in os.environ.items() if not k.startswith("GOALLOC")}
        clean.pop("LD_PRELOAD", None)
        clean.pop("PYTHONMALLOC", None)
        return subprocess.run(
            [executable, *map(str, args)],
            env={**clean, **(env or {})},
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            cwd=self.folder,
            timeout=timeout,
            **options,
        )

    def run(self, *args, **options):
        """python -m goalloc run args..."""
        return self("-m", "goalloc", "run", *args, **options)

    def output(self, *args, **options):
        """What a child prints that must succeed and say nothing on stderr."""
        result = self(*args, **options)
        assert (result.returncode, result.stderr) == (0, ""), result
        return result.stdout


@pytest.fixture
def python(tmp_path):
    return Child(tmp_path)


def _child_in(request, python):
    """run(code, *args) -> stdout of the code in a child that has goalloc in the mode request.param."""
    mode = request.param
    if not {"launch": LAUNCHABLE, "import": REPLACEABLE, "wrap": True}[mode]:
        pytest.skip("the allocators of a debug or free-threaded build stay as they are")

    def run(code, *args, **options):
        if mode == "launch":
            return python.output("-m", "goalloc", "run", "-c", code, *args, **options)
        code = f"import goalloc; goalloc.install({mode!r})\n{code}"
        return python.output("-c", code, *args, **options)

    run.mode = mode
    return run


@pytest.fixture(params=["launch", "import"])
def in_mode(request, python):
    """in_mode(code) -> stdout of the code in a child whose blocks are goalloc's, in either mode."""
    return _child_in(request, python)


@pytest.fixture(params=["launch", "import", "wrap"])
def in_any_mode(request, python):
    """The same, also in the mode in which goalloc only counts."""
    return _child_in(request, python)


@pytest.fixture(scope="session")
def embedding(tmp_path_factory):
    """A program with Python inside, which it starts and ends several times: tests/programs/embed.c."""
    library = sysconfig.get_config_var("LDLIBRARY") or ""
    if ".so" not in library:
        pytest.skip("this Python has no shared library to embed")
    program = tmp_path_factory.mktemp("embed") / "embed"
    folder = sysconfig.get_config_var("LIBDIR")
    subprocess.run(
        [
            *shlex.split(sysconfig.get_config_var("CC")),
            "-I" + sysconfig.get_path("include"),
            Path(__file__).parent / "programs" / "embed.c",
            f"-L{folder}",
            f"-Wl,-rpath,{folder}",
            "-lpython" + sysconfig.get_config_var("LDVERSION"),
            "-o",
            program,
        ],
        check=True,
    )
    return program

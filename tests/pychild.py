"""Fixtures of the Python-level tests: a private heap that is checked at the end, child Pythons."""

import os
import subprocess
import sys

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


class Child:
    """Runs this Python again, in an environment without any trace of goalloc."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, *args, env=None, input=None, executable=sys.executable, **options):
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
            timeout=300,
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


@pytest.fixture(params=["launch", "import"])
def in_mode(request, python):
    """in_mode(code) -> stdout of the code in a child that has goalloc in either mode."""
    launched = request.param == "launch"
    if not (LAUNCHABLE if launched else REPLACEABLE):
        pytest.skip("the allocators of a debug or free-threaded build stay as they are")

    def run(code, **options):
        if launched:
            return python.output("-m", "goalloc", "run", "-c", code, **options)
        return python.output("-c", "import goalloc; goalloc.install()\n" + code, **options)

    run.mode = request.param
    return run

"""The C API for other extensions: the two examples, the rules that goalloc.h states, the ABI version."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import textwrap
from pathlib import Path

import pytest
from pychild import Child, needs_launch, needs_replaceable

import goalloc

EXAMPLES = Path(__file__).parents[1] / "examples"
IGNORED = Path(__file__).parents[1] / ".gitignore"
CTESTS = Path(__file__).parent / "c"

pytest.importorskip("setuptools")


def build(folder, name):
    """Builds an example as its setup.py says, in a folder of its own, which is returned."""
    shutil.copytree(EXAMPLES / name, folder, dirs_exist_ok=True)
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace"],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def compile_door(folder, include=None):
    """The module tests/c/api_door.c: the C API as Python functions on addresses."""
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    done = subprocess.run(
        [
            "cc", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror",
            f"-I{include or goalloc.get_include()}", f"-I{sysconfig.get_path('include')}",
            str(CTESTS / "api_door.c"), "-o", str(folder / f"api_door{suffix}"),
        ],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return Child(folder)


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    return compile_door(tmp_path_factory.mktemp("door"))


# Of the examples none says that it does without the GIL: a free-threaded Python warns of that.
WITH_GIL = {"PYTHON_GIL": "1"}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("git") is None or not IGNORED.exists(), reason="no clone, or no git")
@pytest.mark.parametrize("name", ["capi_c", "capi_cython"])
def test_a_built_example_leaves_nothing_untracked(tmp_path, name):
    pytest.importorskip("Cython")
    folder = tmp_path / "examples" / name
    shutil.copytree(EXAMPLES / name, folder, ignore=shutil.ignore_patterns("build", "*.so", "primes.c"))
    shutil.copy(IGNORED, tmp_path)
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}  # as a hook of git sets them

    def git(*words):
        return subprocess.run(["git", *words], cwd=tmp_path, env=env, capture_output=True, text=True, check=True)

    git("init", "-q")
    git("add", ".")
    build(folder, name)
    status = git("status", "--porcelain", "-uall")
    assert [line for line in status.stdout.splitlines() if line.startswith("??")] == []


@pytest.mark.slow
def test_the_example_in_c(tmp_path):
    child = Child(build(tmp_path / "c", "capi_c"))
    code = """
        from samples import Samples
        import goalloc
        s = Samples()
        for i in range(1000):
            s.append(i)
        assert (len(s), s.mean()) == (1000, 499.5) and s.nbytes >= 8000
        span = goalloc.span_of(s.address)
        assert span.noscan and span.elem_size == s.nbytes
        del s
        goalloc.check()
        print(goalloc.mode())
        """
    code = textwrap.dedent(code)
    assert child.output("-c", code, env=WITH_GIL) == "None\n"
    wrapped = "import goalloc; goalloc.install('wrap')\n" + code
    assert child.output("-c", wrapped, env=WITH_GIL) == "wrap\n"
    told = """
        from samples import Samples
        import goalloc
        goalloc.set_profile_rate(1)
        s = Samples()
        s.append(1)
        print(goalloc.heap_profile().top(), goalloc.memstats())
        """
    text = child.output("-c", textwrap.dedent(told), env=WITH_GIL)
    assert text.count("no new blocks of Python's in this process: these are older ones, or those of ext") == 2


@pytest.mark.slow
def test_the_example_in_cython(tmp_path):
    pytest.importorskip("Cython")
    child = Child(build(tmp_path / "cython", "capi_cython"))
    code = """
        import goalloc, primes
        goalloc._C_API  # makes the heap
        before = goalloc.memstats()
        print(primes.count(1_000_000), primes.count(0), primes.count(3))
        assert goalloc.memstats().mallocs - before.mallocs >= 1
        try:
            primes.count(1 << 60)
        except MemoryError:
            print("no memory")
        goalloc.check()
        """
    assert child.output("-c", textwrap.dedent(code), env=WITH_GIL) == "78498 0 1\nno memory\n"


# ---- the rules ----------------------------------------------------------------------------------

RULES = textwrap.dedent(
    """
    import ctypes, os, threading
    import goalloc, api_door as api
    watched = "GOALLOC_DEBUG" in os.environ or "GOALLOC_GUARD" in os.environ
    MAX = 2**63 - 1

    def use(noscan):
        for n in (0, 1, 5, 15, 16, 17, 100, 1024, 32768, 32769, 1 << 20):
            p = api.malloc(n, noscan)
            aligned = 16 if n >= 16 or not noscan else 1 << max(n, 1).bit_length() - 1
            assert p % aligned == 0 and api.is_ours(p) and api.usable_size(p) >= max(n, 1)
            ctypes.memset(p, 0xAB, n)
            q = api.realloc(p, 2 * n + 1, noscan)
            assert ctypes.string_at(q, n) == bytes([0xAB]) * n
            api.free(q)
            z = api.calloc(n, 3, noscan)
            assert ctypes.string_at(z, 3 * n) == bytes(3 * n)
            api.free(z)
        api.free(0)
        api.free(api.realloc(0, 10, noscan))

    def all_rules():
        for noscan in (0, 1):
            use(noscan)
            assert api.malloc(MAX + 1, noscan) == api.malloc(2**64 - 1, noscan) == 0
            assert api.calloc(2**33, 2**33, noscan) == api.calloc(2, MAX, noscan) == 0
            p = api.malloc(100, noscan)
            assert api.realloc(p, MAX + 1, noscan) == 0 and api.usable_size(p) >= 100
            api.free(p)
        for shift in range(16):
            p = api.aligned_alloc(1 << shift, 100)
            assert p % (1 << shift) == 0 and api.usable_size(p) >= 100
            api.free(p)
        assert api.aligned_alloc(24, 100) == api.aligned_alloc(0, 100) == 0
        assert not api.is_ours(id(use) if goalloc.mode() is None else 64)
        assert api.usable_size(64) == 0
        a, b = api.malloc(1, 1), api.malloc(1, 1)
        c, d = api.malloc(1, 0), api.malloc(1, 0)
        assert abs(c - d) >= 16 and (watched or abs(a - b) < 16)
        for p in (a, b, c, d):
            api.free(p)
        parts()

    def fill(parts, size):
        p = api.malloc(size, 1)
        ctypes.memset(p, len(parts) % 256, api.usable_size(p))
        parts.append((p, size))

    # Blocks that share a slot are used as far as they go, also one of a thread that makes more.
    def parts():
        made, go, done = [], threading.Event(), threading.Event()
        def other():
            fill(made, 3), done.set(), go.wait(), fill(made, 3)
        t = threading.Thread(target=other)
        t.start(); done.wait()
        ctypes.memset(made[0][0], 0, api.usable_size(made[0][0]))
        assert 3 <= api.usable_size(made[0][0]) <= 16
        go.set(); t.join()
        for i in range(300):
            fill(made, 1 + i % 15)
        for i, (p, size) in enumerate(made):
            assert ctypes.string_at(p, size) == bytes([i % 256]) * size, (i, p, size)
            api.free(p)

    def everywhere():
        all_rules()
        made = []
        t = threading.Thread(target=lambda: made.append(api.malloc(1000, 0)))
        t.start(); t.join()
        api.free(made[0])
    """
)


@pytest.mark.parametrize("env", [{}, {"GOALLOC_DEBUG": "1"}, {"GOALLOC_GUARD": "2"}], ids=str)
def test_rules_hold_whether_python_runs_on_goalloc_or_not(door, env):
    code = RULES + textwrap.dedent(
        """
        everywhere()
        older = api.malloc(100, 0)
        print(goalloc.mode())
        goalloc.install()
        everywhere()
        newer = api.malloc(100, 0)
        api.free(older)
        goalloc.uninstall()
        everywhere()
        api.free(newer)
        goalloc.check()
        """
    )
    assert door.output("-c", code, env=env) == "None\n"


@needs_launch
def test_rules_hold_in_launch_mode(door):
    code = RULES + "everywhere(); goalloc.check(); print(goalloc.mode())"
    assert door.output("-m", "goalloc", "run", "-c", code) == "launch\n"


def test_threads_without_the_gil_share_blocks(door):
    """api_door.churn: threads of C that have no thread state make blocks and free each other's."""
    code = "import api_door, goalloc; api_door.churn(4, 20000); goalloc.check(); print('ok')"
    assert door.output("-c", code) == "ok\n"
    assert door.output("-c", "import goalloc; goalloc.install('wrap'); " + code) == "ok\n"
    for env in ({"GOALLOC_DEBUG": "1"}, {"GOALLOC_GUARD": "100"}):
        assert door.output("-c", code, env=env) == "ok\n"


def test_a_block_is_not_pythons(door):
    """What is no live block of the API has no usable size, and is fatal to free."""
    code = "import api_door as api; p = api.malloc(100, 0); "
    wrong = {
        "api.free(p); api.free(p)": "double free of 0x",
        "api.free(p + 8)": "free of interior pointer 0x",
        "api.free(64)": "free of foreign pointer 0x40",
        "api.realloc(64, 1, 0)": "realloc of foreign pointer 0x40",
        "api.free(p); api.realloc(p, 1, 0)": "realloc of freed 0x",
    }
    for crime, line in wrong.items():
        done = door("-c", code + crime)
        assert done.returncode == -6, crime
        assert done.stderr.startswith(f"goalloc: fatal: {line}"), done.stderr
    assert door.output("-c", code + "api.free(p); print(api.usable_size(p))") == "0\n"


@needs_replaceable
def test_watched_blocks_are_told_apart(door):
    """As those of a domain of their own, in debugging runs and where they are guarded."""
    code = "import api_door as api; from goalloc import _core; "
    for env in ({"GOALLOC_DEBUG": "1"}, {"GOALLOC_GUARD": "1"}):
        crime = "goalloc.install(); _core._domain_free('raw', api.malloc(100, 0))"
        done = door("-c", "import goalloc; goalloc._C_API; " + code + crime, env=env)
        assert re.sub("0x[0-9a-f]+", "0x", done.stderr).startswith(
            "goalloc: fatal: api block 0x freed by PyMem_RawFree\n"
        )


def test_in_wrap_mode_they_are_guarded_and_pythons_blocks_are_not(door):
    code = """
        import api_door as api, goalloc
        from goalloc import _core
        goalloc.install("wrap")
        blocks = [_core._domain_malloc("obj", 100) for _ in range(100)]
        assert not any(map(api.is_ours, blocks))
        for block in blocks:
            _core._domain_free("obj", block)
        block = api.malloc(100, 0)
        api.free(block)
        api.free(block)
    """
    done = door("-c", textwrap.dedent(code), env={"GOALLOC_GUARD": "1"})
    assert re.match(r"goalloc: fatal: double free of 0x\w+ \(guarded api block of 100 bytes", done.stderr)


@needs_replaceable
def test_realloc_guards_as_malloc_does(door):
    code = """
        import api_door as api, goalloc
        goalloc.install()
        block = api.malloc(100, 0)
        goalloc.set_guard_rate(1)
        block = api.realloc(block, 5000, 0)
        assert api.is_ours(block) and goalloc.span_of(block) is None
        goalloc.set_guard_rate(0)
        later = [api.malloc(100, 0) for _ in range(10)]
        assert all(map(goalloc.span_of, later))
        block = api.realloc(block, 100, 0)
        assert goalloc.span_of(block)
        for p in [block, *later]:
            api.free(p)
        goalloc.check()
        print("as malloc")
    """
    done = door("-c", textwrap.dedent(code))
    assert (done.stdout, done.stderr) == ("as malloc\n", "")


@needs_replaceable
def test_objects_are_no_blocks_of_the_api(door):
    code = """
        import goalloc, api_door as api
        goalloc.install()
        it = object()
        assert api.is_ours(id(it)) and api.usable_size(id(it)) == 0
        print("ok")
        """
    assert door.output("-c", textwrap.dedent(code)) == "ok\n"


# ---- the ABI ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line, other, message",
    [
        ("#define GOALLOC_ABI_VERSION 1\n", "#define GOALLOC_ABI_VERSION 99\n",
         "this module was built for version 99 of goalloc's C API, and the goalloc that is installed "
         "has version 1: build it again with that one"),
        ("    int (*is_ours)(const void *p);\n", "    int (*is_ours)(const void *p);\n    int more;\n",
         "this module needs a newer goalloc than the one that is installed: its C API lacks functions"),
    ],
)  # fmt: skip
def test_a_module_that_does_not_fit_is_an_import_error(tmp_path, line, other, message):
    """Built with the header of another version, as far as that can be known."""
    header = Path(goalloc.get_include(), "goalloc", "goalloc.h").read_text()
    assert header.count(line) == 1
    (tmp_path / "goalloc").mkdir()
    (tmp_path / "goalloc" / "goalloc.h").write_text(header.replace(line, other))
    child = compile_door(tmp_path, tmp_path)
    code = "try: import api_door\nexcept ImportError as error: print(error)"
    assert child.output("-c", code) == message + "\n"


def test_the_capsule_is_one_for_all():
    assert goalloc._C_API is goalloc._C_API
    assert '"goalloc._C_API"' in repr(goalloc._C_API)

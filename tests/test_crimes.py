"""Programs that misuse memory through CPython's own functions, and the exact line each ends with.

What is always caught, in launch and in import mode; what GOALLOC_DEBUG catches besides.  The same
crimes below Python are in tests/c/death_*.c.  docs/security.md says what is not caught.
"""

import re
import textwrap

import pytest
from pychild import LAUNCHABLE, REPLACEABLE

BEGIN = textwrap.dedent(
    """
    import ctypes, threading
    import goalloc
    from goalloc import _core
    def malloc(n, domain="obj"): return _core._domain_malloc(domain, n)
    def realloc(p, n, domain="obj"): return _core._domain_realloc(domain, p, n)
    def free(p, domain="obj"): _core._domain_free(domain, p)
    class Other:
        # Another thread, ready to call something at once: what is new would use freed memory again.
        def __init__(self, function):
            self.go, self.done, self.args = threading.Event(), threading.Event(), []
            self.function = function
            threading.Thread(target=self.run, daemon=True).start()
        def run(self):
            self.go.wait()
            self.function(*self.args)
            self.done.set()
        def __call__(self, *args):
            self.args.extend(args)
            self.go.set()
            self.done.wait()
    other_free, other_memset = Other(free), Other(ctypes.memset)
    goalloc.free_os_memory()
    """
)
SIZES = {"small": 200, "large": 100_000}
MODES = [
    pytest.param("launch", marks=pytest.mark.skipif(not LAUNCHABLE, reason="not in this build")),
    pytest.param("import", marks=pytest.mark.skipif(not REPLACEABLE, reason="not in this build")),
]
FREE = {"raw": "PyMem_RawFree", "mem": "PyMem_Free", "obj": "PyObject_Free"}
REALLOC = {"raw": "PyMem_RawRealloc", "mem": "PyMem_Realloc", "obj": "PyObject_Realloc"}


def die(python, mode, crime, **env):
    """Runs a crime; the one line that it leaves, addresses as 0x."""
    code = ("import goalloc; goalloc.install()\n" if mode == "import" else "") + BEGIN + crime
    command = ["-m", "goalloc", "run", "-c", code] if mode == "launch" else ["-c", code]
    done = python(*command, env=env)
    assert (done.returncode, done.stderr.count("\n")) == (-6, 1), done
    line = re.sub("0x[0-9a-f]+", "0x", done.stderr)
    assert line.startswith("goalloc: fatal: ")
    return line.removeprefix("goalloc: fatal: ").removesuffix("\n")


def place(line):
    """Without what is told of the block, which is another for each size."""
    return re.sub(r" \(block of .*\)$", "", line)


# ---- always ---------------------------------------------------------------------------------------

ALWAYS = {
    "double free": ("p = malloc(N); free(p); free(p)", "double free of 0x"),
    "double free later": (
        "p = malloc(N); q = malloc(N); free(p); free(q); free(p)", "double free of 0x",
    ),
    "double free by another thread": (
        "p = malloc(N); other_free(p); free(p)", "double free of 0x",
    ),
    "double free in another thread": (
        "p = malloc(N); free(p); other_free(p)", "double free of 0x",
    ),
    "double free after scavenging": (
        "ps = [malloc(N) for _ in range(2000)]\nfor p in ps: free(p)\n"
        "goalloc.free_os_memory(); free(ps[1000])", "double free of 0x",
    ),
    "free after realloc": (
        "p, behind = malloc(N), malloc(N); q = realloc(p, 20 * N); free(p)", "double free of 0x",
    ),
    "realloc after free": ("p = malloc(N); free(p); realloc(p, N)", "realloc of freed 0x"),
    "realloc after realloc": (
        "p, behind = malloc(N), malloc(N); q = realloc(p, 20 * N); realloc(p, N)", "realloc of freed 0x",
    ),
    "free of the middle": ("p = malloc(N); free(p + 16)", "free of interior pointer 0x"),
    "realloc of the middle": (
        "p = malloc(N); realloc(p + 16, 5)", "realloc of interior pointer 0x",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("crime", ALWAYS)
def test_always_caught(python, mode, size, crime):
    code, line = ALWAYS[crime]
    assert place(die(python, mode, code.replace("N", str(SIZES[size])))) == line


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("domain", ["raw", "mem"])
def test_caught_in_each_domain(python, mode, domain):
    code = f"p = malloc(200, {domain!r}); free(p, {domain!r}); free(p, {domain!r})"
    assert place(die(python, mode, code)) == "double free of 0x"


@pytest.mark.parametrize("call, function", [("free(p", FREE), ("realloc(p, 9", REALLOC)])
@pytest.mark.parametrize("size", SIZES)
def test_raw_and_python_blocks_mixed_up(python, size, call, function):
    done = "freed" if function is FREE else "reallocated"
    for domain in ("mem", "obj") if LAUNCHABLE else ():
        n = SIZES[size]
        assert die(python, "launch", f"p = malloc({n}, 'raw'); {call}, {domain!r})") == (
            f"raw block 0x {done} by {function[domain]}"
        )
        assert die(python, "launch", f"p = malloc({n}, {domain!r}); {call}, 'raw')") == (
            f"mem or obj block 0x {done} by {function['raw']}"
        )


@pytest.mark.parametrize("mode", MODES)
def test_absurd_sizes_are_out_of_memory(python, mode):
    """For every function of every domain; the block that was to be resized stays as it was."""
    code = """
        def no_memory(function, *args):
            try: function(*args)
            except MemoryError: return
            raise AssertionError(args)
        calls = ctypes.pythonapi
        for prefix in ("PyMem_Raw", "PyMem_", "PyObject_"):
            malloc, calloc, realloc, free = (
                calls[prefix + name] for name in ("Malloc", "Calloc", "Realloc", "Free"))
            for f in (malloc, calloc, realloc): f.restype = ctypes.c_void_p
            size, word = ctypes.c_size_t, ctypes.c_void_p
            p = malloc(size(100))
            for n in (2**63, 2**63 + 1, 2**64 - 1, 2**64 - 4096, 2**63 - 1):
                assert malloc(size(n)) is None
                assert calloc(size(1), size(n)) is None and calloc(size(n), size(1)) is None
                assert realloc(word(p), size(n)) is None
            for n, m in ((2**32, 2**32), (2**33, 2**31), (2**64 - 1, 2**64 - 1), (2**63, 2), (3, 2**63)):
                assert calloc(size(n), size(m)) is None
            free(word(p))
        goalloc.check()
        print("ok")
        """
    code = BEGIN + textwrap.dedent(code)
    for env in ({}, {"GOALLOC_DEBUG": "1"}):
        if mode == "launch":
            assert python.output("-m", "goalloc", "run", "-c", code, env=env) == "ok\n"
        else:
            install = "import goalloc; goalloc.install()\n"
            assert python.output("-c", install + code, env=env) == "ok\n"


# ---- GOALLOC_DEBUG --------------------------------------------------------------------------------

BLOCK = "obj block 0x of N bytes"
DEBUG = {
    "overflow": (
        "p = malloc(N); ctypes.memset(p + N, 0, 1); free(p)",
        f"overflow of {BLOCK} at byte N, found by PyObject_Free",
    ),
    "overflow found by realloc": (
        "p = malloc(N); ctypes.memset(p + N, 0, 1); realloc(p, 5)",
        f"overflow of {BLOCK} at byte N, found by PyObject_Realloc",
    ),
    "overflow by another thread": (
        "p = malloc(N); other_memset(p + N, 0, 1); free(p)",
        f"overflow of {BLOCK} at byte N, found by PyObject_Free",
    ),
    "overflow after realloc": (
        "p = realloc(malloc(10), N); ctypes.memset(p + N, 0, 1); free(p)",
        f"overflow of {BLOCK} at byte N, found by PyObject_Free",
    ),
    "write after free": (
        "p = malloc(N); free(p); ctypes.memset(p + 5, 0, 1)\n"
        "for _ in range(5000): free(malloc(N))",
        f"write after free to {BLOCK} at byte 5, found when it left the ring",
    ),
    "write after realloc": (
        "p = malloc(N); q = realloc(p, 2 * N); ctypes.memset(p + 5, 0, 1)\n"
        "for _ in range(5000): free(malloc(N))",
        f"write after free to {BLOCK} at byte 5, found when it left the ring",
    ),
    "write after free, scavenged": (
        "p = malloc(N); free(p); goalloc.free_os_memory(); ctypes.memset(p + 5, 0, 1)\n"
        "for _ in range(5000): free(malloc(N))",
        f"write after free to {BLOCK} at byte 5, found when it left the ring",
    ),
    "double free": (
        "p = malloc(N); free(p); free(p)",
        "double free of 0x (obj block of N bytes, now by PyObject_Free)",
    ),
    "realloc of freed": (
        "p = malloc(N); free(p); realloc(p, 5)", "realloc of freed 0x (obj block of N bytes)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("crime", DEBUG)
def test_caught_in_a_debugging_run(python, mode, size, crime):
    code, line = DEBUG[crime]
    n = str(SIZES[size])
    got = die(python, mode, code.replace("N", n), GOALLOC_DEBUG="1")
    assert got == line.replace("N", n)


@pytest.mark.parametrize("mode", MODES)
def test_a_check_finds_an_overflow_without_a_free(python, mode):
    code = "p = malloc(200); ctypes.memset(p + 200, 0, 1)\nfor _ in range(9000): free(malloc(99))"
    line = die(python, mode, code, GOALLOC_DEBUG="2000")
    assert line == "overflow of obj block 0x of 200 bytes at byte 200, found by check"


@pytest.mark.parametrize("mode", MODES)
def test_every_mix_up_in_a_debugging_run(python, mode):
    for whose in FREE:
        for called in FREE:
            if whose == called or (mode == "import" and whose == "raw"):
                continue  # in import mode Python's own allocator hands raw blocks out as others
            make = f"p = malloc(200, {whose!r}); "
            line = die(python, mode, make + f"free(p, {called!r})", GOALLOC_DEBUG="1")
            assert line == f"{whose} block 0x freed by {FREE[called]}"
            line = die(python, mode, make + f"realloc(p, 9, {called!r})", GOALLOC_DEBUG="1")
            assert line == f"{whose} block 0x reallocated by {REALLOC[called]}"

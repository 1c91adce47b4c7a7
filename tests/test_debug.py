"""GOALLOC_DEBUG: programs run on as ever, and the functions in CPython's table are the checking ones."""

import sys
import textwrap

import pytest
from pychild import ISOLATED_INTERPRETERS, needs_launch, needs_replaceable

DEBUG = {"GOALLOC_DEBUG": "1"}
WORK = textwrap.dedent(
    """
    import json, threading, re
    def work(rounds=60):
        for i in range(rounds):
            table = {str(n): [n, str(n) * (n % 40)] for n in range(200)}
            assert json.loads(json.dumps(table)) == table
            text = b"".join(bytearray(n) for n in range(0, 4000, 37))
            re.sub(rb"x+", b"y", text)
    threads = [threading.Thread(target=work) for _ in range(3)]
    for t in threads: t.start()
    work()
    for t in threads: t.join()
    """
)


@pytest.mark.parametrize("value", ["1", "5000"])
def test_programs_run_on_as_ever(in_mode, value):
    code = WORK + "import goalloc; goalloc.check(); print('ok')"
    assert in_mode(code, env={"GOALLOC_DEBUG": value}) == "ok\n"


def test_freed_and_fresh_memory_is_filled(in_mode):
    code = """
        import ctypes
        import goalloc
        from goalloc import _core
        for domain in ("raw", "mem", "obj"):
            for n in (1, 100, 5000, 100_000):
                p = _core._domain_malloc(domain, n)
                assert ctypes.string_at(p, n) == b"\\xcd" * n
                assert ctypes.string_at(p + n, 8) == b"\\xfd" * 8
                _core._domain_free(domain, p)
                assert ctypes.string_at(p, n) == b"\\xdd" * n
        print("ok")
        """
    assert in_mode(textwrap.dedent(code), env=DEBUG) == "ok\n"


def test_forks_and_children(in_mode):
    code = WORK + textwrap.dedent(
        """
        import os, warnings
        warnings.simplefilter("ignore")
        background = [threading.Thread(target=work) for _ in range(2)]
        for t in background: t.start()
        for _ in range(10):
            pid = os.fork()
            if pid == 0:
                work(3)
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
        for t in background: t.join()
        print("ok")
        """
    )
    assert in_mode(code, env=DEBUG) == "ok\n"


@needs_replaceable
def test_in_and_out_again(python):
    code = """
        import goalloc
        from goalloc import _core
        blocks = []
        for _ in range(3):
            older = [_core._domain_malloc(d, 700) for d in ("raw", "mem", "obj")]
            goalloc.install()
            newer = [_core._domain_malloc(d, 700) for d in ("raw", "mem", "obj")]
            for d, p in zip(("raw", "mem", "obj"), older):   # pymalloc takes its large blocks from raw
                _core._domain_free(d, _core._domain_realloc(d, p, 3000))
            goalloc.uninstall()
            for d, p in zip(("raw", "mem", "obj"), newer):
                _core._domain_free(d, _core._domain_realloc(d, p, 3000))
            goalloc.check()
        print("ok")
        """
    assert python.output("-c", textwrap.dedent(code), env=DEBUG) == "ok\n"


@needs_launch
def test_below_pythons_own_debug_hooks(python):
    code = WORK + "import goalloc; print(goalloc.mode())"
    done = python("-X", "dev", "-m", "goalloc", "run", "-c", code, env=DEBUG)
    assert (done.returncode, done.stdout, done.stderr) == (0, "launch\n", "")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="interpreters share the GIL before 3.12")
def test_interpreters_with_a_gil_of_their_own(in_mode):
    alone_again = "import goalloc\nfor k in range(5000): str(k)\ngoalloc.check()\n"
    code = ISOLATED_INTERPRETERS + alone_again
    assert in_mode(code, env={"GOALLOC_DEBUG": "3000"}) == "ok\n"

"""Threads of all kinds, fork among them, and every way to end, under goalloc."""

import textwrap

import pytest
from pychild import SANITIZERS, needs_replaceable
from stock import MODES, PROGRAMS

from goalloc.launch import environment

pytestmark = needs_replaceable


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("program", ["threads_queues", "threads_foreign", "fork_threads"])
def test_as_without(programs, program, mode):
    status, _, stderr = programs.same(mode, program)
    assert (status, stderr) == (0, "")


@pytest.mark.parametrize("program", ["threads_queues", "fork_threads"])
def test_as_without_in_the_linear_layout(programs, program):
    programs.same("launch", program, env={"GOALLOC_LAYOUT": "linear"})


ENDS = {
    "normal": 0,
    "os._exit": 7,
    "SystemExit": 1,
    "error": 1,
    "atexit": 0,
    "exec": 0,
    "fork": 0,
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("how", ENDS)
def test_ends_as_without(programs, mode, how):
    ours = programs.ours(mode, "ending", how)
    plain = programs.stock("ending", how)
    assert (ours.returncode, ours.stdout) == (plain.returncode, plain.stdout)
    assert ours.returncode == ENDS[how], ours.stderr
    if "address" in SANITIZERS:
        # It ends stock Python with reports: daemon threads read the state of theirs that is freed.
        return
    # Of an error the frames of installed.py, or those of a thread cut short, may stand before it.
    assert ours.stderr.splitlines()[-1:] == plain.stderr.splitlines()[-1:]


def test_install_and_uninstall_while_others_allocate(python):
    assert python.output(PROGRAMS / "toggling.py") == "done\n"


EMBEDDED = f"""
import sys; sys.path.insert(0, {str(PROGRAMS)!r})
import json, threading, work
thread = threading.Thread(target=work.compress, args=(1,))
thread.start(); thread.join()
print(work.churn(1), json.dumps([1, 2]), flush=True)
"""


@pytest.mark.parametrize("delay", ["1", "0.001", "off"])
def test_python_started_and_ended_again_and_again(python, embedding, delay):
    plain = python(EMBEDDED, executable=embedding)
    assert plain.returncode == 0, plain.stderr
    env = {**environment({}, warn=True, stats=True), "GOALLOC_SCAVENGE_DELAY": delay}
    ours = python(EMBEDDED, executable=embedding, env=env)
    assert (ours.returncode, ours.stdout) == (plain.returncode, plain.stdout), ours.stderr
    assert "heap_alloc" in ours.stderr and "warning" not in ours.stderr
    assert plain.stdout.count("\n") == 4


def test_a_thread_that_ends_gives_its_cache_back(in_mode):
    code = (
        "import goalloc, threading, zlib\n"
        "def work(): zlib.compress(bytes(1000))\n"
        "def turn():\n"
        "    threads = [threading.Thread(target=work) for _ in range(20)]\n"
        "    for t in threads: t.start()\n"
        "    for t in threads: t.join()\n"
        "turn(); before = goalloc.memstats().mcache_inuse\n"
        "for _ in range(20): turn()\n"
        "print(goalloc.memstats().mcache_inuse <= 2 * before)\n"
    )
    assert in_mode(code) == "True\n"


def test_threads_whose_end_cannot_be_seen_share_a_cache(python, builder):
    """Else each leaves one behind."""
    code = """
        import goalloc, threading, zlib
        goalloc.install()
        def turns(n):
            for _ in range(n):
                thread = threading.Thread(target=zlib.compress, args=(bytes(1000),))
                thread.start()
                thread.join()
            return goalloc.memstats().mcache_inuse
        print(turns(5) == turns(50))
        goalloc.check()
    """
    env = {"LD_PRELOAD": str(builder.preloaded("no_thread_end"))}
    assert python.output("-c", textwrap.dedent(code), env=env) == "True\n"


def test_a_fork_waits_for_what_another_thread_loads(in_mode):
    """Its child would wait for that thread for ever, as it does for other modules."""
    code = (
        "import os, signal, sys, threading, time, warnings, goalloc\n"
        "warnings.simplefilter('ignore')\n"  # of a fork among threads
        "begun = threading.Event()\n"
        "class Slow:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.startswith('goalloc.'): begun.set(); time.sleep(0.2)\n"
        "sys.meta_path.insert(0, Slow())\n"
        "thread = threading.Thread(target=goalloc.__getattr__, args=('memory_bill',))\n"
        "thread.start()\n"
        "begun.wait()\n"
        "if (pid := os.fork()) == 0:\n"
        "    signal.alarm(60)\n"
        "    goalloc.memory_bill\n"
        "    os._exit(0)\n"
        "thread.join()\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    assert in_mode(code) == "0\n"

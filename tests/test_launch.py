"""`python -m goalloc run`: a program sees what it sees under a plain python, and has goalloc."""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import venv

import pytest
from pychild import needs_launch

from goalloc.display.text import human
from goalloc.launch import environment, interpreter_options, preload_path

REPORT = textwrap.dedent(
    """
    import json, os, signal, sys
    import __main__
    print(json.dumps({
        "argv": sys.argv,
        "path0": sys.path[0],
        "executable": sys.executable,
        "prefix": sys.prefix,
        "main": {k: repr(v) for k, v in vars(__main__).items()
                 if k in ("__name__", "__file__", "__package__", "__doc__", "__cached__")},
        "spec": getattr(__main__.__spec__, "name", None),
        "flags": str(sys.flags),
        "xoptions": sys._xoptions,
        "warnoptions": sys.warnoptions,
        "stdin": sys.stdin.read() if not sys.stdin.isatty() else None,
        "encoding": [sys.getfilesystemencoding(), sys.stdout.encoding],
        "sigpipe": str(signal.getsignal(signal.SIGPIPE)),
        "environ": {k: v for k, v in os.environ.items()
                    if not k.startswith(("GOALLOC", "LD_PRELOAD", "_"))},
    }))
    """
)
# In a build where it can't be there is a warning, and nothing to compare.
pytestmark = needs_launch

has_mimalloc = pytest.mark.skipif(sys.version_info < (3, 13), reason="no mimalloc in this Python")

MODE = "import goalloc; print(goalloc.mode())"


@pytest.fixture
def script(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "module_here.py").write_text(REPORT)
    path = tmp_path / "folder" / "program.py"
    path.write_text(REPORT)
    return path


def both(python, outer, target, **options):
    """What a program reports under a plain python, and under goalloc."""
    plain = python.output(*outer, *target, **options)
    ours = python.output(*outer, "-m", "goalloc", "run", *target, **options)
    return json.loads(plain), json.loads(ours)


@pytest.mark.parametrize("outer", [[], ["-I"], ["-X", "utf8"], ["-Wd", "-B"], ["-OO", "-Xfrozen_modules=off"]])
@pytest.mark.parametrize("kind", ["script", "module", "code", "stdin"])
def test_a_program_sees_what_it_sees_under_plain_python(python, script, outer, kind):
    if kind == "module" and "-I" in outer:
        pytest.skip("-I has no current folder to find the module in")
    arguments = ["one", "--stats", "-m", "two words", ""]
    target = {
        "script": [script],
        "module": ["-m", "module_here"],
        "code": ["-c", REPORT],
        "stdin": ["-"],
    }[kind]
    plain, ours = both(
        python, outer, [*target, *arguments], input=REPORT if kind == "stdin" else "typed in"
    )
    assert ours == plain


@pytest.mark.parametrize("locale", [{"LANG": "C"}, {"LC_ALL": "C"}, {"LC_ALL": "C.UTF-8"}])
def test_the_locale_is_the_users(python, locale):
    env = {"LANG": "", "LC_ALL": "", "LC_CTYPE": "", **locale}
    env = {k: v for k, v in env.items() if v or k in locale}
    plain, ours = both(python, [], ["-c", REPORT], env=env)
    assert ours == plain


def test_goalloc_is_in_place(python):
    assert python.output("-m", "goalloc", "run", "-c", MODE) == "launch\n"


@pytest.mark.parametrize("status", [0, 1, 2, 77])
def test_exit_status(python, status):
    assert python.run("-c", f"raise SystemExit({status})").returncode == status


def test_an_error_ends_as_under_plain_python(python):
    plain, ours = python("-c", "1 / 0"), python.run("-c", "1 / 0")
    assert (ours.returncode, ours.stderr) == (plain.returncode, plain.stderr)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL", "SIGABRT"])
def test_death_by_signal(python, name):
    code = f"import os, signal; os.kill(os.getpid(), signal.{name})"
    assert python.run("-c", code).returncode == -getattr(signal, name)


def test_signals_reach_the_program(tmp_path):
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGUSR1, lambda *_: sys.exit(33))\n"
        "print('ready', flush=True)\n"
        # Short sleeps: a signal that comes just before one starts is only seen when it ends.
        "while True: time.sleep(0.05)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-m", "goalloc", "run", "-c", code], stdout=subprocess.PIPE, cwd=tmp_path
    ) as child:
        assert child.stdout.readline() == b"ready\n"
        child.send_signal(signal.SIGUSR1)
        assert child.wait(60) == 33


def test_open_stdin_is_passed_on(python):
    code = "import sys; print(sys.stdin.readline(), sys.stdin.read())"
    assert python.output("-m", "goalloc", "run", "-c", code, input="a\nb\n") == "a\n b\n\n"


def test_venv(python, tmp_path):
    """A bare venv, with goalloc to be found by PYTHONPATH, as its python sees it."""
    venv.create(tmp_path / "venv", symlinks=True)
    executable = tmp_path / "venv" / "bin" / "python"
    import goalloc

    env = {"PYTHONPATH": os.path.dirname(goalloc.__path__[0])}
    plain = json.loads(python.output("-c", REPORT, executable=executable, env=env))
    ours = json.loads(
        python.output("-m", "goalloc", "run", "-c", REPORT, executable=executable, env=env)
    )
    assert ours == plain
    assert ours["prefix"] == str(tmp_path / "venv")


# ---- children -----------------------------------------------------------------------------------

CHILDREN = textwrap.dedent(
    """
    import concurrent.futures, goalloc, multiprocessing, subprocess, sys

    def mode(_=None):
        return goalloc.mode()

    if __name__ == "__main__":
        print("self", mode())
        code = "import goalloc; print(goalloc.mode())"
        out = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True).stdout
        print("subprocess", out.strip())
        for method in ("fork", "spawn", "forkserver"):
            context = multiprocessing.get_context(method)
            with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
                print(method, pool.submit(mode).result())
    """
)


@pytest.mark.parametrize("options, others", [([], "launch"), (["--no-children"], "None")])
def test_child_pythons(python, tmp_path, options, others):
    program = tmp_path / "children.py"
    program.write_text(CHILDREN)
    result = python.run(*options, program)
    assert result.returncode == 0, result.stderr
    found = dict(line.split() for line in result.stdout.splitlines())
    assert found == {
        "self": "launch",
        "fork": "launch",
        "subprocess": others,
        "spawn": others,
        "forkserver": others,
    }


def test_no_children_leaves_no_trace_in_the_environment(python):
    code = "import os; print([k for k in os.environ if 'GOALLOC' in k or k == 'LD_PRELOAD'])"
    assert python.output("-m", "goalloc", "run", "--no-children", "-c", code) == "[]\n"


def test_other_preloaded_objects_stay(python, tmp_path):
    """LD_PRELOAD has entries of others: both before and without our own."""
    libm = subprocess.run(
        [sys.executable, "-c", "import math\nprint(open('/proc/self/maps').read())"],
        capture_output=True,
        text=True,
    ).stdout
    other = next(line.split()[-1] for line in libm.splitlines() if "libm" in line)
    code = "import os; print(os.environ['LD_PRELOAD'])"
    env = {"LD_PRELOAD": other}
    with_children = python.output("-m", "goalloc", "run", "-c", code, env=env)
    assert with_children.strip() == f"{other}:{preload_path()}"
    without = python.output("-m", "goalloc", "run", "--no-children", "-c", code, env=env)
    assert without.strip() == other


def test_running_inside_running(python):
    inner = ["-m", "goalloc", "run", "-c", "import os; print(os.environ['LD_PRELOAD'])"]
    code = f"import subprocess, sys; subprocess.run([sys.executable, *{inner!r}])"
    assert python.output("-m", "goalloc", "run", "-c", code).strip() == preload_path()


@pytest.mark.parametrize("command", [["sh", "-c", "echo hello $1; exit 3", "x", "you"], ["true"]])
def test_other_programs_run_untouched(command):
    plain = subprocess.run(command, capture_output=True)
    ours = subprocess.run(command, capture_output=True, env=environment(warn=True, stats=True))
    assert (ours.returncode, ours.stdout, ours.stderr) == (
        plain.returncode,
        plain.stdout,
        plain.stderr,
    )


# ---- statistics ---------------------------------------------------------------------------------


def test_stats_go_to_stderr_once(python):
    code = (
        "import os, subprocess, sys\n"
        "subprocess.run([sys.executable, '-c', 'pass'], check=True)\n"
        "if (pid := os.fork()) == 0: sys.exit(0)\n"
        "os.waitpid(pid, 0)\n"
        "print('done')"
    )
    result = python.run("--stats", "-c", code)
    assert (result.returncode, result.stdout) == (0, "done\n")
    assert result.stderr.count("heap_alloc") == 1
    amounts = re.findall(r"^  [ +=] \w+ +([\d,]+) +(\S+ [KMG]?i?B)  ", result.stderr, re.MULTILINE)
    assert len(amounts) == 13
    for exact, shown in amounts:
        assert shown == human(int(exact.replace(",", "")))


def test_stats_come_when_ctrl_c_ends_the_program(python):
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        pytest.skip("whoever started the tests ignores SIGINT, and so do all children")
    result = python.run("--stats", "-c", "import os, signal; os.kill(os.getpid(), signal.SIGINT)")
    assert result.returncode == -signal.SIGINT
    assert result.stderr.count("heap_alloc") == 1


# ---- where it can't be --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "malloc",
    [
        "malloc",
        "malloc_debug",
        pytest.param("mimalloc", marks=has_mimalloc),
        pytest.param("mimalloc_debug", marks=has_mimalloc),
    ],
)
def test_a_warning_and_the_ordinary_allocator(python, malloc):
    result = python.run("-c", MODE, env={"PYTHONMALLOC": malloc})
    assert (result.returncode, result.stdout) == (0, "None\n")
    (line,) = result.stderr.splitlines()
    assert line == "goalloc: warning: PYTHONMALLOC asks for another allocator than Python's own"


def test_children_do_not_warn_again(python):
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'pass'])"
    result = python.run("-c", code, env={"PYTHONMALLOC": "malloc"})
    assert result.stderr.count("warning") == 1


def test_a_shim_without_its_core_is_silent(python, tmp_path):
    """goalloc was uninstalled, and an old environment still preloads what is left of it."""
    lonely = tmp_path / os.path.basename(preload_path())
    lonely.write_bytes(open(preload_path(), "rb").read())
    assert python.output("-c", "print('fine')", env={"LD_PRELOAD": str(lonely)}) == "fine\n"


def test_a_path_that_ld_preload_cannot_hold(python, tmp_path):
    import shutil

    import goalloc

    folder = tmp_path / "a folder"
    shutil.copytree(goalloc.__path__[0], folder / "goalloc")
    options = ["--profile", "x.pb.gz", "--stats"]
    result = python.run(*options, "-c", "print('fine')", env={"PYTHONPATH": str(folder)})
    assert result.stdout == "fine\n"
    assert result.stderr.startswith("goalloc: warning: LD_PRELOAD cannot hold")
    assert result.stderr.endswith("; no profile is written; there are no statistics\n")


# ---- the pieces ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command, options",
    [
        ("python -m goalloc run x.py", []),
        ("python -mgoalloc run x.py", []),
        ("python -Im goalloc run", ["-I"]),
        ("python -Imgoalloc run", ["-I"]),
        ("python -X utf8 -Xdev -m goalloc run -X no", ["-X", "utf8", "-Xdev"]),
        ("python -W error -Wignore::Foo -B -m goalloc", ["-W", "error", "-Wignore::Foo", "-B"]),
        ("python -BX utf8 -m goalloc", ["-BX", "utf8"]),
        ("python -X m -m goalloc", ["-X", "m"]),
        ("python --check-hash-based-pycs never -s -m goalloc", "--check-hash-based-pycs never -s"),
        ("python -u /bin/goalloc run -u x.py", ["-u"]),
        ("python -u -- /bin/goalloc run", ["-u"]),
        ("python -I -c code -m goalloc", ["-I"]),
        ("python", []),
    ],
)
def test_interpreter_options(command, options):
    if isinstance(options, str):
        options = options.split()
    assert interpreter_options(command.split()) == options


def test_environment_leaves_its_base_alone():
    base = {"A": "1", "GOALLOC_STATS": "1"}
    env = environment(base)
    assert base == {"A": "1", "GOALLOC_STATS": "1"}
    assert env == {"A": "1", "LD_PRELOAD": preload_path()}
    assert environment(env) == env


def test_environment_flags():
    env = environment({}, stats=True, children=False, warn=True)
    assert {k: v for k, v in env.items() if k != "LD_PRELOAD"} == {
        "GOALLOC_STATS": "1",
        "GOALLOC_NO_CHILDREN": "1",
        "GOALLOC_WARN": "1",
    }


@pytest.mark.parametrize(
    "env, warning",
    [
        ({"GOALLOC_LAYOUT": "linear", "GOALLOC_LINEAR_SIZE": "256 MiB"}, ""),
        ({"GOALLOC_LAYOUT": "sparse"}, ""),
        ({"GOALLOC_LAYOUT": "round"}, "goalloc: warning: GOALLOC_LAYOUT is neither"),
        ({"GOALLOC_LINEAR_SIZE": "much"}, "goalloc: warning: GOALLOC_LINEAR_SIZE is not a size"),
    ],
)
def test_layout_by_the_environment(python, env, warning):
    code = "import goalloc; print([a.linear for a in goalloc.arenas()])"
    done = python("-m", "goalloc", "run", "-c", code, env=env)
    linear = env.get("GOALLOC_LAYOUT") == "linear"
    assert done.stdout == f"[{linear}]\n"
    assert done.stderr.startswith(warning) and bool(done.stderr) == bool(warning)

"""Profiles from the command line, written by running programs."""

import py_compile
import signal
import subprocess
import sys
import zipfile

import pytest
from pychild import needs_launch, wait_for

import goalloc
from goalloc import autoprofile

# Every block is sampled, so that the numbers are exact.
RATE_1 = ["--rate", "1"]
WORK = "def work():\n    return [bytes(1000) for _ in range(100)]\nx = work()\n"
WORK_BYTES = 100 * 1152  # of the size class that holds 1000 bytes and the head of the object


def work_in(path):
    """Bytes in use that the function of that name had allocated as elements of its list."""
    return goalloc.read_profile(path).filter(function="work", min_size=1152, max_size=1152).total()


# ---- run --profile: however the program ends ----------------------------------------------------

ENDINGS = {
    "last line": ("", 0),
    "sys.exit": ("import sys; sys.exit(3)", 3),
    "exception": ("1 / 0", 1),
    "SIGTERM": ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
    "SIGTERM while it waits": (
        "import os, signal, threading, time\n"
        "threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()\n"
        "time.sleep(60)",
        -signal.SIGTERM,
    ),
}


@needs_launch
@pytest.mark.parametrize("how", ENDINGS)
def test_written_however_the_program_ends(python, tmp_path, how):
    code, status = ENDINGS[how]
    result = python.run("--profile", "heap.pb.gz", *RATE_1, "-c", WORK + code)
    assert result.returncode == status
    assert ("ZeroDivisionError" in result.stderr) == (how == "exception")
    assert work_in(tmp_path / "heap.pb.gz") == WORK_BYTES
    assert [p.name for p in tmp_path.iterdir()] == ["heap.pb.gz"]


@needs_launch
def test_written_when_ctrl_c_ends_the_program(python, tmp_path):
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        pytest.skip("whoever started the tests ignores SIGINT, and so do all children")
    code = WORK + "import os, signal; os.kill(os.getpid(), signal.SIGINT)"
    assert python.run("--profile", "heap.pb.gz", *RATE_1, "-c", code).returncode == -signal.SIGINT
    assert work_in(tmp_path / "heap.pb.gz") == WORK_BYTES


@needs_launch
@pytest.mark.parametrize("kind", ["script", "module", "stdin"])
def test_every_kind_of_program(python, tmp_path, kind):
    (tmp_path / "program.py").write_text(WORK)
    target = {"script": ["program.py"], "module": ["-m", "program"], "stdin": ["-"]}[kind]
    result = python.run("--profile", "heap.pb.gz", *RATE_1, *target, input=WORK)
    assert (result.returncode, result.stderr) == (0, "")
    assert work_in(tmp_path / "heap.pb.gz") == WORK_BYTES


@needs_launch
def test_the_program_sees_little_of_it(python, tmp_path):
    """The same path, arguments and main module; a goalloc.py of its own is not taken for ours."""
    (tmp_path / "goalloc.py").write_text("raise SystemExit('the wrong one')")
    code = "import sys, __main__; print(sys.argv, sys.path, sorted(vars(__main__)))"
    (tmp_path / "program.py").write_text(code)
    plain = python.output("program.py", "a", "--every")
    # -P, or the wrong one would already be what is started.
    result = python("-P", "-m", "goalloc", "run", "--profile", "x.pb.gz", "program.py", "a",
                    "--every")  # fmt: skip
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == python.output("-P", "program.py", "a", "--every")
    assert plain.startswith("['program.py', 'a', '--every']")
    assert (tmp_path / "x.pb.gz").exists()


@needs_launch
def test_signal_handlers_of_the_program_come_first(python, tmp_path):
    code = (
        "import os, signal\n"
        "former = signal.signal(signal.SIGTERM, lambda *_: print('mine'))\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "former(signal.SIGTERM, None)\n"  # as a handler does that passes on: not the end
        "print('goes on')"
    )
    result = python.run("--profile", "heap.pb.gz", "-c", code)
    assert (result.returncode, result.stdout) == (0, "mine\ngoes on\n")
    ignored = "import os, signal; os.kill(os.getpid(), signal.SIGTERM); print('goes on')"
    command = ["-m", "goalloc", "run", "--profile", "heap.pb.gz", "-c", ignored]
    result = python(*command, preexec_fn=lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN))
    assert (result.returncode, result.stdout) == (0, "goes on\n")


@needs_launch
def test_the_default_rate(python, tmp_path):
    code = "x = [bytes(1 << 20) for _ in range(20)]"
    assert python.run("--profile", "heap.pb.gz", "-c", code).returncode == 0
    profile = goalloc.read_profile(tmp_path / "heap.pb.gz")
    assert profile.rate == 512 * 1024
    assert profile.total() > 10 << 20


@needs_launch
def test_rate_without_a_file(python):
    code = "import goalloc; print(goalloc.profile_rate())"
    assert python.run("--rate", "64KiB", "-c", code).stdout == "65536\n"


@needs_launch
def test_where_the_allocators_stay_it_observes(python, tmp_path):
    result = python.run("--stats", "--profile", "heap.pb.gz", *RATE_1, "-c", WORK, env={"PYTHONMALLOC": "malloc"})
    assert result.returncode == 0
    assert result.stderr == (
        "goalloc: warning: PYTHONMALLOC asks for another allocator than Python's own; "
        "the profile is that of wrap mode; there are no statistics\n"
    )
    profile = goalloc.read_profile(tmp_path / "heap.pb.gz")
    assert profile.filter(function="work").total("alloc_objects") >= 100


@needs_launch
def test_a_file_that_cannot_be_written_is_a_warning(python, tmp_path):
    code = "import os, shutil; shutil.rmtree('sub'); print('done');"
    (tmp_path / "sub").mkdir()
    result = python.run("--profile", "sub/heap.pb.gz", "-c", code + " raise SystemExit(7)")
    assert (result.returncode, result.stdout) == (7, "done\n")
    assert result.stderr.startswith("goalloc: warning: no profile: ")
    assert result.stderr.count("\n") == 1


# ---- while it runs ------------------------------------------------------------------------------


@pytest.fixture
def waiting(tmp_path):
    """waiting(options...) starts a program that works, says so and waits."""
    started = []

    def start(*options):
        code = WORK + "import time\nprint('ready', flush=True)\nwhile True: time.sleep(0.05)"
        command = [sys.executable, "-m", "goalloc", "run", *options, *RATE_1, "-c", code]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path)
        started.append(child)
        assert child.stdout.readline() == "ready\n"
        return child

    yield start
    for child in started:
        child.kill()
        child.wait(60)
        child.stdout.close()


@needs_launch
def test_every_so_often(waiting, tmp_path):
    path = tmp_path / "heap.pb.gz"
    waiting("--profile", "heap.pb.gz", "--every", "100ms")
    for _ in range(3):
        wait_for(path.exists)
        assert work_in(path) == WORK_BYTES
        path.unlink()


@needs_launch
def test_at_a_signal(waiting, tmp_path):
    child = waiting("--profile", "heap.pb.gz", "--signal", "SIGUSR2")
    for number in (1, 2):
        path = tmp_path / f"heap.{number}.pb.gz"
        child.send_signal(signal.SIGUSR2)
        wait_for(path.exists)
        assert work_in(path) == WORK_BYTES
    assert child.poll() is None and not (tmp_path / "heap.pb.gz").exists()
    child.terminate()
    assert child.wait(60) == -signal.SIGTERM
    assert work_in(tmp_path / "heap.pb.gz") == WORK_BYTES


# ---- children -----------------------------------------------------------------------------------

CHILDREN = """
import multiprocessing, os, subprocess, sys, time

def work():
    return [bytes(1000) for _ in range(100)]

def in_child():
    global kept
    kept = work()
    print("child", os.getpid(), flush=True)

if __name__ == "__main__":
    if sys.argv[1] == "subprocess":
        code = "from children import in_child; in_child()"
        subprocess.run([sys.executable, "-c", code], check=True)
    elif sys.argv[1] == "os.fork":
        if os.fork() == 0:
            in_child()
            sys.exit(0)
        os.wait()
    else:
        process = multiprocessing.get_context(sys.argv[1]).Process(target=in_child)
        process.start()
        process.join()
"""


@needs_launch
@pytest.mark.parametrize("every", [[], ["--every", "100ms"]], ids=["at exit", "every"])
@pytest.mark.parametrize("method", ["subprocess", "os.fork", "fork", "spawn", "forkserver"])
def test_every_child_has_its_own_file(python, tmp_path, method, every):
    (tmp_path / "children.py").write_text(CHILDREN)
    result = python.run("--profile", "heap.pb.gz", *every, *RATE_1, "children.py", method)
    assert (result.returncode, result.stderr) == (0, "")
    pid = result.stdout.split()[1]
    assert work_in(tmp_path / f"heap.{pid}.pb.gz") == WORK_BYTES
    assert work_in(tmp_path / "heap.pb.gz") == 0
    # And no other: what multiprocessing starts for itself is not the program.
    assert {p.name for p in tmp_path.glob("*.gz")} == {"heap.pb.gz", f"heap.{pid}.pb.gz"}


@needs_launch
def test_every_and_signal_can_be_off(python, tmp_path):
    code = "import os; print([k for k in os.environ if k in ('GOALLOC_PROFILE_EVERY', 'GOALLOC_PROFILE_SIGNAL')])"
    words = ["--profile", "heap.pb.gz", "--every", "off", "--signal", "off"]
    assert python.run(*words, "-c", code).stdout == "[]\n"
    assert (tmp_path / "heap.pb.gz").exists()


@needs_launch
def test_without_children(python, tmp_path):
    code = "import os, subprocess, sys; subprocess.run([sys.executable, '-c', 'import sys']);"
    code += "print([k for k in os.environ if 'GOALLOC' in k or k == 'LD_PRELOAD'])"
    result = python.run("--profile", "heap.pb.gz", "--no-children", "-c", code)
    assert (result.stdout, result.stderr) == ("[]\n", "")
    assert [p.name for p in tmp_path.iterdir()] == ["heap.pb.gz"]


@needs_launch
def test_the_folder_is_that_of_the_start(python, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    code = "import os; os.chdir('elsewhere')"
    assert python.run("--profile", "heap.pb.gz", "-c", code).returncode == 0
    assert (tmp_path / "heap.pb.gz").exists()


# ---- what would be lost -------------------------------------------------------------------------

RAN = "open('ran', 'w')\n"


@pytest.mark.parametrize(
    "content, words, part",
    [
        (RAN, ["program.py", "runserver"], "program.py is no heap profile, and would be lost"),  # FILE forgotten
        (RAN, ["program.py", "program.py"], "names the program itself"),
        ("", ["program.py", "./program.py"], "names the program itself"),
        ("a,b\n", ["program.py", "-c", RAN], "name another file, such as heap.pb.gz"),
        ("\x1f", ["program.py", "-c", RAN], "is no heap profile"),
    ],
)
def test_what_is_no_profile_is_not_written_over(python, tmp_path, content, words, part):
    (tmp_path / "program.py").write_text(content)
    result = python.run("--profile", *words)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("usage: ") and part in result.stderr
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("program.py", content)]


@needs_launch
def test_a_profile_of_before_and_an_empty_file_are_written_over(python, tmp_path):
    path = tmp_path / "heap.pb.gz"
    for former in (b"", b"\x1f\x8b of before"):
        path.write_bytes(former)
        result = python.run("--profile", "heap.pb.gz", *RATE_1, "-c", WORK)
        assert (result.returncode, result.stderr) == (0, "")
        assert work_in(path) == WORK_BYTES


@pytest.fixture
def targets(tmp_path):
    """Folders and zip files, with a __main__ and without, and a package."""
    for name in ("full", "bare"):
        (tmp_path / name).mkdir()
        file = "__main__.py" if name == "full" else "__init__.py"
        (tmp_path / name / file).write_text(WORK)
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            archive.write(tmp_path / name / file, file)
    (tmp_path / "broken.py").write_text("1 1")


@needs_launch
@pytest.mark.parametrize(
    "target", ["nope.py", "bare", "bare.zip", "-m nope", "-m bare", "-m bare.nope", "-m broken", "-m zlib"]
)
def test_where_there_is_no_program_the_profile_of_before_stays(python, tmp_path, targets, target):
    former = b"\x1f\x8b of before"
    (tmp_path / "heap.pb.gz").write_bytes(former)
    ours, plain = python.run("--profile", "heap.pb.gz", *target.split()), python(*target.split())
    assert (ours.returncode, ours.stderr) == (plain.returncode, plain.stderr) and ours.returncode
    assert [p.read_bytes() for p in tmp_path.glob("heap*")] == [former]


@needs_launch
@pytest.mark.parametrize("target", ["full", "full.zip", "full/__main__.py", "-m full", "full/compiled.pyc"])
def test_all_that_python_runs_has_its_profile(python, tmp_path, targets, target):
    py_compile.compile(tmp_path / "full" / "__main__.py", tmp_path / "full" / "compiled.pyc")
    result = python.run("--profile", "heap.pb.gz", *RATE_1, *target.split())
    assert (result.returncode, result.stderr) == (0, "")
    assert work_in(tmp_path / "heap.pb.gz") == WORK_BYTES


@needs_launch
def test_a_program_that_hides_what_it_was_has_its_profile(python, tmp_path):
    """As runners of other programs do."""
    (tmp_path / "program.py").write_text(
        WORK + "import sys, types\nkept = x, sys.modules['__main__']\n"
        "sys.argv = ['other']\nsys.modules['__main__'] = types.ModuleType('__main__')\n"
        "sys.modules['__main__'].kept = kept"
    )
    for target in (["program.py"], ["-c", "import program"]):
        result = python.run("--profile", "heap.pb.gz", *RATE_1, *target)
        assert (result.returncode, result.stderr) == (0, "")
        assert work_in(tmp_path / "heap.pb.gz") == WORK_BYTES
        (tmp_path / "heap.pb.gz").unlink()


@needs_launch
def test_what_comes_to_be_there_while_it_runs_is_not_written_over(python, tmp_path):
    """By the program, by its child, and under a name with a number."""
    (tmp_path / "heap.1.log").write_text("rotated")
    code = (
        "import os, signal, time\n"
        "from goalloc import autoprofile\n"
        "os.kill(os.getpid(), signal.SIGUSR2)\n"
        "while autoprofile._writer._signalled: time.sleep(0.01)\n"
        "if (pid := os.fork()) == 0:\n"
        "    open(f'heap.{os.getpid()}.log', 'w').write('the child')\n"
        "    raise SystemExit\n"
        "os.waitpid(pid, 0)\n"
        "open('heap.log', 'w').write('the program')\n"
    )
    result = python.run("--profile", "heap.log", "--signal", "SIGUSR2", "-c", code)
    assert result.returncode == 0
    assert sorted(p.read_text() for p in tmp_path.iterdir()) == ["rotated", "the child", "the program"]
    assert result.stderr.count("goalloc: warning: no profile: ") == result.stderr.count("\n") == 2


# ---- what is not well formed --------------------------------------------------------------------


@pytest.mark.parametrize(
    "words, part",
    [
        (["--profile"], "expected one argument"),
        (["--profile", "-c", "pass"], "expected one argument"),
        (["--profile", "nowhere/x", "-c", "pass"], "no such folder"),
        (["--profile", ".", "-c", "pass"], "a folder, not a file"),
        (["--profile", "nowhere/", "-c", "pass"], "a folder, not a file"),
        (["--profile=", "-c", "pass"], "--profile"),
        (["--every", "60s", "-c", "pass"], "--every needs --profile FILE"),
        (["--signal", "USR2", "-c", "pass"], "--signal needs --profile FILE"),
        (["--profile", "x", "--every", "often", "-c", "pass"], "not a time"),
        (["--profile", "x", "--every", "0", "-c", "pass"], "at least"),
        (["--profile", "x", "--every", "nan", "-c", "pass"], "at least"),
        (["--profile", "x", "--every", "99999999999h", "-c", "pass"], "at most ten years"),
        (["--profile", "x", "--every", "-1s", "-c", "pass"], "a time of at least"),
        (["--rate", "-5", "-c", "pass"], "not a rate in bytes such as 64KiB: '-5'"),
        (["--profile", "x", "--signal", "SIGKILL", "-c", "pass"], "SIGKILL has another meaning"),
        (["--profile", "x", "--signal", "SIGNONE", "-c", "pass"], "no signal 'SIGNONE'"),
        (["--rate", "much", "-c", "pass"], "not a rate in bytes"),
    ],
)
def test_bad_options_of_run(python, words, part):
    result = python.run(*words)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("usage: python -m goalloc run") and part in result.stderr
    assert "Traceback" not in result.stderr


@needs_launch
def test_a_run_with_a_profile_does_without_argparse(python):
    options = ["--profile", "x.pb.gz", "--every=5m", "--rate", "64KiB"]
    result = python("-X", "importtime", "-m", "goalloc", "run", *options, "-c", "print('ran')")
    assert (result.returncode, result.stdout) == (0, "ran\n")
    imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert "goalloc.autoprofile" in imported and "argparse" not in imported


@pytest.mark.parametrize(
    "text, seconds", [("60", 60), ("60s", 60), ("1.5m", 90), ("2h", 7200), ("500ms", 0.5)]
)
def test_times(text, seconds):
    assert autoprofile.parse_every(text) == seconds


def test_signals():
    for text in ("SIGUSR2", "USR2", str(int(signal.SIGUSR2))):
        assert autoprofile.parse_signal(text) == signal.SIGUSR2


@pytest.mark.parametrize(
    "path, numbered",
    [
        ("heap.pb.gz", "heap.7.pb.gz"),
        ("/a.b/heap", "/a.b/heap.7"),
        ("my.heap.pprof", "my.heap.7.pprof"),
        ("heap.gz", "heap.7.gz"),
    ],
)
def test_names_with_numbers(path, numbered):
    assert autoprofile.with_number(path, 7) == numbered

"""Real programs under goalloc: the same output and the same exit status as without."""

import importlib.util
import resource

import pytest
from pychild import LAUNCHABLE, needs_launch, needs_replaceable
from stock import MODES, PROGRAMS, outcome

MIB = 1 << 20


@needs_replaceable
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "program, needs",
    [
        pytest.param("stdlib", "ast", marks=pytest.mark.slow),
        ("observed", "tracemalloc"),
        ("frames", "pandas"),
        ("templates", "jinja2"),
    ],
)
def test_as_without(programs, program, needs, mode):
    pytest.importorskip(needs)
    status, _, stderr = programs.same(mode, program)
    assert (status, stderr) == (0, "")


# ---- little memory ------------------------------------------------------------------------------


def limit(nbytes):
    def in_child():
        resource.setrlimit(resource.RLIMIT_AS, (nbytes, nbytes))

    return in_child


@needs_replaceable
@pytest.mark.parametrize("layout", ["sparse", "linear"])
def test_starts_in_200_mib_of_address_space(python, layout):
    code = "import goalloc; print(goalloc.mode())"
    output = python.output(
        "-m",
        "goalloc",
        "run",
        "-c",
        code,
        preexec_fn=limit(200 * MIB),
        env={"GOALLOC_LAYOUT": layout},
    )
    assert output == "launch\n"


@needs_replaceable
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("mib", [200, 400])
def test_memory_errors_come_and_the_program_goes_on(programs, mode, mib):
    status, stdout, stderr = programs.same(
        mode, "poor", mib * MIB, preexec_fn=limit(mib * MIB)
    )
    assert (status, stderr) == (0, "")
    assert "False" not in stdout


# ---- pip ----------------------------------------------------------------------------------------

PROJECT = {
    "pyproject.toml": (
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "small"\nversion = "1.0"\n[project.scripts]\nsmall = "small:main"\n'
        '[tool.setuptools]\npackages = ["small"]\n'
    ),
    "small/__init__.py": "def main():\n    print('small')\n",
    **{f"small/part{n}.py": f"X = {list(range(n))}\n" for n in range(50)},
}


def installed_files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
        and path.suffix != ".pyc"
        and path.name not in ("RECORD", "direct_url.json")
    }


@needs_replaceable
@pytest.mark.slow
def test_pip_installs_the_same_files(python, tmp_path):
    for name in ("pip", "setuptools"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"needs {name}")
    folders = {}
    for way in ("plain", "ours"):
        source = tmp_path / way / "source"
        for name, text in PROJECT.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_text(text)
        folders[way] = tmp_path / way / "target"
        command = ["-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-build-isolation"]
        command += ["--disable-pip-version-check", "--target", folders[way], source]
        result = python(*command) if way == "plain" else python.run(*command)
        assert result.returncode == 0, result.stderr
    ours = installed_files(folders["ours"])
    plain = installed_files(folders["plain"])
    script = ours.pop("bin/small", b"").replace(b"/ours/", b"/plain/")
    assert script == plain.pop("bin/small", b"")
    assert ours == plain and "small/part49.py" in ours


# ---- where goalloc can't be ---------------------------------------------------------------------


def ending(python, outer, env):
    """The outcome of a program under plain python, and under goalloc run."""
    command = [PROGRAMS / "ending.py", "normal"]
    plain = python(*outer, *command, env=env)
    assert plain.stdout
    return outcome(plain), outcome(python(*outer, "-m", "goalloc", "run", *command, env=env))


@pytest.mark.parametrize("malloc", ["malloc", "malloc_debug"])
def test_a_program_with_a_warning(python, malloc):
    """goalloc run says one sentence and the program does what it does without."""
    plain, ours = ending(python, [], {"PYTHONMALLOC": malloc})
    warning, rest = ours[2].split("\n", 1)
    assert warning.startswith("goalloc: warning: ")
    assert (*ours[:2], rest) == plain


@needs_launch
@pytest.mark.parametrize(
    "outer, env",
    [
        (["-X", "dev"], {}),
        ([], {"PYTHONMALLOC": "debug"}),
        ([], {"PYTHONMALLOC": "pymalloc_debug"}),
    ],
)
def test_a_program_below_the_debug_hooks(python, outer, env):
    plain, ours = ending(python, outer, env)
    assert ours == plain


@pytest.mark.skipif(LAUNCHABLE, reason="of free-threaded builds")
def test_a_build_that_goalloc_cannot_replace(programs):
    code = "import goalloc\ntry: goalloc.install('import')\nexcept goalloc.InstallError as e: print(e)"
    (sentence,) = programs.python.output("-c", code).splitlines()
    result = programs.python.run("-c", "print('fine')")
    assert (result.returncode, result.stdout) == (0, "fine\n")
    assert result.stderr == f"goalloc: warning: {sentence}\n"
    assert programs.python.output("-c", "import goalloc; print(goalloc.install())") == "wrap\n"


@needs_replaceable
@pytest.mark.parametrize("mode", MODES)
def test_tracemalloc_from_the_start(programs, mode):
    """Launch mode lies below it; install() comes too late to replace, and wraps."""
    status, _, stderr = programs.same(mode, "observed", env={"PYTHONTRACEMALLOC": "5"})
    assert (status, stderr) == (0, "")

"""`goalloc kernel install`: the kernel's specification, and the kernel itself."""

import json
import re
import sys
from pathlib import Path

import pytest
from pychild import needs_launch

from goalloc.cli import main


@pytest.fixture
def jupyter():
    pytest.importorskip("ipykernel")
    return pytest.importorskip("jupyter_client")


@pytest.fixture
def install(python, tmp_path):
    def run(*options):
        python.output("-m", "goalloc", "kernel", "install", "--prefix", tmp_path, *options)
        (spec,) = tmp_path.glob("share/jupyter/kernels/*/kernel.json")
        return spec

    return run


def test_the_specification(jupyter, install):
    spec = install("--name", "mine", "--display-name", "Mine", "--rate", "64KiB")
    assert spec.parent.name == "mine"
    found = json.loads(spec.read_text())
    assert found["display_name"] == "Mine" and found["language"] == "python"
    assert found["argv"][:6] == [sys.executable, "-m", "goalloc", "run", "--rate", "64KiB"]
    assert found["argv"][6:] == ["-m", "ipykernel_launcher", "-f", "{connection_file}"]
    assert (spec.parent / "logo-64x64.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("words", [["--prefix", ""], ["--name", ""]])
def test_an_empty_name_is_refused(python, tmp_path, words):
    words += ["--prefix", str(tmp_path)] * ("--prefix" not in words)
    done = python("-m", "goalloc", "kernel", "install", *words, env={"HOME": str(tmp_path)})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(f"error: argument {words[0]}: the name is empty\n")


def test_places(jupyter, python, tmp_path):
    home = {"HOME": str(tmp_path), "JUPYTER_DATA_DIR": str(tmp_path / "data")}
    out = python.output("-m", "goalloc", "kernel", "install", "--user", env=home)
    assert out == f"kernel goalloc installed in {tmp_path / 'data' / 'kernels' / 'goalloc'}\n"
    again = python.output("-m", "goalloc", "kernel", "install", env=home)
    assert again == out


@pytest.mark.parametrize("words", [[], ["--name", "other"]])
def test_it_is_removed_as_the_readme_says(jupyter, python, tmp_path, words):
    env = {"HOME": str(tmp_path), "JUPYTER_DATA_DIR": str(tmp_path / "data")}
    python.output("-m", "goalloc", "kernel", "install", *words, env=env)
    (kernel,) = (tmp_path / "data" / "kernels").iterdir()
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    (command,) = re.findall(r"`jupyter kernelspec (remove) (goalloc)`", readme)
    name = words[-1] if words else command[1]
    done = python("-m", "jupyter_client.kernelspecapp", command[0], "-f", name, env=env)
    assert done.returncode == 0 and not kernel.exists(), done


@needs_launch
@pytest.mark.slow
def test_the_kernel_is_launched_and_can_be_interrupted(jupyter, install):
    folder = install().parent
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import KernelManager

    specs = KernelSpecManager()
    specs.kernel_dirs = [str(folder.parent)]
    manager = KernelManager(kernel_name="goalloc", kernel_spec_manager=specs)
    manager.start_kernel(cwd=str(folder))  # where no sources of goalloc are
    client = manager.blocking_client()
    try:
        client.start_channels()
        client.wait_for_ready(timeout=120)
        assert printed(client, "import goalloc; print(goalloc.mode())") == "launch\n"
        client.execute("import time\nprint('ready', flush=True)\nwhile True: time.sleep(0.05)")
        while client.get_iopub_msg(timeout=60)["msg_type"] != "stream":
            pass
        manager.interrupt_kernel()
        reply = client.get_shell_msg(timeout=60)
        assert reply["content"]["ename"] == "KeyboardInterrupt"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def printed(client, code):
    text = []

    def collect(message):
        if message["msg_type"] == "stream":
            text.append(message["content"]["text"])

    reply = client.execute_interactive(code, timeout=60, output_hook=collect)
    assert reply["content"]["status"] == "ok"
    return "".join(text)


@pytest.mark.parametrize("missing", ["ipykernel", "jupyter_client"])
def test_what_is_missing_is_named(missing, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, missing, None)
    assert main(["kernel", "install", "--user"]) == 1
    error = capsys.readouterr().err
    assert error == "goalloc: a kernel needs ipykernel and jupyter_client here: pip install ipykernel\n"


@pytest.mark.parametrize(
    "words",
    [
        ["kernel"],
        ["kernel", "remove"],
        ["kernel", "install", "--user", "--sys-prefix"],
        ["kernel", "install", "--rate", "much"],
    ],
)
def test_bad_arguments(words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("usage: ")


def test_a_place_that_is_none(jupyter, capsys):
    assert main(["kernel", "install", "--prefix", "/proc/nowhere"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("goalloc: /proc/nowhere") and error.count("\n") == 1


def test_a_name_that_is_none(jupyter, tmp_path, capsys):
    words = ["kernel", "install", "--prefix", str(tmp_path), "--name", "a/b"]
    assert main(words) == 2
    assert capsys.readouterr().err.startswith("goalloc: ")

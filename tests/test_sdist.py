"""The sdist holds all that is needed: it is built, unpacked elsewhere, installed and used."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("build")
TOP = Path(__file__).parents[1]


def run(*command, cwd):
    clean = {k: v for k, v in os.environ.items() if k not in ("LD_PRELOAD", "PYTHONPATH")}
    result = subprocess.run(
        [sys.executable, *map(str, command)], cwd=cwd, env=clean, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.slow
def test_sdist_builds_a_wheel_that_works(tmp_path):
    # One build from a copy of what is tracked: the tree itself stays as it was.
    source = tmp_path / "source"
    source.mkdir()
    for name in ("csrc", "goalloc", "tests", "benchmarks"):
        subprocess.run(["cp", "-r", TOP / name, source / name], check=True)
    for file in TOP.iterdir():
        if file.is_file():
            (source / file.name).write_bytes(file.read_bytes())
    run("-m", "build", "--no-isolation", "--outdir", tmp_path / "dist", source, cwd=tmp_path)

    (sdist,) = (tmp_path / "dist").glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    tracked = set()
    for name in ("csrc", "goalloc", "tests", "benchmarks"):
        tracked |= {
            str(p.relative_to(TOP))
            for p in (TOP / name).rglob("*")
            if p.suffix in (".c", ".h", ".py", ".pyi", ".pyx", ".pxd", ".md", ".typed", ".txt")
            and not any(part.startswith((".", "__pycache__", "results")) for part in p.parts)
        }
    assert tracked - packed == set()
    assert {"LICENSE", "CHANGELOG.md", "README.md", "pyproject.toml", "setup.py"} <= packed

    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "site")
    assert not [n for n in names if n.endswith((".pyx", ".c"))]
    assert {"goalloc/py.typed", "goalloc/_core.pyi"} <= set(names)
    assert any(n.startswith("goalloc/include/goalloc/") and n.endswith(".h") for n in names)
    site = f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); import goalloc; "
    assert run("-c", site + "print(goalloc.__file__)", cwd="/").startswith(str(tmp_path))
    assert run("-c", site + "print(goalloc.install())", cwd="/") == "import\n"

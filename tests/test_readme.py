"""Every example of the README and of the guide runs, and shows what it really prints.

A ```python block runs as a script; a ```text block right behind it is its output.  A ```console
block is commands after `$ `, each with its output.  `<!-- numbers vary -->` before a block: numbers,
addresses and paths are compared by their shape only.  A ```sh block is for typing and is not run.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pychild import needs_replaceable

TOP = Path(__file__).resolve().parents[1]
README = TOP / "README.md"
PAGES = [README, TOP / "docs" / "where-did-my-memory-go.md"]
VARY = "<!-- numbers vary -->"
_BLOCK = re.compile(
    r"(?P<vary><!-- numbers vary -->\n)?```(?P<kind>python|console)\n(?P<code>.*?)```\n"
    r"(?:```text\n(?P<output>.*?)```\n)?",
    re.DOTALL,
)
_SHAPES = (
    (r"; [-+]?[\d.,]+ ?([KMG]i)?B? of goalloc's own left out", ""),  # some, on some Pythons
    (r"0x[0-9a-f]+", "0x#"),
    (r"\(/[^)]*\)", "(/#)"),
    (r"[-+]?\d[\d,]*(\.\d+)*", "#"),
    (r"\b([KMG]i)?B\b", "B"),
    (r" +", " "),
)


def shape(text):
    for pattern, name in _SHAPES:
        text = re.sub(pattern, name, text)
    return text


def examples():
    """Every block that has an output, named by its place."""
    return [
        pytest.param(block, id=f"{page.stem}-{text.count(chr(10), 0, block.start()) + 1}")
        for page in PAGES
        for text in [page.read_text()]
        for block in _BLOCK.finditer(text)
    ]


def commands(console):
    """The [command, output] pairs of a console block."""
    pairs = []
    for line in console.splitlines(keepends=True):
        if line.startswith("$ "):
            pairs.append([line[2:], ""])
        else:
            pairs[-1][1] += line
    return pairs


def run(command, folder):
    """What a command prints, stderr in its place; `python` is the one that runs the tests."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("GOALLOC")}
    clean.pop("LD_PRELOAD", None)
    clean.pop("PYTHONMALLOC", None)
    (folder / "bin").mkdir(exist_ok=True)
    python = folder / "bin" / "python"
    if not python.exists():
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        python.chmod(0o755)
    clean["PATH"] = f"{python.parent}:{clean['PATH']}"
    done = subprocess.run(
        command,
        shell=isinstance(command, str),
        cwd=folder,
        env=clean,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@needs_replaceable
@pytest.mark.parametrize("block", examples())
def test_example_prints_what_it_shows(block, tmp_path):
    alike = shape if block["vary"] else str
    if block["kind"] == "console":
        for command, output in commands(block["code"]):
            assert alike(run(command, tmp_path)) == alike(output), command
    else:
        printed = run([sys.executable, "-c", block["code"]], tmp_path)
        assert alike(printed) == alike(block["output"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_example_is_overlooked(page):
    """A fence that the pattern above can't read would go untested."""
    text = page.read_text()
    kinds = re.findall(r"^```(\w*)$", text, re.MULTILINE)
    opened = [kind for kind in kinds if kind in ("python", "console", "text")]
    found = []
    for block in _BLOCK.finditer(text):
        found += [block["kind"], *(["text"] if block["output"] is not None else [])]
    assert opened == found and len(found) > 5
    assert text.count(VARY) == sum(bool(block["vary"]) for block in _BLOCK.finditer(text))


def test_shape_keeps_words_and_drops_numbers():
    assert shape("a 12,345 B at 0xc0de (/x/y 3.11)") == shape("a  7 KiB at 0x1 (/z)")
    assert shape("live 5") != shape("dead 5")


def test_the_readme_has_the_two_commands():
    found = re.findall(r"<!-- command: (\w+) -->\n```sh\n(.*)\n```\n", README.read_text())
    assert [name for name, _ in found] == ["example", "test"]
    for _, command in found:
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install ")


def test_paths_named_in_the_readme_are_there():
    text = README.read_text()
    paths = set(re.findall(r"\]\(([\w./-]+)\)", text)) | set(re.findall(r"examples/\w+\.py", text))
    assert paths and [path for path in paths if not (TOP / path).exists()] == []


def test_the_parsing_example_counts_what_ast_finds(tmp_path):
    (tmp_path / "good.py").write_text("x = 1\n")
    (tmp_path / "bad.py").write_text("x = = 1\n")
    out = run([sys.executable, TOP / "examples" / "parse_stdlib.py", tmp_path], tmp_path)
    first, second, *kinds = out.splitlines()
    assert first == f"1 modules of {tmp_path} parsed; 1 are no valid Python"
    assert second.startswith("5 nodes in ")
    assert sorted(line.split()[1] for line in kinds) == [
        "Assign", "Constant", "Module", "Name", "Store",
    ]  # fmt: skip


def test_the_parsing_example_shows_signs_of_life_at_a_terminal(tmp_path):
    """And only there: run() above has stderr in its output."""
    for n in range(3):
        (tmp_path / f"m{n}.py").write_text("x = 1\n")
    source = (TOP / "examples" / "parse_stdlib.py").read_text()
    assert source.count("STEP = 0.5 ") == 1
    script = tmp_path / "script"
    script.write_text(source.replace("STEP = 0.5 ", "STEP = -1 "))
    inside, outside = os.openpty()
    with os.fdopen(inside, "rb"):
        done = subprocess.run(
            [sys.executable, script, tmp_path], stdout=subprocess.PIPE, stderr=outside, text=True
        )
        os.close(outside)
        shown = os.read(inside, 10_000).decode()
    assert done.stdout.startswith(f"3 modules of {tmp_path} parsed")
    assert shown == "".join(f"\r{n} of 3 modules" for n in range(3)) + "\r\x1b[K"

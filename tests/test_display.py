"""Displays from made-up records: text as a reader sees it."""

import subprocess
import sys

import pytest

from goalloc.display.text import human, table


@pytest.mark.parametrize(
    "n, text",
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1 << 20, "1.0 MiB"),
        (-3 << 20, "-3.0 MiB"),
        (5 << 30, "5.0 GiB"),
    ],
)
def test_human(n, text):
    assert human(n) == text


def test_human_with_a_sign():
    assert human(2048, sign=True) == "+2.0 KiB"
    assert human(-2048, sign=True) == "-2.0 KiB"


def test_table_lines_up():
    text = table(("name", "bytes"), [("a", "1"), ("long name", "1,000,000")], left=1)
    assert text == "name           bytes\na                  1\nlong name  1,000,000"


def test_displays_never_load_the_core():
    """They can be had where only a pickled snapshot is: all they know is the records."""
    code = (
        "import pkgutil, sys, importlib, goalloc.display\n"
        "for m in pkgutil.iter_modules(goalloc.display.__path__, 'goalloc.display.'):\n"
        "    importlib.import_module(m.name)\n"
        "print([m for m in sys.modules if m.startswith('goalloc.') and 'display' not in m])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    loaded = set(result.stdout.strip("[]\n").replace("'", "").split(", "))
    assert loaded <= {"goalloc._records", "goalloc.stats"}, result.stderr

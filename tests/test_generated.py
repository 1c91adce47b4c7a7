"""Generated files are what their generators make, and what they should make."""

import pathlib
import shutil
import subprocess
import sys

TOP = pathlib.Path(__file__).parents[1]
CSRC = TOP / "csrc"
DATA = pathlib.Path(__file__).parent / "data"


def mksizeclass(*args, script=CSRC / "mksizeclass.py"):
    return subprocess.run(
        [sys.executable, script, *args], capture_output=True, text=True, timeout=60
    )


def table_rows(text):
    """The rows of a size class table, as lists of words; the words before them do not count."""
    rows = (line.lstrip(" */").split() for line in text.splitlines())
    return [row for row in rows if row and row[0].isdigit() and row[-1].endswith("%")]


def test_size_class_header_is_up_to_date():
    result = mksizeclass("--check")
    assert result.returncode == 0, result.stdout + result.stderr


def test_size_class_rows_are_those_of_go():
    expected = table_rows((DATA / "sizeclasses_go113.txt").read_text())
    assert len(expected) == 66
    assert table_rows(mksizeclass().stdout) == expected


def test_stale_size_class_header_is_noticed_and_rewritten(tmp_path):
    script = shutil.copy(CSRC / "mksizeclass.py", tmp_path)
    header = tmp_path / "sizeclass_table.h"
    assert mksizeclass("--check", script=script).returncode == 1
    fresh = (CSRC / "sizeclass_table.h").read_text()
    header.write_text(fresh.replace("32768", "32760"))
    assert mksizeclass("--check", script=script).returncode == 1
    assert mksizeclass("--write", script=script).returncode == 0
    assert header.read_text() == fresh

"""The cells of a notebook: their code has the name of a file that nobody knows; readers know a number."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any


def cell_numbers(filenames: Iterable[str]) -> dict[str, int]:
    """Of those files that are cells of the IPython in this process: the number of its last run.

    IPython is asked only where it runs: nothing is imported.
    """
    shell = _shell()
    told = getattr(getattr(shell, "compile", None), "format_code_name", None)
    if told is None:
        return {}
    numbers = {}
    for filename in filenames:
        try:
            label = told(filename)  # ("Cell", "In[3]"), or None for what is no cell
            digits = "".join(filter(str.isdigit, label[1])) if label else ""
        except Exception:  # a shell of another kind
            return {}
        if digits:
            numbers[filename] = int(digits)
    return numbers


def _shell() -> Any:
    module = sys.modules.get("IPython.core.interactiveshell")
    kind = getattr(module, "InteractiveShell", None)
    return kind.instance() if kind is not None and kind.initialized() else None


def shown_file(filename: str, cells: Mapping[str, int]) -> str:
    """As displays have it: `Cell [3]`, or the name of the file."""
    number = cells.get(filename)
    return filename if number is None else f"Cell [{number}]"

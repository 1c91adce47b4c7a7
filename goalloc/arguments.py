"""Arguments of calls: what is wanted, said in one sentence where something else is given."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def whole_number(value: Any, what: str) -> int:
    if isinstance(value, bool) or not hasattr(type(value), "__index__"):
        raise TypeError(f"{what}: {value!r}")
    return int(value.__index__())


def rows(value: Any) -> int | None:
    """How many rows or lines to show; None: all."""
    if value is None:
        return None
    n = whole_number(value, "a number of rows, or None for all")
    if n < 0:
        raise ValueError(f"a number of rows, at least 0: {value!r}")
    return n


def real_number(value: Any, what: str) -> Any:
    """It may be of NumPy, or a fraction."""
    if not hasattr(type(value), "__float__"):
        raise TypeError(f"{what}: {value!r}")
    return value


def yes_or_no(value: Any, what: str) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{what}: {value!r}")
    return value


def text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{what}: {value!r}")
    return value


def path(value: Any) -> str:
    try:
        return os.fsdecode(value)
    except TypeError:
        raise TypeError(f"the name of a file: {value!r}") from None

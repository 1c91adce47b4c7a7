"""Arguments of calls: what is wanted, said in one sentence where something else is given."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


#: What a size given as text may be.
UNITS = "whole numbers, of bytes or with KiB, MiB, GiB or TiB"


def must_be(name: str, what: str, value: Any) -> str:
    """What is wrong with the argument of that name."""
    return f"{name} must be {what}, not {value!r}"


def whole_number(value: Any, name: str, what: str) -> int:
    if isinstance(value, bool) or not hasattr(type(value), "__index__"):
        raise TypeError(must_be(name, what, value))
    return int(value.__index__())


def rows(value: Any, name: str = "n", what: str = "rows") -> int | None:
    """How many rows or lines to show; None: all."""
    if value is None:
        return None
    n = whole_number(value, name, f"a number of {what}, or None for all")
    if n < 0:
        raise ValueError(must_be(name, "at least 0, or None for all", value))
    return n


def rows_of_text(text: str, what: str = "rows") -> int:
    """The same of a command line, for argparse; there is no None."""
    if not text.isdecimal():
        from argparse import ArgumentTypeError

        raise ArgumentTypeError(f"not a number of {what}: {text!r}")
    return int(text)


def levels_of_text(text: str) -> int:
    return rows_of_text(text, "levels")


def is_off(value: Any) -> bool:
    """How what can be off is turned off, besides by its own 0."""
    return value is None or (isinstance(value, str) and value == "off")


def real_number(value: Any, name: str, what: str) -> Any:
    """It may be of NumPy, or a fraction."""
    if isinstance(value, bool) or not hasattr(type(value), "__float__"):
        raise TypeError(must_be(name, what, value))
    return value


def sample_rate(value: Any, name: str = "rate") -> int:
    """Mean bytes between two samples of the heap profile; 0: none.  What is in range the core says."""
    if is_off(value):
        return 0
    if not isinstance(value, str):
        return whole_number(value, name, "a number of bytes, such as 65536 or '64KiB'")
    from ._core import parse_bytes

    try:
        return parse_bytes(value)
    except ValueError:
        raise ValueError(f"not a rate in bytes such as 64KiB: {value!r}; it takes {UNITS}") from None


def yes_or_no(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise TypeError(must_be(name, "True or False", value))
    return value


def text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise TypeError(must_be(name, "text", value))
    return value


def path(value: Any) -> str:
    try:
        return os.fsdecode(value)
    except TypeError:
        raise TypeError(must_be("path", "the name of a file", value)) from None

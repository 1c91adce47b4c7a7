"""Values of a profile as a reader wants them: '1.5 MiB', '+12', 'in use'."""

from __future__ import annotations

from ..display.text import human

_KINDS = {"inuse": "in use", "alloc": "allocated", "peak": "at the peak", "temporary": "temporary"}


def shown(value: int, index: str, sign: bool = False) -> str:
    """A value with its unit: bytes as KiB, MiB, ...; blocks as they are."""
    if index.endswith("space"):
        return human(value, sign)
    return f"{value:+,}" if sign else f"{value:,}"


def described(index: str) -> str:
    """'bytes in use' for 'inuse_space'."""
    kind, _, unit = index.partition("_")
    return f"{'blocks' if unit == 'objects' else 'bytes'} {_KINDS[kind]}"


def sampled(rate: int, mixed: bool = False) -> str:
    """How the numbers came about."""
    if mixed:
        return "of mixed sampling rates"
    if rate == 1:
        return "exact"
    return f"estimated from a sample every {human(rate)}" if rate else "not sampled"


def printable(text: str) -> str:
    """A name as one line without control characters, which a terminal would obey."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)

"""Values of a profile as a reader wants them: '1.5 MiB', '+12', 'in use'."""

from __future__ import annotations

from ..display.text import human

_KINDS = {"inuse": "in use", "alloc": "allocated", "peak": "at the peak", "temporary": "temporary"}


def shown(amount: int, value: str, sign: bool = False) -> str:
    """An amount of a value with its unit: bytes as KiB, MiB, ...; blocks as they are."""
    if value.endswith("space"):
        return human(amount, sign)
    return f"{amount:+,}" if sign else f"{amount:,}"


def described(value: str) -> str:
    """'bytes in use' for 'inuse_space'."""
    kind, _, unit = value.partition("_")
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

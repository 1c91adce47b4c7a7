"""What goalloc says on stderr in a program that is not its own."""

from __future__ import annotations

import sys


def warn(text: object) -> None:
    """One line; none where stderr was closed before Python began: print() would take stdout then."""
    if sys.stderr is not None:
        print(f"goalloc: warning: {text}", file=sys.stderr)

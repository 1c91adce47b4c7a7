"""Standard output, where an error is told under its name: else nobody would know what is full."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager

from . import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, TextIO


class Stdout:
    """For print() and argparse, in the place of sys.stdout; all else is that of the stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with named():
            return self._stream.write(text)

    def flush(self) -> None:
        with named():
            self._stream.flush()


@contextmanager
def named() -> Iterator[None]:
    """Around what writes there: an OSError becomes a CommandError, but for a reader that has gone."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        drop_rest()
        raise CommandError(f"standard output: {error.strerror or error}", status=2) from None


def drop_rest() -> None:
    """What is left in buffers would fail again when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

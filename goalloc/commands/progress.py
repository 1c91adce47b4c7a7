"""A word on stderr, at a terminal, when something takes longer than two seconds."""

from __future__ import annotations

import sys
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from threading import Event

_AFTER = 2.0
_STEP = 1.0


@contextmanager
def progress(what: str) -> Iterator[None]:
    """Shows `what` and the seconds so far, on a line of its own that goes away again."""
    if not sys.stderr.isatty():
        yield
        return
    from threading import Event, Thread

    stop = Event()
    thread = Thread(target=_show, args=(what, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _show(what: str, stop: Event) -> None:
    from time import monotonic

    begin = monotonic()
    if stop.wait(_AFTER):
        return
    while True:
        text = f"{what}, {monotonic() - begin:.0f} s"
        print(f"\r{text}", end="", file=sys.stderr, flush=True)
        if stop.wait(_STEP):
            break
    print(f"\r{' ' * len(text)}\r", end="", file=sys.stderr, flush=True)

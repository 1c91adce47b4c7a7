"""/debug/pprof/: parameters, headers and errors of Go's net/http/pprof."""

from __future__ import annotations

import os
import sys
from threading import BoundedSemaphore

from .messages import BINARY, HTML, TEXT, HTTPError, Response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..profiles import HeapProfile
    from .messages import Request

_DESCRIPTIONS = {
    "allocs": "All blocks ever allocated, as samples",
    "heap": "The blocks in use, as samples; gc=1 collects garbage before",
}
_CMDLINE = "The command line of the program"
#: Longest delta, and how many may run at once: each keeps a thread and a profile.
MAX_SECONDS = 300
MAX_DELTAS = 4

_deltas = BoundedSemaphore(MAX_DELTAS)
_one_at_a_time = BoundedSemaphore(1)


def _renew() -> None:
    """In a forked child: who held them is not there."""
    global _deltas, _one_at_a_time
    _deltas, _one_at_a_time = BoundedSemaphore(MAX_DELTAS), BoundedSemaphore(1)


os.register_at_fork(after_in_child=_renew)


def pprof(name: str, request: Request) -> Response:
    if name == "":
        return Response(200, HTML, _index().encode())
    if name == "cmdline":
        return Response(200, TEXT, "\0".join(sys.orig_argv).encode("utf-8", "surrogateescape"))
    if name not in _DESCRIPTIONS:
        raise _error(404, "Unknown profile")
    if request.parameter("seconds"):
        return _delta(name, request)
    if name == "heap" and request.number("gc") > 0:
        import gc

        gc.collect()
    if request.number("debug"):
        from .gotext import heap_text

        with _one_at_a_time:
            return Response(200, TEXT, heap_text().encode("utf-8", "surrogateescape"))
    return _binary(name, _encode(name, take(), request))


def _error(status: int, text: str) -> HTTPError:
    # `go tool pprof` shows the text of an error that has this header.
    return HTTPError(status, text, ("X-Go-Pprof", "1"))


def _binary(filename: str, data: bytes) -> Response:
    disposition = ("Content-Disposition", f'attachment; filename="{filename}"')
    return Response(200, BINARY, data, (disposition,))


def take() -> HeapProfile:
    from .. import heap_profile

    with _one_at_a_time:
        return heap_profile()


def _encode(name: str, profile: HeapProfile, request: Request, duration_ns: int = 0) -> bytes:
    """With Go's four values, as collectors expect; peak=1: with those of the files of `goalloc run`."""
    from ..profiles.pprof import encode

    peak = request.number("peak") > 0
    # Go leaves it out for heap: pprof then shows the last value, which is inuse_space.
    default = "alloc_space" if name == "allocs" else ""
    return encode(profile, peak=peak, compress=True, default=default, duration_ns=duration_ns)


def _delta(name: str, request: Request) -> Response:
    """What happened within so many seconds."""
    text = request.parameter("seconds")
    seconds = request.number("seconds")
    if seconds <= 0:
        raise _error(400, 'invalid value for "seconds" - must be a positive integer')
    if seconds > MAX_SECONDS:
        raise _error(400, f"{text} seconds are too many: at most {MAX_SECONDS}")
    if request.number("debug"):
        raise _error(400, "seconds and debug params are incompatible")
    if not _deltas.acquire(blocking=False):
        raise _error(503, f"{MAX_DELTAS} deltas are being taken already")
    try:
        before = take()
        if request.wait(seconds):
            raise _error(503, "the server is closing")
        after = take()
    finally:
        _deltas.release()
    duration = after.about.time_ns - before.about.time_ns
    return _binary(f"{name}-delta", _encode(name, after.diff(before), request, duration))


def _index() -> str:
    from html import escape

    rows = "".join(_rows())
    program = escape(" ".join(sys.orig_argv))
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>/debug/pprof/</title>
<style>body {{ font-family: sans-serif; margin: 2em; color-scheme: light dark }}
td {{ padding: .2em 1em .2em 0 }}</style></head><body>
<h1>/debug/pprof/</h1>
<p>Profiles of <code>{program}</code>; <a href="../goalloc/">a page to look at</a>.
Set debug=1 as a query parameter for text, seconds=N for what happens within N seconds.</p>
<table>{rows}</table></body></html>
"""


def _rows() -> Iterator[str]:
    for name, what in _DESCRIPTIONS.items():
        yield (
            f'<tr><td><a href="{name}?debug=1">{name}</a></td><td>{what}</td>'
            f'<td><a href="{name}">download</a></td></tr>'
        )
    yield f'<tr><td><a href="cmdline">cmdline</a></td><td>{_CMDLINE}</td><td></td></tr>'

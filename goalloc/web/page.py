"""/debug/goalloc/: a page that shows the heap and keeps itself up to date.

The page is one document without anything from elsewhere; what it shows it asks for piece by piece,
as the displays of a notebook have it:
    state.json      MemStats and the like, every second
    ledger.html     MemStats and the classes as tables
    arena.html?n=0  the map of an arena
    flame.json      what the flame graph draws; bounded by MOST_NODES there
"""

from __future__ import annotations

import json
import os
import sys

from .messages import HTML, JSON, HTTPError, Response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .messages import Request

#: More spans are not drawn: the page would be larger than anybody can look at.
MAX_SPANS = 200_000


def page(name: str, request: Request) -> Response:
    if name == "":
        return _document()
    if name == "state.json":
        return _json(_state())
    if name == "ledger.html":
        return _fragment(_ledger())
    if name == "arena.html":
        return _fragment(_arena(request.number("n")))
    if name == "flame.json":
        return _json(_flame())
    raise HTTPError(404, "404 page not found")


def _document() -> Response:
    """Scripts run by a number used once, so that no name in the program can be one."""
    from base64 import b64encode

    nonce = b64encode(os.urandom(16)).decode()
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'unsafe-inline'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    text = _source("web", "page.html").replace("{nonce}", nonce)
    for place, package, name in (
        ("{page.css}", "web", "page.css"),
        ("{flamegraph.css}", "profiles", "flamegraph.css"),
        ("{flamegraph.js}", "profiles", "flamegraph.js"),
        ("{page.js}", "web", "page.js"),
    ):
        text = text.replace(place, _source(package, name))
    return Response(200, HTML, text.encode(), (("Content-Security-Policy", policy),))


def _source(package: str, name: str) -> str:
    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    with open(os.path.join(folder, package, name), encoding="utf-8") as file:
        return file.read()


def _json(value: Any) -> Response:
    return Response(200, JSON, json.dumps(value, separators=(",", ":")).encode())


def _fragment(html: str) -> Response:
    # On its own it is a page too, on which no script may run whatever is in it.
    policy = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    body = html.encode("utf-8", "backslashreplace")
    return Response(200, HTML, body, (("Content-Security-Policy", policy),))


def _state() -> dict[str, Any]:
    from time import time

    from .. import __version__, arenas, memstats, mode, profile_rate

    m = memstats().as_dict()
    del m["by_size"]
    return {
        "time": time(),
        "program": " ".join(sys.orig_argv).encode("utf-8", "backslashreplace").decode(),
        "pid": os.getpid(),
        "python": sys.version.split()[0],
        "goalloc": __version__,
        "mode": mode(),
        "rate": profile_rate(),
        "arenas": len(arenas()),
        "memstats": m,
    }


def _ledger() -> str:
    from .. import class_stats, memstats

    return memstats()._repr_html_() + class_stats()._repr_html_()


def _arena(number: int) -> str:
    from .. import class_stats, snapshot

    spans = sum(c.spans or 0 for c in class_stats())
    if spans > MAX_SPANS:
        raise HTTPError(413, f"{spans:,} spans are too many to draw: at most {MAX_SPANS:,}")
    try:
        return snapshot().arena_map(number)._repr_html_()
    except ValueError as why_not:
        raise HTTPError(404, str(why_not)) from None


def _flame() -> dict[str, Any]:
    from .pprof import take

    return take().flamegraph().data()

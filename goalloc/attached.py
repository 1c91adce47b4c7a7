"""What `goalloc attach` has a running process do, in that process."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_server: Any = None


def obey(order: dict[str, Any]) -> None:
    """Carries out the order and writes what came of it, as JSON, to order["answer"].

    Called in the main thread, between two steps of the program: raises nothing.
    """
    import json

    result: dict[str, Any]
    try:
        result = {"lines": _carry_out(order)}
    except Exception as error:
        result = {"error": f"{type(error).__name__}: {error}"}
    answer = order["answer"]
    try:
        with open(f"{answer}.tmp", "w", encoding="utf-8") as file:
            json.dump(result, file)
        os.replace(f"{answer}.tmp", answer)
    except OSError:
        pass  # who asked has gone


def _carry_out(order: dict[str, Any]) -> list[str]:
    """The lines to print."""
    from . import install

    lines = [f"goalloc is in process {os.getpid()} in {install()} mode"]
    if order["rate"] is not None:
        from . import set_profile_rate

        former = set_profile_rate(order["rate"])
        lines.append(f"profile rate {order['rate']} (was {former})")
    if order["profile"]:
        from .autoprofile import start, write

        write(order["profile"])
        lines.append(f"profile written to {order['profile']}")
        if order["every"] or order["signal"]:
            start(order["profile"], every=order["every"], signum=order["signal"])
    if order["serve"]:
        lines.append(f"serving at {_serve(*order['serve'])}")
    return lines


def _serve(host: str, port: int) -> str:
    """The URL; a server from an earlier attach goes on if it is the one that is wanted."""
    global _server
    from . import serve

    if _server is None or _server.closed:
        _server = serve(host, port)
    return str(_server.url)

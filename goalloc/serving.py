"""goalloc.serve(), apart from the server: to look up its name must not load the modules of HTTP."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .web.server import Server


def serve(host: str = "127.0.0.1", port: int = 0) -> Server:
    """Serves the heap of this process by HTTP, in a thread, until it is closed or the process ends.

    host   where it listens; only this machine can reach the default.  There is no password: another
           address gives what runs here, its file names and its memory to all who reach it
    port   0: any free one, which .url tells
    Raises OSError where it can't listen, ValueError for what is no port.
    """
    from .arguments import must_be

    if not isinstance(host, str):
        raise TypeError(must_be("host", "a name or an address", host))
    if not isinstance(port, int):
        raise TypeError(must_be("port", "a number", port))
    if not 0 <= port <= 65535:
        raise ValueError(must_be("port", "from 0 to 65535", port))
    from .web.server import Server

    try:
        return Server(host, port)
    except OSError as error:
        told = f"{error.strerror}: goalloc cannot serve at {host} port {port}"
        raise type(error)(error.errno, told) from None

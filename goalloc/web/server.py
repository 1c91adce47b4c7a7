"""goalloc.serve(): a small HTTP server in a thread of its own.

For one or two people or scrapers at a time: a thread for each connection, a few at once, one request
for each.  At a loopback address it also refuses what a browser was led to by another name (DNS
rebinding): a page from elsewhere must not read the heap of a program on the reader's machine.
"""

from __future__ import annotations

import os
import select
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from threading import BoundedSemaphore, Event, Thread
from weakref import WeakSet

from .adapters import header_list
from .messages import HTTPError, Request
from .routes import answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

_MAX_CONNECTIONS = 16
_READ_TIMEOUT = 10.0  # seconds for a client to say what it wants, and to take it
_GLANCE = 0.5  # seconds between two looks whether it is still there


class Server:
    """A running server: .url, .close(); a context manager."""

    def __init__(self, host: str, port: int) -> None:
        self._http = _HTTPServer((host, port))
        self._thread = Thread(
            target=self._http.serve_forever, name="goalloc-http", daemon=True
        )
        self._thread.start()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that it listens at."""
        host, port, *_ = self._http.server_address
        return str(host), int(port)

    @property
    def url(self) -> str:
        """Where it is, with a slash at the end."""
        host, port = self.address
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/"

    @property
    def closed(self) -> bool:
        return self._http.closing.is_set()

    def close(self) -> None:
        """Ends it; requests that wait are answered with 503.  A second call does nothing."""
        if self.closed:
            return
        self._http.closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<goalloc server at {self.url}{', closed' if self.closed else ''}>"


class _HTTPServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int]) -> None:
        family, *_, found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0]
        self.address_family = family
        self.closing = Event()
        self._places = BoundedSemaphore(_MAX_CONNECTIONS)
        at = str(found[0])
        super().__init__((at, address[1]), _Handler)
        self.is_local = ip_address(at.partition("%")[0]).is_loopback
        _servers.add(self)

    def server_bind(self) -> None:
        """Without the look-up of the host's name in the base class, which may take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away in between are no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _HTTPServer
    timeout = _READ_TIMEOUT

    def do_any(self) -> None:
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, path, query, headers, self._wait)
        if self.server.is_local and not _is_local_name(headers.get("host", "")):
            response = HTTPError(403, "Forbidden: this server goes by localhost only").response()
        else:
            response = answer(request)
        self.send_response(response.status)
        for name, value in header_list(response):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_any

    def _wait(self, seconds: float) -> bool:
        from time import monotonic

        end = monotonic() + seconds
        while (left := end - monotonic()) > 0:
            if self.server.closing.wait(min(left, _GLANCE)) or self._has_gone():
                return True
        return False

    def _has_gone(self) -> bool:
        readable, _, _ = select.select([self.connection], [], [], 0)
        return bool(readable) and self.connection.recv(1, socket.MSG_PEEK) == b""

    def version_string(self) -> str:
        return "goalloc"

    def log_message(self, format: str, *args: Any) -> None:
        """The program's stderr is its own."""


def _is_local_name(host: str) -> bool:
    """Whether a Host header means this machine in itself; the oldest clients send none."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
    name = name.strip("[]").lower()
    if name in ("", "localhost") or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


_servers: WeakSet[_HTTPServer] = WeakSet()


def _after_fork_in_child() -> None:
    """A child has not the threads; it must not hold the port when its parent is gone."""
    for server in list(_servers):
        server.closing.set()
        server.socket.close()
    _servers.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)

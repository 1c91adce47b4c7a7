"""goalloc.serve(): a small HTTP server in threads of its own.

For one or two people or scrapers at a time: a few connections at once, one request for each.  Threads
stay until the server is closed: a profile tells threads apart, so that one for each request would fill
it with names, which all later requests had to write.  At a loopback address it also refuses what a
browser was led to by another name (DNS rebinding): a page from elsewhere must not read the heap of a
program on the reader's machine.
"""

from __future__ import annotations

import io
import os
import select
import socket
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address
from queue import SimpleQueue
from threading import BoundedSemaphore, Event, Semaphore, Thread
from time import monotonic
from weakref import WeakSet

from .adapters import header_list
from .messages import HTTPError, Request
from .routes import answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

_MAX_CONNECTIONS = 16  # and workers
_READ_TIMEOUT = 10.0  # seconds for a client to say what it wants, and again to take it
_GLANCE = 0.5  # seconds between two looks whether it is still there


class Server:
    """A running server: .url, .close(); a context manager."""

    def __init__(self, host: str, port: int) -> None:
        self._http = _HTTPServer((host, port))
        self._thread = Thread(
            target=self._http.serve_until_closed, name="goalloc-http", daemon=True
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
        self._http.socket.shutdown(socket.SHUT_RDWR)  # wakes who waits for a connection
        self._thread.join()
        self._http.server_close()
        self._http.workers.end()

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


class _HTTPServer(HTTPServer):
    request_queue_size = _MAX_CONNECTIONS  # what comes at once finds out at once if it is too much

    def __init__(self, address: tuple[str, int]) -> None:
        family, *_, found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0]
        self.address_family = family
        self.closing = Event()
        self.workers = _Workers(self)
        at = str(found[0])
        super().__init__((at, address[1]), _Handler)
        self.is_local = ip_address(at.partition("%")[0]).is_loopback
        _servers.add(self)

    def server_bind(self) -> None:
        """Without the look-up of the host's name in the base class, which may take seconds."""
        self.socket.settimeout(None)  # whatever the program has for its own
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def serve_until_closed(self) -> None:
        """Not serve_forever(), which looks twice a second only whether it should end."""
        while not self.closing.is_set():
            try:
                connection, client = self.get_request()
            except OSError:  # closed, or the program has no file descriptor to spare
                self.closing.wait(_GLANCE)
                continue
            if not self.workers.take(connection, client):
                self.shutdown_request(connection)


class _Workers:
    """Threads that answer one connection after the other, started as they are needed."""

    def __init__(self, server: _HTTPServer) -> None:
        self._server = server
        self._count = 0
        self._places = BoundedSemaphore(_MAX_CONNECTIONS)
        self._idle = Semaphore(0)
        self._waiting: SimpleQueue[tuple[Any, Any] | None] = SimpleQueue()

    def take(self, connection: Any, client: Any) -> bool:
        """Whether somebody will answer it; for the thread of the server alone."""
        if not self._places.acquire(blocking=False):
            return False
        if not self._idle.acquire(blocking=False) and not self._start():
            self._places.release()
            return False
        self._waiting.put((connection, client))
        return True

    def _start(self) -> bool:
        name = f"goalloc-http-{self._count + 1}"
        try:
            Thread(target=self._work, name=name, daemon=True).start()
        except RuntimeError:  # the system has no more threads, or the program is at its end
            return False
        self._count += 1
        return True

    def _work(self) -> None:
        while (work := self._waiting.get()) is not None:
            # Clients that go away in between are no news.
            with suppress(Exception):
                self._server.finish_request(*work)
            self._server.shutdown_request(work[0])
            # In this order, so that who has a place finds a worker, or may start one.
            self._idle.release()
            self._places.release()

    def end(self) -> None:
        """When no more come: each worker ends after what it does now."""
        for _ in range(self._count):
            self._waiting.put(None)


class _Handler(BaseHTTPRequestHandler):
    server: _HTTPServer
    timeout = _READ_TIMEOUT

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self.rfile = io.BufferedReader(_Reader(self.connection, monotonic() + _READ_TIMEOUT))

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
        end = monotonic() + seconds
        while (left := end - monotonic()) > 0:
            if self.server.closing.wait(min(left, _GLANCE)) or self._has_gone():
                return True
        return False

    def _has_gone(self) -> bool:
        poll = select.poll()  # select() takes only small file descriptors
        poll.register(self.connection, select.POLLIN)
        return bool(poll.poll(0)) and self.connection.recv(1, socket.MSG_PEEK) == b""

    def version_string(self) -> str:
        return "goalloc"

    def log_message(self, format: str, *args: Any) -> None:
        """The program's stderr is its own."""


class _Reader(io.RawIOBase):
    """What a client says until some time: no worker is kept by one that says it byte by byte."""

    def __init__(self, connection: socket.socket, end: float) -> None:
        self._connection = connection
        self._end = end

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._end - monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        try:
            return self._connection.recv_into(buffer)
        finally:
            self._connection.settimeout(_READ_TIMEOUT)


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
        server.closing = Event()  # somebody may have held the lock in the former one
        server.closing.set()
        server.socket.close()
    _servers.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)

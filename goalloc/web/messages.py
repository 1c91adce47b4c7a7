"""Requests and responses, whatever server carries them."""

from __future__ import annotations

from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

TEXT = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"
JSON = "application/json"
BINARY = "application/octet-stream"


class Request(NamedTuple):
    """path is below the mount point; headers by their name in small letters."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    #: Sleeps so many seconds; True: who asked has gone, or the server is closing.
    wait: Callable[[float], bool]

    def parameter(self, name: str) -> str:
        """The first value of a parameter in the query, or ''."""
        from urllib.parse import parse_qs

        return parse_qs(self.query, max_num_fields=100).get(name, [""])[0]

    def number(self, name: str) -> int:
        """As Go reads it: what is no number is 0."""
        text = self.parameter(name)
        digits = text[1:] if text[:1] in ("+", "-") else text
        return int(text) if digits.isdecimal() and digits.isascii() and len(digits) < 19 else 0


class Response(NamedTuple):
    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class HTTPError(Exception):
    """Ends a request with a status and a line of text."""

    def __init__(self, status: int, text: str, *headers: tuple[str, str]) -> None:
        super().__init__(text)
        self.status = status
        self.headers = headers

    def response(self) -> Response:
        return Response(self.status, TEXT, f"{self}\n".encode(), self.headers)

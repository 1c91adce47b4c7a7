"""The routes as a WSGI and as an ASGI app, to be mounted at any path of an application.

Who may reach them is for the application that mounts them to say.
"""

from __future__ import annotations

from .messages import Request, Response
from .routes import answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, MutableMapping
    from typing import Any, TypeAlias

    _Message: TypeAlias = MutableMapping[str, Any]


def header_list(response: Response) -> list[tuple[str, str]]:
    return [
        ("Content-Type", response.content_type),
        ("Content-Length", str(len(response.body))),
        *response.headers,
    ]


def wsgi_app(
    environ: dict[str, Any], start_response: Callable[..., object]
) -> Iterable[bytes]:
    from http import HTTPStatus
    from threading import Event

    # WSGI has paths as bytes in disguise; ours are ASCII.
    request = Request(
        environ["REQUEST_METHOD"],
        environ.get("PATH_INFO", ""),
        environ.get("QUERY_STRING", ""),
        {"accept": environ.get("HTTP_ACCEPT", "")},
        Event().wait,
    )
    response = answer(request)
    phrase = HTTPStatus(response.status).phrase
    start_response(f"{response.status} {phrase}", header_list(response))
    return [] if request.method == "HEAD" else [response.body]


async def asgi_app(
    scope: _Message,
    receive: Callable[[], Awaitable[_Message]],
    send: Callable[[_Message], Awaitable[None]],
) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    if scope["type"] != "http":
        return
    import asyncio
    from threading import Event

    gone = Event()
    request = _asgi_request(scope, gone)
    # In a thread: a profile takes a while, and a delta waits.
    work = asyncio.get_running_loop().run_in_executor(None, answer, request)
    watcher = asyncio.ensure_future(_watch(receive, gone))
    try:
        response = await work
    finally:
        gone.set()
        watcher.cancel()
    headers = [(k.lower().encode(), v.encode()) for k, v in header_list(response)]
    body = b"" if request.method == "HEAD" else response.body
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _asgi_request(scope: _Message, gone: Any) -> Request:
    path, root = scope["path"], scope.get("root_path", "")
    if root and path.startswith(root):
        path = path[len(root) :]
    headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
    query = scope.get("query_string", b"").decode("latin-1")
    return Request(scope["method"], path, query, headers, gone.wait)


async def _watch(receive: Callable[[], Awaitable[_Message]], gone: Any) -> None:
    """Until the client has gone: then nobody wants the delta that it waits for.

    What comes behind the request can only be that; who sends the request once more, as a simple
    test may, would do so for ever.
    """
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            gone.set()
            return
        more = message.get("more_body", False)
    if (await receive())["type"] == "http.disconnect":
        gone.set()


async def _lifespan(
    receive: Callable[[], Awaitable[_Message]], send: Callable[[_Message], Awaitable[None]]
) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return

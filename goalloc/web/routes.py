"""Which path is answered by what; the same for the server and for both kinds of app.

GET and HEAD only, and nothing that is asked for changes the program: gc=1 of /debug/pprof/heap, which
Go has, runs a garbage collection that Python could run at any time by itself.
"""

from __future__ import annotations

from .messages import HTTPError, Response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .messages import Request

_EVERYWHERE = (
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
)
_PPROF = "/debug/pprof/"
_PAGE = "/debug/goalloc/"


def answer(request: Request) -> Response:
    """Never raises: what goes wrong is a status and a line of text."""
    try:
        response = _route(request)
    except HTTPError as error:
        response = error.response()
    except Exception as error:
        response = HTTPError(500, f"{type(error).__name__}: {error}").response()
    return response._replace(headers=response.headers + _EVERYWHERE)


def _route(request: Request) -> Response:
    if request.method not in ("GET", "HEAD"):
        raise HTTPError(405, "Method Not Allowed", ("Allow", "GET, HEAD"))
    path = request.path
    if path.startswith(_PPROF):
        from .pprof import pprof

        return pprof(path.removeprefix(_PPROF), request)
    if path == "/metrics":
        from .metrics import metrics

        return metrics(request)
    if path.startswith(_PAGE):
        from .page import page

        return page(path.removeprefix(_PAGE), request)
    if path in ("/debug/pprof", "/debug/goalloc"):  # relative: we may be mounted anywhere
        raise HTTPError(301, "Moved Permanently", ("Location", path.rpartition("/")[2] + "/"))
    if path in ("", "/"):
        raise HTTPError(302, "Found", ("Location", "debug/goalloc/" if path else "./debug/goalloc/"))
    raise HTTPError(404, "404 page not found")

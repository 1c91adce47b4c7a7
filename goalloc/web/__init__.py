"""The heap by HTTP: a server of its own, and apps to mount in one that is there.

    /debug/pprof/   what `go tool pprof`, Parca and Pyroscope read, as Go's net/http/pprof has it
    /metrics        for Prometheus
    /debug/goalloc/ a page to look at

serve() is the server, wsgi_app and asgi_app are the apps; routes.py answers for all three.  Nothing
can be changed through it, and everything it does is bounded.
"""

from __future__ import annotations

__all__ = ["Server", "asgi_app", "metrics", "serve", "wsgi_app"]

from ..serving import serve
from . import metrics
from .adapters import asgi_app, wsgi_app
from .server import Server

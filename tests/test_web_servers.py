"""What carries the answers: the server and its limits, the WSGI and the ASGI app."""

import asyncio
import socket
import sys
import threading
import time
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest
from pychild import needs_replaceable, wait_for
from webclient import ask, server  # noqa: F401  (server is a fixture)

import goalloc
from goalloc.web import asgi_app, pprof, wsgi_app
from goalloc.web import server as web_server


# ---- the server ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host, allowed",
    [
        ("localhost", True),
        ("localhost:6060", True),
        ("127.0.0.1:6060", True),
        ("127.1.2.3", True),
        ("[::1]:6060", True),
        ("app.localhost", True),
        ("", True),
        ("example.com", False),
        ("localhost.example.com:80", False),
        ("127.0.0.1.example.com", False),
        ("192.168.1.5", False),
    ],
)
def test_names_that_lead_here(server, host, allowed):
    """A page elsewhere could let its own name mean 127.0.0.1, and then read what we answer."""
    assert web_server._is_local_name(host) == allowed
    response, body = ask(server, "/debug/pprof/cmdline", Host=host)
    assert response.status == (200 if allowed else 403)
    assert allowed or sys.orig_argv[0].encode() not in body


def test_no_other_site_may_read(server):
    response, _ = ask(server, "/debug/pprof/", Origin="http://example.com")
    assert response.getheader("Access-Control-Allow-Origin") is None


def test_the_url_and_the_end():
    server = goalloc.serve()
    assert server.url == "http://127.0.0.1:{}/".format(server.address[1])
    assert repr(server) == f"<goalloc server at {server.url}>"
    assert ask(server, "/debug/pprof/cmdline")[0].status == 200
    server.close()
    server.close()
    assert server.closed and repr(server).endswith(", closed>")
    with pytest.raises(OSError):
        ask(server, "/")


def test_ipv6():
    try:
        server = goalloc.serve("::1")
    except OSError:
        pytest.skip("this machine has no IPv6")
    with server:
        assert server.url.startswith("http://[::1]:")
        assert ask(server, "/debug/pprof/cmdline")[0].status == 200


def test_a_port_that_is_taken(server):
    with pytest.raises(OSError):
        goalloc.serve(*server.address)


def test_closing_ends_a_delta_that_waits():
    statuses = []
    server = goalloc.serve()
    asking = threading.Thread(
        target=lambda: statuses.append(ask(server, "/debug/pprof/heap?seconds=300")[0].status)
    )
    asking.start()
    wait_for(lambda: pprof._deltas._value == pprof.MAX_DELTAS - 1)
    server.close()
    asking.join(60)
    assert statuses == [503]


def test_a_client_that_goes_frees_its_place(server):
    with socket.create_connection(server.address) as client:
        client.sendall(b"GET /debug/pprof/heap?seconds=300 HTTP/1.0\r\n\r\n")
        wait_for(lambda: pprof._deltas._value == pprof.MAX_DELTAS - 1)
    wait_for(lambda: pprof._deltas._value == pprof.MAX_DELTAS)


def test_only_so_many_connections():
    with goalloc.serve() as server:
        idle = [socket.create_connection(server.address) for _ in range(web_server._MAX_CONNECTIONS)]
        try:
            wait_for(lambda: server._http.workers._places._value == 0)
            with socket.create_connection(server.address) as refused:
                refused.settimeout(60)
                assert refused.recv(1) == b""
        finally:
            for connection in idle:
                connection.close()
        wait_for(lambda: server._http.workers._places._value == web_server._MAX_CONNECTIONS)
        assert ask(server, "/debug/pprof/cmdline")[0].status == 200


def test_clients_that_never_come_to_an_end_are_cut_off(monkeypatch):
    """Each byte is in time, the request as a whole is not."""
    monkeypatch.setattr(web_server, "_READ_TIMEOUT", 0.2)
    with goalloc.serve() as server, socket.create_connection(server.address) as slow:
        slow.settimeout(0.01)
        given_up_at = time.monotonic() + 60
        while time.monotonic() < given_up_at:
            try:
                slow.sendall(b"x")
                if slow.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        else:
            raise AssertionError("it may go on for ever")


@needs_replaceable
def test_requests_do_not_use_up_the_threads_that_a_profile_tells_apart(python):
    code = """if True:
        import goalloc, threading, urllib.request
        from goalloc.web import server as server_module
        goalloc.set_profile_rate(1)
        goalloc.install()
        def names():
            threads = {s.thread.id: s.thread.name for s in goalloc.heap_profile().samples}
            return list(threads.values())
        def ask(n):
            for _ in range(n):
                urllib.request.urlopen(server.url + "debug/pprof/cmdline").read()
            urllib.request.urlopen(server.url + "debug/pprof/heap").read()
        with goalloc.serve() as server:
            ask(50)
            own = [name for name in names() if name != "MainThread"]
            assert set(own) & {t.name for t in threading.enumerate()}, own
            assert all(name.startswith("goalloc-http") for name in own), own
            askers = [threading.Thread(target=ask, args=(5,), name="asker") for _ in range(4)]
            for asker in askers: asker.start()
            for asker in askers: asker.join()
            busy = [t for t in threading.enumerate() if t.name.startswith("goalloc-http")]
            own = [name for name in names() if name.startswith("goalloc-http")]
            assert len(own) <= len(busy) <= server_module._MAX_CONNECTIONS + 1, (own, busy)
            kept, seen, done = [], threading.Event(), threading.Event()
            def work():
                kept.append(bytes(5000)); seen.set(); done.wait(60)
            user = threading.Thread(target=work, name="of the user")
            user.start(); seen.wait(60)
            assert "of the user" in names()
            done.set(); user.join()
        for thread in busy: thread.join(60)
        print([t.name for t in threading.enumerate()])
    """
    assert python.output("-c", code) == "['MainThread']\n"


def test_a_forked_child_does_not_hold_the_port(python):
    code = """if True:
        import goalloc, os, signal, socket, time
        server = goalloc.serve()
        address = server.address
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
        time.sleep(0.2)
        server.close()
        with socket.socket() as again:
            print(again.connect_ex(address) != 0)
        os.kill(child, signal.SIGKILL)
        os.wait()
    """
    assert python("-W", "ignore", "-c", code).stdout == "True\n"


def test_serving_keeps_no_program_alive(python):
    assert python.output("-c", "import goalloc; goalloc.serve(); print('end')") == "end\n"


# ---- the apps -----------------------------------------------------------------------------------


def wsgi(path, method="GET", prefix="", query=""):
    environ = {"PATH_INFO": path, "SCRIPT_NAME": prefix, "QUERY_STRING": query, "REQUEST_METHOD": method}
    setup_testing_defaults(environ)
    started = []

    def start_response(status, headers, exc_info=None):
        started.append((status, dict(headers)))

    parts = validator(wsgi_app)(environ, start_response)
    body = b"".join(parts)
    parts.close()
    return (*started[0], body)


def test_wsgi():
    status, headers, body = wsgi("/debug/pprof/heap", prefix="/inside")
    assert status == "200 OK"
    assert headers["Content-Disposition"] == 'attachment; filename="heap"'
    assert isinstance(goalloc.HeapProfile.from_pprof(body), goalloc.HeapProfile)
    assert wsgi("/debug/pprof/heap", "POST")[0] == "405 Method Not Allowed"
    assert wsgi("/debug/pprof/", "HEAD")[2] == b""
    assert wsgi("/debug/pprof/heap", query="seconds=x")[0] == "400 Bad Request"


def asgi(path, method="GET", root="", query=b"", gone_after=None, receive=None):
    """(status, headers, body) as an ASGI server would send it; None if nothing was sent."""
    scope = {"type": "http", "method": method, "path": path, "root_path": root,
             "query_string": query, "headers": [(b"accept", b"*/*")]}  # fmt: skip
    sent = []

    async def gone():
        if gone_after is None:
            await asyncio.sleep(3600)
        await asyncio.sleep(gone_after)
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    asyncio.run(asgi_app(scope, receive or gone, send))
    start, end = sent
    headers = {k.decode(): v.decode() for k, v in start["headers"]}
    return start["status"], headers, end["body"]


def test_asgi():
    status, headers, body = asgi("/debug/pprof/heap")
    assert status == 200
    assert headers["content-disposition"] == 'attachment; filename="heap"'
    assert isinstance(goalloc.HeapProfile.from_pprof(body), goalloc.HeapProfile)
    assert asgi("/debug/pprof/heap", "POST")[0] == 405
    assert asgi("/debug/pprof/", "HEAD")[2] == b""


@pytest.mark.parametrize("path", ["/inside/debug/pprof/cmdline", "/debug/pprof/cmdline"])
def test_asgi_below_a_mount_point(path):
    """Servers differ in whether the path still has the mount point in front."""
    assert asgi(path, root="/inside")[0] == 200


def test_asgi_ends_a_delta_when_the_client_goes():
    status, _, _ = asgi("/debug/pprof/heap", query=b"seconds=300", gone_after=0.2)
    assert status == 503


def test_asgi_answers_who_sends_the_request_for_ever():
    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    assert asgi("/debug/pprof/cmdline", receive=receive)[0] == 200


def test_asgi_takes_part_in_the_start_and_end_of_its_server():
    waiting = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent = []

    async def receive():
        return waiting.pop(0)

    async def send(message):
        sent.append(message["type"])

    asyncio.run(asgi_app({"type": "lifespan"}, receive, send))
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]

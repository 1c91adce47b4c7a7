"""The heap by HTTP: paths, headers and limits; the server and both kinds of app; Go's own client."""

import asyncio
import gc
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import weakref
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest
from profiledata import core_profile
from pychild import needs_launch

import goalloc
from goalloc.web import asgi_app, gotext, messages, page, pprof, routes, wsgi_app
from goalloc.web import server as web_server


@pytest.fixture(scope="module")
def server():
    with goalloc.serve() as server:
        yield server


def ask(server, path, method="GET", **headers):
    """(response, body) of one request."""
    connection = http.client.HTTPConnection(*server.address, timeout=60)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


# ---- what net/http/pprof does -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["heap", "allocs"])
def test_a_profile(server, name):
    response, body = ask(server, f"/debug/pprof/{name}")
    assert response.status == 200
    assert response.getheader("Content-Type") == "application/octet-stream"
    assert response.getheader("Content-Disposition") == f'attachment; filename="{name}"'
    assert response.getheader("X-Content-Type-Options") == "nosniff"
    assert int(response.getheader("Content-Length")) == len(body)
    assert body[:2] == b"\x1f\x8b"
    assert isinstance(goalloc.HeapProfile.from_pprof(body), goalloc.HeapProfile)


def test_a_delta(server):
    response, body = ask(server, "/debug/pprof/heap?seconds=1")
    assert response.status == 200
    assert response.getheader("Content-Disposition") == 'attachment; filename="heap-delta"'
    assert goalloc.HeapProfile.from_pprof(body).is_diff


@pytest.mark.parametrize(
    "query, text",
    [
        ("seconds=0", 'invalid value for "seconds" - must be a positive integer'),
        ("seconds=-1", 'invalid value for "seconds" - must be a positive integer'),
        ("seconds=1.5", 'invalid value for "seconds" - must be a positive integer'),
        ("seconds=x", 'invalid value for "seconds" - must be a positive integer'),
        ("seconds=1&debug=1", "seconds and debug params are incompatible"),
        ("seconds=301", "301 seconds are too many: at most 300"),
    ],
)
def test_deltas_that_cannot_be(server, query, text):
    response, body = ask(server, f"/debug/pprof/heap?{query}")
    assert (response.status, body.decode()) == (400, f"{text}\n")
    assert response.getheader("X-Go-Pprof") == "1"
    assert response.getheader("Content-Type") == "text/plain; charset=utf-8"
    assert response.getheader("Content-Disposition") is None


def test_only_so_many_deltas_at_once(server):
    for _ in range(pprof.MAX_DELTAS):
        assert pprof._deltas.acquire(blocking=False)
    try:
        assert ask(server, "/debug/pprof/heap?seconds=1")[0].status == 503
    finally:
        for _ in range(pprof.MAX_DELTAS):
            pprof._deltas.release()


class Cycle:
    def __init__(self):
        self.me = self


@pytest.mark.parametrize("path, collected", [("heap?gc=1", True), ("allocs?gc=1", False), ("heap?gc=0", False)])
def test_gc_collects_before_the_heap(server, path, collected):
    gc.disable()
    try:
        known = weakref.ref(Cycle())
        ask(server, f"/debug/pprof/{path}")
        assert (known() is None) == collected
    finally:
        gc.enable()
        gc.collect()


def test_debug_is_text(server):
    response, body = ask(server, "/debug/pprof/heap?debug=1")
    assert response.getheader("Content-Type") == "text/plain; charset=utf-8"
    assert response.getheader("Content-Disposition") is None
    head, *_ = body.decode().splitlines()
    rate = goalloc.profile_rate()
    assert re.fullmatch(rf"heap profile: \d+: \d+ \[\d+: \d+\] @ heap/{2 * rate}", head)
    stats = re.findall(r"^# (\w+) = (\d+)", body.decode(), re.MULTILINE)
    assert {"Alloc", "TotalAlloc", "Sys", "HeapInuse", "Stack", "NumGC"} <= {n for n, _ in stats}


def test_the_text_of_a_known_profile():
    raw = core_profile(samples=[(3, 4096, 1024, 2, 0, 5, 2, 0), (4, 64, 1024, 0, 0, 7, 7, 0),
                                (3, 4096, 1024, 2, 1, 1, 0, 0)])  # fmt: skip
    raw["rate"] = 1024
    assert "".join(gotext.profile_lines(raw)) == (
        "heap profile: 4: 16384 [13: 25024] @ heap/2048\n"
        "4: 16384 [6: 24576] @ 0x50 0x70\n"
        "#\t0x50\tJSONDecoder.decode+0x5\t/usr/lib/python3.11/json/decoder.py:337\n"
        "#\t0x70\tThread.run+0x19\t/usr/lib/python3.11/threading.py:975\n"
        "\n"
        "0: 0 [7: 448] @ 0x80\n"
        "#\t0x80\t<no Python frame>+0x0\t:0\n"
        "\n"
    )


def test_allocated_is_never_what_is_in_use():
    """pprof would take it for a profile of two columns."""
    raw = core_profile(samples=[(4, 64, 1024, 0, 0, 1, 0, 0)])
    assert next(iter(gotext.profile_lines(raw))).startswith("heap profile: 1: 64 [1: 65] @")


def test_the_index_names_what_there_is(server):
    response, body = ask(server, "/debug/pprof/")
    assert response.getheader("Content-Type") == "text/html; charset=utf-8"
    names = re.findall(r'<a href="(\w+)', body.decode())
    assert {"heap", "allocs", "cmdline"} == set(names)
    for name in names:
        assert ask(server, f"/debug/pprof/{name}")[0].status == 200


def test_the_command_line(server):
    response, body = ask(server, "/debug/pprof/cmdline")
    assert response.getheader("Content-Type") == "text/plain; charset=utf-8"
    assert body.split(b"\0") == [os.fsencode(word) for word in sys.orig_argv]


@pytest.mark.parametrize("name", ["profile", "trace", "goroutine", "heapx", "heap/", "../../etc"])
def test_profiles_that_there_are_not(server, name):
    response, body = ask(server, f"/debug/pprof/{name}")
    assert (response.status, body) == (404, b"Unknown profile\n")
    assert response.getheader("X-Go-Pprof") == "1"


# ---- every path ---------------------------------------------------------------------------------

PATHS = ["/debug/pprof/", "/debug/pprof/heap", "/debug/goalloc/", "/debug/goalloc/state.json"]


@pytest.mark.parametrize("path", PATHS)
def test_head_is_get_without_a_body(server, path):
    response, body = ask(server, path, "HEAD")
    assert (response.status, body) == (200, b"")
    other, _ = ask(server, path)
    assert response.getheader("Content-Type") == other.getheader("Content-Type")


@pytest.mark.parametrize("path", [*PATHS, "/metrics", "/"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_nothing_else_is_allowed(server, path, method):
    response, _ = ask(server, path, method)
    assert response.status == 405
    assert response.getheader("Allow") == "GET, HEAD"


@pytest.mark.parametrize("path", ["/x", "/debug", "/debug/goalloc/x", "/debug/pprofx"])
def test_unknown_paths(server, path):
    assert ask(server, path)[0].status == 404


@pytest.mark.parametrize(
    "path, target",
    [("/", "debug/goalloc/"), ("/debug/pprof", "pprof/"), ("/debug/goalloc", "goalloc/")],
)
def test_redirects_are_relative(server, path, target):
    response, _ = ask(server, path)
    assert response.status in (301, 302)
    assert response.getheader("Location") == target


def test_what_goes_wrong_inside_is_a_line(monkeypatch):
    def broken(name, request):
        raise KeyError("inside")

    monkeypatch.setattr(pprof, "pprof", broken)
    request = messages.Request("GET", "/debug/pprof/heap", "", {}, lambda seconds: False)
    response = routes.answer(request)
    assert (response.status, response.body) == (500, b"KeyError: 'inside'\n")


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
            wait_for(lambda: server._http._places._value == 0)
            with socket.create_connection(server.address) as refused:
                refused.settimeout(60)
                assert refused.recv(1) == b""
        finally:
            for connection in idle:
                connection.close()
        wait_for(lambda: server._http._places._value == web_server._MAX_CONNECTIONS)
        assert ask(server, "/debug/pprof/cmdline")[0].status == 200


def wait_for(condition):
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come about within half a minute")


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


def asgi(path, method="GET", root="", query=b"", gone_after=None):
    """(status, headers, body) as an ASGI server would send it; None if nothing was sent."""
    scope = {"type": "http", "method": method, "path": path, "root_path": root,
             "query_string": query, "headers": [(b"accept", b"*/*")]}  # fmt: skip
    sent = []

    async def receive():
        if gone_after is None:
            await asyncio.sleep(3600)
        await asyncio.sleep(gone_after)
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    asyncio.run(asgi_app(scope, receive, send))
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


def test_asgi_takes_part_in_the_start_and_end_of_its_server():
    waiting = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent = []

    async def receive():
        return waiting.pop(0)

    async def send(message):
        sent.append(message["type"])

    asyncio.run(asgi_app({"type": "lifespan"}, receive, send))
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


# ---- /metrics -----------------------------------------------------------------------------------


def test_metrics_agree_with_memstats(server):
    parser = pytest.importorskip("prometheus_client.parser")
    with goalloc.installed():
        before = goalloc.memstats()
        response, body = ask(server, "/metrics")
        after = goalloc.memstats()
    assert response.getheader("Content-Type").startswith("text/plain")
    families = {f.name: f for f in parser.text_string_to_metric_families(body.decode())}
    value = families["goalloc_memstats_mallocs"].samples[0].value
    assert before.mallocs <= value <= after.mallocs
    assert families["goalloc_memstats_heap_inuse_bytes"].samples[0].value > 0
    (info,) = families["goalloc_info"].samples
    assert info.labels["version"] == goalloc.__version__
    live = families["goalloc_class_live"].samples
    assert len({tuple(s.labels.items()) for s in live}) == len(live) == len(goalloc.class_stats())


def test_metrics_in_the_other_format(server):
    parser = pytest.importorskip("prometheus_client.openmetrics.parser")
    response, body = ask(server, "/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert response.getheader("Content-Type").startswith("application/openmetrics-text")
    names = {f.name for f in parser.text_string_to_metric_families(body.decode())}
    assert "goalloc_memstats_mallocs" in names


def test_metrics_in_a_registry_of_the_program():
    prometheus_client = pytest.importorskip("prometheus_client")
    from goalloc.web.metrics import HeapCollector

    registry = prometheus_client.CollectorRegistry()
    registry.register(HeapCollector())
    assert registry.get_sample_value("goalloc_memstats_sys_bytes") == goalloc.memstats().sys


def test_metrics_in_wrap_mode(python):
    pytest.importorskip("prometheus_client")
    code = (
        "import goalloc; goalloc.install('wrap')\n"
        "from goalloc.web.metrics import HeapCollector\n"
        "print(*(f.name for f in HeapCollector().collect()), sep='\\n')"
    )
    names = python.output("-c", code).split()
    assert "goalloc_memstats_mallocs" in names and "goalloc_class_mallocs" in names
    assert "goalloc_memstats_heap_alloc_bytes" not in names


def test_metrics_without_the_library_say_what_is_missing(server, monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    response, body = ask(server, "/metrics")
    assert response.status == 501
    assert b"pip install 'goalloc[metrics]'" in body


# ---- the page -----------------------------------------------------------------------------------


def test_the_page_needs_nothing_from_elsewhere(server):
    response, body = ask(server, "/debug/goalloc/")
    text = body.decode()
    addresses = set(re.findall(r"https?://[\w./-]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg"}  # the name of a format
    assert re.findall(r"\b(?:src|@import)\b *=?", text) == []
    policy = response.getheader("Content-Security-Policy")
    assert "default-src 'none'" in policy and "connect-src 'self'" in policy
    (nonce,) = re.findall(r"script-src 'nonce-([^']+)'", policy)
    assert re.findall(r"<script[^>]*>", text) == [f'<script nonce="{nonce}">']
    assert nonce not in ask(server, "/debug/goalloc/")[1].decode()


def test_what_the_page_asks_for(server):
    state = json.loads(ask(server, "/debug/goalloc/state.json")[1])
    assert state["pid"] == os.getpid()
    assert set(state["memstats"]) | {"by_size"} == set(goalloc.memstats()._fields)
    flame = json.loads(ask(server, "/debug/goalloc/flame.json")[1])
    assert len(flame["parents"]) == len(flame["groups"]) > 0
    with goalloc.installed():
        response, html = ask(server, "/debug/goalloc/arena.html?n=0")
        assert response.status == 200 and b"<svg" in html
        assert b"<table" in ask(server, "/debug/goalloc/snapshot.html")[1]
    assert ask(server, "/debug/goalloc/arena.html?n=9999")[0].status == 404


def test_parts_of_the_page_run_no_script_on_their_own(server):
    response, _ = ask(server, "/debug/goalloc/snapshot.html")
    assert "sandbox" in response.getheader("Content-Security-Policy")


def test_a_map_that_is_too_large_is_refused(server, monkeypatch):
    monkeypatch.setattr(page, "MAX_SPANS", 0)
    with goalloc.installed():
        response, body = ask(server, "/debug/goalloc/arena.html")
    assert response.status == 413 and b"too many to draw" in body


# ---- from outside: a program at work, go tool pprof, a browser ------------------------------------

PROGRAM = """
import goalloc, sys
goalloc.set_profile_rate(1)
def before():
    return [bytes(1000) for _ in range(500)]
def grow():
    return [bytes(3000) for _ in range(200)]
kept = [before()]
with goalloc.serve() as server:
    print(server.url, flush=True)
    for line in sys.stdin:
        kept.append(grow())
"""
BEFORE_BYTES, GROW_BYTES = 500 * 1152, 200 * 3072


@pytest.fixture
def program(tmp_path):
    """A launched program that serves its heap; a line to its stdin lets it grow()."""
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    # What looks like markup must stay text, wherever it is shown.
    command = [sys.executable, "-m", "goalloc", "run", path, "<img src=x onerror=alert(1)>"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path
    ) as child:
        child.url = child.stdout.readline().strip()
        yield child
        child.stdin.close()
        assert child.wait(60) == 0


@needs_launch
def test_a_delta_is_what_happened_meanwhile(program):
    import urllib.request

    deltas = []

    def take():
        with urllib.request.urlopen(f"{program.url}debug/pprof/heap?seconds=3", timeout=60) as body:
            deltas.append(goalloc.HeapProfile.from_pprof(body.read()))

    asking = threading.Thread(target=take)
    asking.start()
    time.sleep(1)
    program.stdin.write("\n")
    program.stdin.flush()
    asking.join(60)
    (delta,) = deltas
    assert delta.filter(function="grow", min_size=3072, max_size=3072).total() == GROW_BYTES
    assert delta.filter(function="before").total() == 0


@pytest.fixture
def go_pprof(tmp_path):
    go = shutil.which("go")
    if go is None:
        pytest.skip("there is no go")

    def run(*args):
        env = {**os.environ, "PPROF_TMPDIR": str(tmp_path), "GOFLAGS": "", "HOME": str(tmp_path)}
        command = [go, "tool", "pprof", *args]
        return subprocess.run(command, capture_output=True, text=True, env=env, timeout=120)

    return run


@needs_launch
def test_go_tool_pprof_reads_it(program, go_pprof):
    done = go_pprof("-top", "-unit=B", f"{program.url}debug/pprof/heap")
    assert done.returncode == 0, done.stderr
    assert "Type: inuse_space" in done.stdout
    rows = {line.split()[-1]: line.split() for line in done.stdout.splitlines() if "%" in line}
    own = int(rows["__main__.before" if "__main__.before" in rows else "program.before"][0][:-1])
    assert BEFORE_BYTES <= own < BEFORE_BYTES + 50_000  # the list itself grows a few times
    done = go_pprof("-top", f"{program.url}debug/pprof/allocs")
    assert "Type: alloc_space" in done.stdout


@needs_launch
def test_go_tool_pprof_takes_a_delta_and_shows_our_errors(program, go_pprof):
    done = go_pprof("-raw", "-seconds=1", "-timeout=60", f"{program.url}debug/pprof/heap")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^Duration: [1-9]", done.stdout, re.MULTILINE)
    done = go_pprof("-top", f"{program.url}debug/pprof/none")
    assert done.returncode != 0 and "Unknown profile" in done.stderr


@needs_launch
@pytest.mark.slow
def test_the_page_in_a_browser(program, browser, tmp_path):
    tab = browser.new_page(viewport={"width": 1200, "height": 900})
    wrong, asked = [], []
    tab.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(program.url)
    tab.wait_for_selector("#arena-map svg")
    tab.wait_for_selector("#time path", state="attached")
    assert "<img src=x onerror=alert(1)>" in tab.inner_text("#about")

    # The flame graph can be zoomed, and stays so when newer data come in.
    tab.select_option("#interval", "0")  # not while we click
    tab.locator("#flame g[aria-label*='.before,']").click()
    tab.wait_for_function("document.querySelector('#flame').innerText.includes('before: ')")
    tab.evaluate("document.activeElement.blur()")
    program.stdin.write("\n")
    program.stdin.flush()
    tab.select_option("#interval", "2")
    old = tab.query_selector("#flame > div")
    old.evaluate("div => { div.dataset.old = 1; }")
    tab.wait_for_selector("#flame > div:not([data-old])")
    assert "before: " in tab.inner_text("#flame")
    tab.click("#flame button:has-text('whole')")
    tab.evaluate("document.activeElement.blur()")
    tab.wait_for_function(
        "[...document.querySelectorAll('#flame g')].some(g => g.ariaLabel.includes('.grow'))"
    )
    tab.screenshot(path=str(tmp_path / "page.png"), full_page=True)
    assert wrong == []
    assert all(url.startswith(program.url) for url in asked)


@needs_launch
@pytest.mark.slow
def test_the_page_says_when_the_program_is_gone(program, browser):
    tab = browser.new_page()
    tab.goto(program.url)
    tab.wait_for_selector("#time path", state="attached")
    program.stdin.close()
    program.wait(60)
    tab.wait_for_selector("#problem:not([hidden])")
    assert "does not answer" in tab.inner_text("#problem")

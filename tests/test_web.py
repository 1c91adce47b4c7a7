"""What is answered by HTTP: Go's paths and parameters, metrics, the parts of the page."""

import gc
import json
import os
import re
import sys
import weakref

import pytest
from pychild import needs_replaceable
from profiledata import core_profile
from webclient import ask, server  # noqa: F401  (a fixture)

import goalloc
from goalloc.web import gotext, messages, page, pprof, routes


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


@pytest.mark.parametrize(
    "query, peak",
    [("heap?peak=1", True), ("heap?peak=0", False), ("allocs?peak=1", True), ("heap?seconds=1&peak=1", True)],
)
def test_values_at_the_peak_come_on_demand(server, query, peak):
    _, body = ask(server, f"/debug/pprof/{query}")
    assert goalloc.HeapProfile.from_pprof(body).about.has_peak == peak


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


# ---- /metrics -----------------------------------------------------------------------------------


@needs_replaceable
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


@needs_replaceable
def test_what_the_page_asks_for(server):
    state = json.loads(ask(server, "/debug/goalloc/state.json")[1])
    assert state["pid"] == os.getpid()
    assert set(state["memstats"]) | {"by_size"} == set(goalloc.memstats()._fields)
    flame = json.loads(ask(server, "/debug/goalloc/flame.json")[1])
    assert len(flame["parents"]) == len(flame["groups"]) > 0
    with goalloc.installed():
        response, html = ask(server, "/debug/goalloc/arena.html?n=0")
        assert response.status == 200 and b"<svg" in html
        assert b"<table" in ask(server, "/debug/goalloc/ledger.html")[1]
    assert ask(server, "/debug/goalloc/arena.html?n=9999")[0].status == 404


def test_parts_of_the_page_run_no_script_on_their_own(server):
    response, _ = ask(server, "/debug/goalloc/ledger.html")
    assert "sandbox" in response.getheader("Content-Security-Policy")


@needs_replaceable
def test_a_map_that_is_too_large_is_refused(server, monkeypatch):
    monkeypatch.setattr(page, "MAX_SPANS", 0)
    with goalloc.installed():
        response, body = ask(server, "/debug/goalloc/arena.html")
    assert response.status == 413 and b"too many to draw" in body

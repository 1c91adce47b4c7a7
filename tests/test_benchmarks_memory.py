"""The memory benchmarks run, write what readers expect, and draw; no sizes or times are judged."""

import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from benchrun import run

pytestmark = pytest.mark.usefixtures("bench_modules")

MIB = 1 << 20


def measure(script: str, file: Path, *args: str) -> dict:
    done = run(script, "--quick", "--contenders", "goalloc", "--json", str(file), *args)
    assert done.returncode == 0, done.stderr
    result = json.loads(file.read_text())
    for row in result["rows"]:
        assert row["failure"] is None and row["value"] > 0 and row["ratio"] > 0
    assert {row["contender"] for row in result["rows"]} == {"stock", "goalloc"}
    for curve in result["curves"].values():
        assert len(curve) > 1 and min(size for _, size in curve) > 1
    return result


def cells(result: dict, contender: str) -> dict:
    rows = [row for row in result["rows"] if row["contender"] == contender]
    return {(row["pattern"], row["size"]): row["value"] for row in rows}


def test_scenarios_are_measured_one_after_the_other(tmp_path):
    result = measure("run_rss.py", tmp_path / "rss-1.json", "--rounds", "2")
    assert all(len(row["values"]) == 2 for row in result["rows"])
    for contender in ("stock", "goalloc"):
        found = cells(result, contender)
        idle = [size for table, size in found if table == "idle"]
        assert idle == ["start", "A", "B", "C", "D"]
        highest = found["peak", "all"]
        assert all(size <= highest + 1 for size in found.values())


def test_scenarios_leave_what_they_say():
    import rss_a_freed
    import rss_b_kept
    import rss_c_threads
    import rss_d_grown

    assert rss_a_freed.run(0.001) is None
    kept = rss_b_kept.run(0.01)
    assert len(kept) == 0.01 * rss_a_freed.COUNT / 100
    assert all(len(record["data"]) <= 640 for record in kept)
    assert rss_c_threads.run(0.001) is None
    assert len(rss_d_grown.run(0.01)) == 400_000


def test_a_service_is_measured_and_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    file, picture = tmp_path / "service-1.json", tmp_path / "service.svg"
    result = measure("run_service.py", file)
    found = cells(result, "goalloc")
    assert found["memory", "mean MiB"] <= found["memory", "peak MiB"]
    assert found["speed", "median ms"] <= found["speed", "p99 ms"]
    done = run("plot_service.py", "--json", str(file), "--output", str(picture))
    assert done.returncode == 0, done.stderr
    drawn = picture.read_text()
    assert "stock Python" in drawn and "goalloc" in drawn and len(drawn) < 100_000
    run("plot_service.py", "--json", str(file), "--output", str(picture))
    assert picture.read_text() == drawn


def test_every_kind_of_request_does_its_work():
    import random

    import service

    rng, store = random.Random(1), service.Store()
    requests = [service.draw(rng, 0.0) for _ in range(100)]
    for kind, handler in service._HANDLERS.items():
        answers = [handler(store, request) for request in requests if request.kind == kind]
        assert answers and all(answers)
    before = len(store._sessions)
    stays = [user for user in store._sessions if user % service._STAYS == 0]
    for session in store._sessions.values():
        session["seen"] -= 2 * service._SESSION_LIFE
    store.keep_house()
    assert before > len(store._sessions) and sorted(store._sessions) == sorted(stays)


def test_a_failing_request_fails_the_service(monkeypatch):
    import service

    def fail(store, request):
        raise ZeroDivisionError

    monkeypatch.setitem(service._HANDLERS, "page", fail)
    running = service.Service()
    running.submit(service.Request(0.0, "page", 4000, 1, b""), [])
    try:
        with pytest.raises(ZeroDivisionError):
            running.drain()
    finally:
        running.stop()


def test_watching_sees_memory_come_and_go(tmp_path):
    import watch

    script = (
        "import json, time\n"
        "block = b'x' * (64 << 20); begin = time.monotonic(); time.sleep(0.3)\n"
        "end = time.monotonic(); del block; time.sleep(0.3)\n"
        "print('noise'); print(json.dumps([begin, end]))"
    )
    watched = watch.watch([sys.executable, "-c", script], {}, tmp_path, 0.01)
    begin, end = watched.answer
    high = watched.between(begin, end)
    low = watched.between(end + 0.15, time.monotonic())
    assert watch.peak(high) - watch.peak(low) > 50


def test_a_process_that_fails_says_why(tmp_path):
    import watch
    from interpreter import ChildFailed

    with pytest.raises(ChildFailed, match="exit status 1: no such allocator"):
        watch.watch([sys.executable, "-c", "exit('no such allocator')"], {}, tmp_path, 0.01)


def test_the_mean_is_over_time():
    from watch import Sample, curve, mean, peak

    samples = [Sample(0.0, 10 * MIB), Sample(1.0, 40 * MIB), Sample(4.0, 0)]
    assert mean(samples) == (1 * 10 + 3 * 40) / 4
    assert peak(samples) == 40
    assert curve(samples, 2) == [[1.0, 25.0], [3.0, 0.0]]
    assert mean(samples[:1]) == 10


def test_jemalloc_is_measured_as_it_gives_back_best(monkeypatch):
    import memory
    from contenders import Contender

    found = [Contender("stock"), Contender("goalloc", {"LD_PRELOAD": "x"}), Contender("jemalloc")]
    monkeypatch.setattr(memory, "available", lambda python: [*found, Contender("glibc")])
    options = SimpleNamespace(contenders=None, goalloc_env=["GOALLOC_SCAVENGE_DELAY=2"])
    chosen = {c.name: c for c in memory.contenders(SimpleNamespace(path="p"), options, "")}
    assert list(chosen) == ["stock", "goalloc", "jemalloc", "jemalloc-decay"]
    assert chosen["goalloc"].env == {"LD_PRELOAD": "x", "GOALLOC_SCAVENGE_DELAY": "2"}
    assert "background_thread:true" in chosen["jemalloc-decay"].env["MALLOC_CONF"]
    options.contenders = ["nonesuch"]
    with pytest.raises(LookupError, match="nonesuch"):
        memory.contenders(SimpleNamespace(path="p"), options, "")


@pytest.mark.parametrize("script", ["run_rss.py", "run_service.py"])
def test_unknown_contender_is_refused(script):
    done = run(script, "--quick", "--contenders", "nonesuch")
    assert done.returncode == 2
    assert "nonesuch" in done.stderr and "stock" in done.stderr

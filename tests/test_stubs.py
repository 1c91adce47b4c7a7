"""The types: what the stubs say is what is there, and the package passes mypy --strict."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")
TOP = Path(__file__).parents[1]

EXAMPLE = """
import goalloc
from typing import Any, assert_type

with goalloc.Heap("linear") as heap:
    p = heap.malloc(100, noscan=True, align=16)
    assert_type(p, int)
    assert_type(heap.memstats().mallocs, int)
    assert_type(heap.memstats().heap_alloc, int | Any)  # None in wrap mode
    assert_type(heap.memstats().by_size[3].mallocs, int)
    assert_type(heap.spans("in_use")[0].live_addresses(), list[int])
    assert_type(heap.snapshot().diff(heap.snapshot()).memstats.sys, int | Any)
assert_type(goalloc.size_class_of(100).max_waste, float)
assert_type(goalloc.size_classes()[3], goalloc.SizeClass)
assert_type(goalloc.memory_bill().lines(), list[tuple[int, str, int]])
with goalloc.installed():
    assert_type(goalloc.class_stats()[0].occupancy, float | Any)
span = goalloc.span_of(p)
if span is not None:
    assert_type(span.state, str)
sorted(goalloc.arenas())
profile = goalloc.heap_profile()
assert_type(profile, goalloc.HeapProfile)
assert_type(profile.diff(profile).merge([profile]).filter(thread=1, domain="obj").total(), int)
assert_type(profile.samples[0].stack[0].line, int)
assert_type(profile.top(3, by="line")[0].flat, int)
assert_type(profile.top(by="thread")[0].cum, int)
assert_type([node.name for node in profile.tree().root], list[str])
assert_type(goalloc.set_profile_rate("64KiB"), int)
@goalloc.profile(rate=1)
def twice(n: int) -> int:
    return 2 * n
assert_type(twice(3), int)
goalloc.read_profile("heap.pb.gz").write_pprof("copy.pb.gz", peak=True)
app = goalloc.web.asgi_app
with goalloc.web.serve(port=6060) as server:
    assert_type(server, goalloc.web.Server)
"""
WRONG = """
import goalloc
goalloc.Heap("round")
goalloc.Heap().malloc("5")
goalloc.spans("live")
goalloc.memstats().heap_alloc = 5
goalloc.nothing
goalloc.heap_profile().top(by="stack")
goalloc.heap_profile().tree(by="thread")
goalloc.heap_profile().samples[0].size = 5
"""


def mypy(*args, cwd):
    return subprocess.run(
        [sys.executable, *args], capture_output=True, text=True, cwd=cwd, timeout=600
    )


def test_stubs_are_what_is_there(tmp_path):
    result = mypy("-m", "mypy.stubtest", "goalloc", "--mypy-config-file", write_config(tmp_path),
                  cwd=tmp_path)  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr


def write_config(folder):
    config = folder / "mypy.ini"
    optional = "[mypy-pandas.*,prometheus_client.*,jupyter_client.*]"
    config.write_text(f"[mypy]\n{optional}\nignore_missing_imports = True\n")
    return str(config)


def test_the_package_is_strictly_typed():
    result = mypy("-m", "mypy", "--strict", "goalloc", cwd=TOP)
    assert result.returncode == 0, result.stdout + result.stderr


def test_users_get_types(tmp_path):
    (tmp_path / "example.py").write_text(EXAMPLE)
    result = mypy("-m", "mypy", "--strict", "example.py", cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


def test_users_are_told_of_mistakes(tmp_path):
    (tmp_path / "wrong.py").write_text(WRONG)
    result = mypy("-m", "mypy", "--strict", "wrong.py", cwd=tmp_path)
    wrong = {int(line.split(":")[1]) for line in result.stdout.splitlines() if ": error:" in line}
    assert wrong == set(range(3, 11)), result.stdout

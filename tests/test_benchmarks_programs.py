"""The harnesses of whole programs measure, check and write what readers expect; no times judged."""

import json
from pathlib import Path

import pytest
from benchrun import needs_valgrind, run

pytestmark = pytest.mark.usefixtures("bench_modules", "cache")


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """The scripts get a cache folder of their own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def suite_of(tmp_path, monkeypatch):
    """A package `pyperformance` with the given benchmark files, found before any installed one."""
    home = tmp_path / "suite"

    def make(files: dict[str, str], **pyprojects: str) -> None:
        for name, text in files.items():
            directory = home / "pyperformance" / "data-files" / "benchmarks" / f"bm_{name}"
            directory.mkdir(parents=True)
            (directory / "run_benchmark.py").write_text(text)
            settings = pyprojects.get(name, f'name = "{name}"')
            (directory / "pyproject.toml").write_text(f"[tool.pyperformance]\n{settings}\n")
        (home / "pyperformance" / "__init__.py").write_text("")
        monkeypatch.setenv("PYTHONPATH", str(home))

    return make


LISTS = """
import pyperf

def lists(loops, size):
    start = pyperf.perf_counter()
    for _ in range(loops):
        [[n] for n in range(size)]
    return pyperf.perf_counter() - start

async def nothing():
    pass

if __name__ == "__main__":
    runner = pyperf.Runner()
    runner.argparser.add_argument("--size", type=int, default=100)
    args = runner.parse_args()
    print("on stdout")
    runner.bench_time_func("lists", lists, args.size)
    runner.bench_func("sorting", sorted, range(100))
    runner.bench_async_func("awaiting", nothing)
    runner.bench_command("command", ["true"])
"""
FAILS = "import pyperf\npyperf.Runner().bench_func('fails', lambda: 1 / 0)\n"


def measured(script: str, file: Path, *args: str) -> tuple[dict, str]:
    done = run(script, "--json", str(file), *args)
    assert done.returncode == 0, done.stderr
    return json.loads(file.read_text()), done.stdout


def test_suite_is_timed_by_turns(suite_of, tmp_path):
    suite_of({"lists": LISTS})
    result, text = measured("run_pyperformance.py", tmp_path / "r.json", "--quick")
    names = ["lists", "sorting", "awaiting", "command"]
    assert [row["benchmark"] for row in result["rows"]] == names
    for row in result["rows"]:
        low, high = row["quartiles"]
        assert 0 < low <= row["speed"] <= high and row["pairs"] >= 1 and row["loops"] >= 1
        assert f"{row['benchmark']} " in text
    [peaks] = result["peaks"]
    assert min(peaks["stock"], peaks["goalloc"]) > 2**20
    assert result["summary"]["goalloc"]["peak"] == peaks["goalloc"] / peaks["stock"]


def test_suite_resumes_and_reports_failures(suite_of, tmp_path):
    file = tmp_path / "r.json"
    suite_of({"fails": FAILS, "lists": LISTS})
    done = run("run_pyperformance.py", "--json", str(file), "--quick")
    assert done.returncode == 1 and "ZeroDivisionError" in done.stderr
    first = json.loads(file.read_text())
    assert "ZeroDivisionError" in first["failed"]["fails"]
    assert run("run_pyperformance.py", "--json", str(file), "--quick", "--resume").returncode == 1
    assert json.loads(file.read_text())["rows"] == first["rows"]  # not measured again


def test_variants_and_requirements_of_the_suite(suite_of, tmp_path, monkeypatch):
    import suite

    suite_of({"lists": LISTS, "async_tree_io": FAILS}, lists='extra_opts = ["--size", "3"]')
    home = tmp_path / "suite" / "pyperformance" / "data-files" / "benchmarks"
    (home / "bm_lists" / "bm_lists_more.toml").write_text("")
    (home / "bm_lists" / "requirements.txt").write_text("# why\nnonesuch==1  # here\n")
    monkeypatch.setattr(suite, "folder", lambda: home)
    unfit, plain, more = suite.benchmarks()
    assert [plain.name, more.name] == ["lists", "lists_more"]
    assert plain.args == ("--size", "3") and plain.needs == ("nonesuch==1",)
    with pytest.raises(suite.Unavailable, match="sleeps"):
        suite.packages(unfit, None)


@needs_valgrind
def test_instructions_of_a_program_are_counted(suite_of, tmp_path):
    small = LISTS.partition("    runner.bench_func")[0]
    suite_of({"lists": small})
    args = ["--benchmarks", "lists", "--seconds", "0.001"]
    result, text = measured("count_programs.py", tmp_path / "c.json", *args)
    stock, goalloc = result["rows"]
    assert [stock["contender"], goalloc["contender"]] == ["stock", "goalloc"]
    assert goalloc["ratio"] == goalloc["instructions"] / stock["instructions"]
    for row in result["rows"]:
        assert 0.001 < row["allocator"] / row["instructions"] < 0.5
    assert any("pyobj_malloc" in name for name in goalloc["more_than_stock"])
    assert any("_PyObject_Malloc" in name for name in goalloc["more_than_stock"])
    assert f"{goalloc['ratio']:.4f}" in text
    again, _ = measured("count_programs.py", tmp_path / "c.json", *args)
    assert again["rows"][0]["loops"] == stock["loops"]  # those of the file that was there


def test_callgrind_files_are_read(tmp_path):
    from callgrind import is_allocator, self_costs

    file = tmp_path / "callgrind.out"
    file.write_text(
        "events: Ir\n\n"
        "ob=(1) /lib/libc.so.6\nfl=(1) a.c\nfn=(1) malloc\n10 5\n+2 7\n"
        "cob=(2) /usr/bin/python\ncfn=(2) main\ncalls=3 20\n* 1000\n-1 1\n"
        "ob=(2)\nfn=(2)\n30 40\n"
        "fn=(3) 0x00000123\n1 2\nfn=(4) 0x00000456\n1 3\n"
    )
    assert self_costs(file) == {
        ("/lib/libc.so.6", "malloc"): 13,
        ("/usr/bin/python", "main"): 40,
        ("/usr/bin/python", "unknown"): 5,
    }
    for library, name in (
        ("/lib/libc.so.6", "_int_free"), ("/x/libpython3.11.so", "_PyObject_Free"),
        ("/x/libpython3.11.so", "PyMem_RawMalloc"), ("/x/goalloc/_core.so", "refill"),
        ("/x/python", "pymalloc_free.constprop.0"),
    ):  # fmt: skip
        assert is_allocator((library, name)), name
    for library, name in (("/x/libpython3.11.so", "PyObject_GC_New"), ("/x/python", "malloc_like")):
        assert not is_allocator((library, name)), name


def test_every_program_agrees_with_itself(tmp_path):
    from run_programs import PROGRAMS

    result, text = measured("run_programs.py", tmp_path / "p.json", "--quick")
    contenders = {row["contender"] for row in result["rows"]}
    assert {"stock", "goalloc"} <= contenders
    ran = dict.fromkeys(row["program"] for row in result["rows"])
    assert sorted([*ran, *result["left_out"]]) == PROGRAMS
    assert set(result["left_out"]) <= {"dataframe_strings", "numpy_temporaries"}
    for name in ran:
        rows = [row for row in result["rows"] if row["program"] == name]
        assert {row["contender"] for row in rows} == contenders
        assert len({row["checksum"] for row in rows}) == 1
        assert min(row["seconds"] for row in rows) > 0 and f"{name} " in text
    for name in result["left_out"]:
        assert f"left out: {name}: needs" in text


def test_the_floors_run_a_program(tmp_path):
    programs = ("--programs", "json_roundtrip", "object_tree")
    options = ("--quick", "--contenders", "floor", "floor-checked", *programs)
    result, _ = measured("run_programs.py", tmp_path / "f.json", *options)
    assert {row["contender"] for row in result["rows"]} == {"stock", "floor", "floor-checked"}
    assert {"floor", "floor-checked"} <= set(result["libraries"])


def test_different_checksums_are_refused():
    from interpreter import ChildFailed
    from run_programs import _same_checksum

    _same_checksum({"stock": [{"checksum": 1}], "goalloc": [{"checksum": 1}]})
    with pytest.raises(ChildFailed, match="checksums"):
        _same_checksum({"stock": [{"checksum": 1}], "goalloc": [{"checksum": 2}]})


def test_what_a_profile_costs_is_told_for_each_way(tmp_path):
    result, text = measured(
        "profile_cost.py", tmp_path / "c.json", "--quick", "--programs", "number_lists", "word_count"
    )
    ways = set(result["summary"])
    assert ways >= {"goalloc, 512 KiB", "goalloc, 64 KiB", "tracemalloc"}
    for way in ways:
        rows = [row for row in result["rows"] if row["way"] == way]
        assert [row["program"] for row in rows] == ["number_lists", "word_count"]
        assert all(row["base_seconds"] > 0 and row["slower"] > 0 and row["peak"] > 0 for row in rows)
        assert way in text
        assert {row["base"] for row in rows} == {"goalloc, off" if "goalloc" in way else "stock"}


def test_startup_and_fork_are_measured(tmp_path):
    result, text = measured("startup.py", tmp_path / "s.json", "--quick")
    ways = [row["way"] for row in result["rows"]]
    assert ways == ["plain", "inherits goalloc", "python -m goalloc run"]
    assert all(row["ms"] > 0 and row["resident"] > 2**20 for row in result["rows"])
    assert [row["contender"] for row in result["fork"]] == ["stock", "goalloc"]
    assert all(min(row["dirty"]) > 0 for row in result["fork"])
    assert all(way in text for way in ways)


def test_a_wrong_allocator_is_refused():
    from suite_child import require_allocator

    job = {"libraries": ["/libc.so", "/nonesuch.so"], "wanted": ["/libc.so"]}
    require_allocator(job)
    with pytest.raises(SystemExit, match="nonesuch.so is not mapped"):
        require_allocator({**job, "wanted": ["/libc.so", "/nonesuch.so"]})
    with pytest.raises(SystemExit, match="libc.so is mapped"):
        require_allocator({**job, "wanted": []})


def test_paired_ratios():
    import paired

    told = paired.speed([2.0, 4.0, 6.0, 30.0], [1.0, 2.0, 3.0, 1.0])
    assert told["speed"] == 2.0 and told["quartiles"][0] == 2.0 and told["pairs"] == 4
    assert paired.speed([3.0], [2.0])["speed"] == 1.5
    assert paired.geometric_mean([0.5, 2.0]) == pytest.approx(1.0)
    assert paired.error({"speed": 1.0, "quartiles": [1.0, 1.0], "pairs": 4}) == 0

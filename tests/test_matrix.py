"""The matrix, in short: this interpreter, the quick rows.  And that its pages are what was found."""

import json
import sys
from functools import partial
from pathlib import Path

import pytest
from pychild import needs_launch, needs_replaceable

MATRIX = Path(__file__).with_name("matrix")


@pytest.fixture(scope="module")
def matrix():
    """The modules of tests/matrix can be imported."""
    sys.path.insert(0, str(MATRIX))
    import compare
    import cpython_suite
    import pages
    import rows
    import run

    modules = {"pages": pages, "rows": rows, "run": run, "suite": cpython_suite}
    yield type("Matrix", (), {**modules, "compare": compare})
    sys.path.remove(str(MATRIX))


def quick_rows():
    sys.path.insert(0, str(MATRIX))
    import rows

    sys.path.remove(str(MATRIX))
    return [row.name for row in rows.ROWS.values() if row.quick]


@needs_launch
@pytest.mark.parametrize("name", quick_rows())
def test_quick_row(matrix, tmp_path, name):
    found = matrix.run.Bench(tmp_path).row(matrix.rows.ROWS[name])
    bad = {mode: cell for mode, cell in found.items() if cell["status"] == matrix.run.FAILED}
    assert not bad


def test_a_cell_that_is_not_as_on_stock_fails(matrix, tmp_path, monkeypatch):
    """By programs that tell where they are; and one that leaves the mode it was in."""
    monkeypatch.setattr(matrix.rows, "CASES", tmp_path)
    programs = {
        "tells": "import sys; print('goalloc' in sys.modules)",
        "ends": "import sys; sys.exit('goalloc' in sys.modules)",
        "leaves": "import goalloc; goalloc.uninstall()",
        "same": "print(1)",
    }
    for name, text in programs.items():
        (tmp_path / f"{name}.py").write_text(text)
    bench = matrix.run.Bench(tmp_path)
    status = {
        name: bench.row(matrix.rows.Row(name, "", "", name, modes=("wrap",)))["wrap"]["status"]
        for name in programs
    }
    assert status == {"tells": "FAILED", "ends": "FAILED", "leaves": "FAILED", "same": "ok"}


def test_every_row_has_its_program(matrix):
    assert all(row.path().exists() for row in matrix.rows.ROWS.values())


def test_pages_are_up_to_date(matrix):
    if not matrix.pages.place.DOCS.exists():
        pytest.skip("no docs/ beside these tests")
    assert matrix.pages.main(["--check"]) == 0


def test_differences_of_two_runs_of_a_test_file(matrix):
    def a_run(how, **cases):
        return {"how": how, "cases": cases}

    passed = a_run("passed", a="passed", b="skipped")
    failed = a_run("failed", a="failure", b="skipped")
    assert matrix.compare.differences([passed], [passed]) == {"differs": {}, "unsteady": {}}
    assert matrix.compare.differences([passed], [failed])["differs"] == {
        "": ["passed", "failed"],
        "a": ["passed", "failure"],
    }
    steady = matrix.compare.differences([passed, passed], [failed, passed])
    assert steady["differs"] == {}
    assert steady["unsteady"]["a"] == ["passed", "failure or passed"]


@pytest.mark.parametrize(
    "before, cases, tells",
    [
        ({}, 2, True),
        ({}, 1, False),
        ({"how": "differs"}, 2, False),
        ({"result": "failed"}, 2, False),  # which cases failed is not kept
        ({"unsteady": {"a": ["passed", "failure or passed"]}}, 2, False),
    ],
)
def test_what_stock_did_last_may_tell_enough(matrix, before, cases, tells):
    before = {"how": "same", "result": "passed", "cases": 2, "seconds": [1.0, 2.0], **before}
    ours = {"how": "passed", "cases": dict.fromkeys("ab"[:cases], "passed"), "seconds": 3.0}
    told = matrix.compare.still_same(lambda *_: ours, before)
    assert told == ({**before, "seconds": [1.0, 3.0]} if tells else None)


def test_where_an_object_is_makes_no_other_case(matrix, tmp_path):
    report = tmp_path / "report.xml"
    cases = "".join(f'<testcase name="t (f at {at:#x})"/>' for at in (0x7F001230, 0xC000456780))
    report.write_text(f"<testsuite>{cases}</testsuite>")
    assert matrix.compare.cases_of_report(report) == {"t (f at 0x...)": "passed"}


@pytest.mark.parametrize("ending, how", [("1/0", "differs"), ("pass", "same")])
def test_a_file_of_cpythons_tests_is_judged(matrix, tmp_path, monkeypatch, ending, how):
    """With a test file of our own, which fails under goalloc only, or nowhere."""
    pytest.importorskip("test.libregrtest")
    (tmp_path / "test_made_up.py").write_text(
        "import os, unittest\n"
        "class Case(unittest.TestCase):\n"
        "    def test_it(self):\n"
        f"        if 'goalloc' in os.environ.get('LD_PRELOAD', ''): {ending}\n"
    )
    monkeypatch.setattr(matrix.compare, "TRIES", 1)
    monkeypatch.setattr(matrix.suite, "regrtest_options", lambda: ["--testdir", str(tmp_path)])
    result = matrix.compare.judge(partial(matrix.suite.run_file, "test_made_up"), 60)
    assert result["how"] == how, json.dumps(result)


@pytest.mark.slow
@needs_replaceable
@pytest.mark.parametrize("mode", ["launch", "import"])
def test_a_soak_for_a_moment(python, mode):
    run = ["-m", "goalloc", "run"] if mode == "launch" else []
    done = python(*run, MATRIX / "soak.py", "--minutes", "0.3")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert f"{mode} mode" in done.stdout and done.stdout.endswith("flat\n")


@needs_launch
def test_a_soak_on_stock_is_not_one_on_goalloc(python):
    """And one on stock says nothing of what it can't know."""
    soak = (MATRIX / "soak.py", "--stock", "--minutes", "0.02")
    assert python.run(*soak).returncode == 2
    done = python(*soak)
    assert done.returncode == 0 and "resident" in done.stdout, done.stdout + done.stderr
    assert "live" not in done.stdout and "flat" not in done.stdout


def test_what_a_soak_calls_flat(matrix):
    from flat import is_flat

    mib = 1 << 20
    assert is_flat([n % 3 * mib + 40 * mib for n in range(40)])
    assert is_flat([n * mib for n in range(30)] + [30 * mib] * 90)  # it warms up
    assert not is_flat([40 * mib + n * mib for n in range(100)])
    assert is_flat([])


def test_the_parts_of_what_is_held_are_all_of_it(matrix):
    import goalloc
    from soakstate import of_the_heap

    with goalloc.Heap() as heap:
        blocks = [heap.malloc(n) for n in range(1, 100_000, 777)]
        for block in blocks[::2]:
            heap.free(block)
        m = heap.memstats()
        assert sum(of_the_heap(m).values()) == m.sys - m.heap_released - m.heap_inuse_released
        heap.free_os_memory()
        m = heap.memstats()
        assert m.heap_released > 0
        assert sum(of_the_heap(m).values()) == m.sys - m.heap_released - m.heap_inuse_released


def test_the_page_of_soaks(matrix):
    """Two made-up runs: looks at the right minutes, and differences over the right time."""
    mib = 1 << 20

    def run(mode, **parts):
        seen = [
            {
                "seconds": 60 * minute,
                "requests": 1000 * minute,
                "done": {"fork": minute, "interpreter": 2 * minute},
                "resident": (100 + minute) * mib,
                "blocks": 50_000 + 20 * minute,
                "objects": 1,
                **parts,
            }
            for minute in range(1, 31)
        ]
        return {"column": "3.11", "version": "3.11.7", "mode": mode, "flat": True, "seen": seen}

    parts = dict.fromkeys(matrix.pages.soakpage.PARTS, mib)
    page = matrix.pages.soakpage.page([run("launch", **parts), run("stock")], matrix.pages.table)
    lines = page.splitlines()
    assert "| 3.11 stock | 30 | 30,000 | 30 | 60 |  |  |  |  |  |" in lines
    assert lines.index("| 3.11 stock | 105.0 | 115.0 | 130.0 |  |  |") < lines.index(
        "| 3.11 launch | 105.0 | 115.0 | 130.0 |  |  |"
    )
    assert "| 3.11 launch |" + " 1.0 → 1.0 |" * 6 + " 99.0 → 124.0 | 117.0 → 129.0 | flat |" in lines
    assert "| 3.11 stock | 50 | 500 | 10 | 512 |" in lines

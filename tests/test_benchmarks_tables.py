"""The tables of both READMEs are made from results/*.json, by one command, and are up to date."""

import json
import re
from types import SimpleNamespace

import pytest
from benchrun import BENCHMARKS, run

pytestmark = pytest.mark.usefixtures("bench_modules")

MACHINE = {"cpu": "a cpu", "cpus": 2, "kernel": "6.1", "libc": "glibc 2.36"}
RESULT = {"machine": MACHINE, "libraries": {}, "settings": {"baseline": "stock"}}


def grid(kind, python, *values, **row):
    """A result with a cell of stock, of value 4, and one of goalloc for each value."""
    rows = [
        {"contender": name, "failure": None, "value": value, "ratio": value / 4, **row}
        for name, value in [("stock", 4.0), *(("goalloc", value) for value in values)]
    ]
    return {**RESULT, "kind": kind, "python": python, "rows": rows}


@pytest.fixture
def results(tmp_path):
    """results(name=result) writes them into a folder, and returns it."""

    def write(files):
        for name, result in files.items():
            (tmp_path / f"{name}.json").write_text(json.dumps(result))
        return tmp_path

    return write


def mark(name, inside=""):
    return f"<!-- table: {name} -->\n{inside}<!-- end -->"


def test_committed_tables_are_up_to_date():
    done = run("tables.py", "--check")
    assert done.returncode == 0, done.stderr + "run: python benchmarks/tables.py"


def test_every_table_stands_in_one_readme():
    import tables

    found = [name for readme in tables.READMES for name in tables.names(readme.read_text())]
    assert sorted(found) == sorted(tables.TABLES)


def test_check_writes_nothing_and_filling_makes_it_true(tmp_path, monkeypatch, capsys):
    import tables

    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{mark('golden', 'stale')}\nafter\n")
    monkeypatch.setattr(tables, "READMES", [readme])
    assert tables.main(["--check"]) == 1 and str(readme) in capsys.readouterr().err
    assert "stale" in readme.read_text()
    assert tables.main([]) == 0 and tables.main(["--check"]) == 0
    text = readme.read_text()
    assert "stale" not in text and text.startswith("before\n") and text.endswith("-->\nafter\n")


def test_unknown_tables_are_refused():
    import tables

    for name in ("nonesuch", "pairs nonesuch"):
        with pytest.raises(ValueError, match="nonesuch"):
            tables.fill(mark(name))


def test_grids_show_every_python_and_say_what_is_missing(results):
    import tables

    cell = {"pattern": "idle", "size": "A", "digits": 0}
    folder = results({
        "rss-3.14.1-shared": grid("rss", "3.14.1-shared", 3.0, **cell),
        "rss-3.9.1-shared": grid("rss", "3.9.1-shared", 2.0, **cell),
        "rss-3.15.1-shared-quick": grid("rss", "3.15.1-shared", 1.0, **cell),
    })  # fmt: skip
    text = tables.fill(mark("rss idle") + mark("service speed"), folder)
    older, newer = re.findall(r"Python (\S+): resident MiB \(ratio to stock\); baseline", text)
    assert (older, newer) == ("3.9.1-shared", "3.14.1-shared")
    assert "| idle | A |\n|---|---:|\n| stock | 4 |\n| goalloc | 2 (0.50) |\n" in text
    assert text.endswith("No results yet.\n<!-- end -->")
    assert tables.fill(text, folder) == text


def test_notes_stand_under_a_table(results):
    import tables

    rows = [{"contender": "goalloc", "dirty": [1 << 20, 3 << 20], "median": 2 << 20}]
    result = {**RESULT, "kind": "startup", "python": "3.11.1-shared", "fork": rows, "rows": []}
    folder = results({"startup-3.11.1-shared": {**result, "left_out": {"x": "needs y"}}})
    text = tables.fill(mark("fork"), folder)
    assert "| goalloc | 2.0 (1.0 to 3.0) |\n\n* left out: x: needs y\n" in text


@pytest.mark.parametrize("kind", ["growth", "threads", "against_go", "golden"])
def test_tables_of_the_drivers(kind):
    import importlib

    import report
    import tables

    module = importlib.import_module(kind)
    [result] = report.load_results(module.KIND)
    text = tables.fill(mark(module.KIND))
    found = module.tables(result)
    assert found
    for table in found:
        assert "\n".join(report.markdown_table(table)) in text


def test_summary_shows_the_newest_python(results):
    import tables

    cell = {"pattern": "lifo", "size": "64"}
    scenario = {"pattern": "idle", "size": "A"}
    folder = results({
        "pairs-3.9.1-shared": grid("pairs", "3.9.1-shared", 3.0, **cell),
        "pairs-3.14.0-shared": grid("pairs", "3.14.0-shared", 2.0, **cell),
        "pairs-3.15.0-shared-quick": grid("pairs", "3.15.0-shared", 1.0, **cell),
        "rss-3.11.0-shared": grid("rss", "3.11.0-shared", 1.0, **scenario),
    })  # fmt: skip
    (folder / "service-rss.svg").write_text("")
    text = tables.fill(mark("summary", "old"), folder)
    assert "CPython 3.14.0, shared" in text and "old" not in text
    assert "| lifo, 64 B | 4.0 | 2.0 (**0.50x**) |" in text
    assert "| A: many small dicts, all freed | 4 | 1 (**0.25x**) |" in text
    assert "![Resident size of the service over time](benchmarks/results/service-rss.svg)" in text


def test_links_of_the_benchmarks_readme_lead_somewhere():
    text = (BENCHMARKS / "README.md").read_text()
    links = re.findall(r"\]\((?!https?:|#)([^)]+)\)", text)
    assert links and all((BENCHMARKS / link).exists() for link in links)


# ---- everything in one go -----------------------------------------------------------------------


def scripts_of(pattern, file):
    return set(re.findall(pattern, (BENCHMARKS / file).read_text(), re.MULTILINE))


def test_every_command_is_run_by_all_and_by_make_and_told():
    import run_all

    command = re.compile(r"([pP]arser|command_line)\(.*sys\.exit\(main\(\)\)\n\Z", re.DOTALL)
    commands = {path.name for path in BENCHMARKS.glob("*.py") if command.search(path.read_text())}
    stepped = {step.script for step in run_all.STEPS}
    assert commands == stepped | {"run_all.py"}
    assert commands == scripts_of(r"benchmarks/(\w+\.py)", "../Makefile")
    assert commands == scripts_of(r"^python benchmarks/(\w+\.py)", "README.md")


def test_what_is_missing_is_skipped_and_said(tmp_path, monkeypatch):
    import run_all

    monkeypatch.setattr(run_all, "look_at", lambda *_: SimpleNamespace(goalloc=None))
    monkeypatch.setattr(run_all, "_lacks", lambda needs: f"no {needs[0]} here" if needs else None)
    only = ["against_go.py", "startup.py", "tables.py"]
    tasks = list(run_all.plan(["p"], only, False, tmp_path))
    assert {task.command[0]: task.why_not for task in tasks} == {
        "startup.py": "goalloc is not installed there",
        "against_go.py": "no go here",
        "tables.py": None,
    }
    quick = [task.command for task in run_all.plan(["p"], only, True, tmp_path)]
    assert [command[0] for command in quick] == ["startup.py", "against_go.py"]
    assert all("--quick" in command and str(tmp_path) in command[-1] for command in quick)


def test_a_failing_step_does_not_stop_the_others(tmp_path, monkeypatch, capsys):
    import run_all

    (tmp_path / "bad.py").write_text("exit(3)")
    (tmp_path / "good.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.setattr(run_all, "HERE", tmp_path)
    bad, good = (
        run_all.Task(run_all.Step(name, 1.0), (name,), None) for name in ("bad.py", "good.py")
    )
    assert run_all.run([bad, good], False) == [bad]
    assert (tmp_path / "ran").exists()
    assert "== 1/2 bad.py: about 1 min of 2 min" in capsys.readouterr().out

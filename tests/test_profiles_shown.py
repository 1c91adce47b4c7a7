"""What readers of tables and trees are spared, and what they are warned of: frames that are not the
program's, rows that rest on few samples."""

import math
import random
import statistics

import pytest
from profiledata import RATE, core_profile

from goalloc import HeapProfile

# ---- rows of few samples ------------------------------------------------------------------------


def few(samples, size, rate, value="inuse_space"):
    """The one row of a profile of that many sampled blocks, of this size."""
    raw = core_profile(samples=[(4, size, rate, 2, 0, samples, 0, samples)], rate=rate)
    (row,) = top = HeapProfile._from_core(raw).top(value=value)
    return row, str(top), top._repr_html_()


@pytest.mark.parametrize("value", ["inuse_space", "alloc_objects", "peak_space"])
def test_rows_that_rest_on_few_samples_are_marked(value):
    for samples, rough in ((1, True), (3, True), (5, False), (100, False)):
        row, text, html = few(samples, 512, RATE, value)
        assert (row.flat_is_rough, row.cum_is_rough) == (rough, rough), samples
        # Of blocks that are small for the rate as many are found as a Poisson process has events.
        assert row.flat_error == row.cum_error == pytest.approx(row.flat / samples**0.5, rel=0.01)
        assert (text.count("~") == 3) is rough and ("very few" in text) is rough
        assert ("standard error: " in html) is rough and ("very few" in html) is rough


def test_what_is_certain_is_not_marked():
    for row, text, _ in (few(1, 64 << 20, RATE), few(1, 16, 1)):
        assert row.flat_error < 1 and not row.flat_is_rough and "~" not in text
    mixed = HeapProfile._from_core(core_profile()).merge(HeapProfile._from_core(core_profile(rate=1)))
    assert mixed.about.mixed_rates
    assert {row.flat_error for row in mixed.top()} == {None} and "~" not in str(mixed.top())


@pytest.mark.parametrize("rate", [1, 0])
def test_what_was_sampled_before_the_rate_changed_is_not_exact(rate):
    """Samples keep the rate that they were taken at; the profile has the one that is set now."""
    one = (4, 512, RATE, 2, 0, 1, 0, 1)
    raw = core_profile(samples=[one, (4, 512, rate, 2, 0, 9, 0, 9)] if rate else [one], rate=rate)
    profile = HeapProfile._from_core(raw)
    (row,) = top = profile.top()
    assert row.flat_error is None and not row.flat_is_rough and "exact" not in str(top)
    assert profile.rate == rate and profile.about.mixed_rates is (rate == 1)


def test_the_standard_error_is_that_of_sampling(seed):
    """Of many runs of the sampler itself the spread is what a row says of it."""
    rng = random.Random(seed)
    blocks, size, rate = 400, 1000, 20_000
    chance = 1 - math.exp(-size / rate)
    estimates, errors = [], []
    for _ in range(300):
        samples = sum(rng.random() < chance for _ in range(blocks))
        row, *_ = few(samples, size, rate)
        estimates.append(row.flat)
        errors.append(row.flat_error)
    assert statistics.stdev(estimates) == pytest.approx(statistics.mean(errors), rel=0.35)


# ---- frames that are not the program's -----------------------------------------------------------

# What a kernel of Jupyter has below a cell that imports a module, the outermost first.
KERNEL = [
    ("_run_module_as_main", "<frozen runpy>"), ("<module>", "/v/site-packages/ipykernel_launcher.py"),
    ("Application.launch_instance", "/v/site-packages/traitlets/config/application.py"),
    ("IPKernelApp.start", "/v/site-packages/ipykernel/kernelapp.py"),
    ("BaseEventLoop.run_forever", "/usr/lib/python3.11/asyncio/base_events.py"),
    ("Kernel.dispatch", "/v/site-packages/ipykernel/kernelbase.py"),
    ("InteractiveShell.run_code", "/v/site-packages/IPython/core/interactiveshell.py"),
    ("cell", "/srv/app/cell.py"), ("run", "/usr/lib/python3.11/asyncio/runners.py"),
    ("_find_and_load", "<frozen importlib._bootstrap>"),
    ("SourceLoader.exec_module", "<frozen importlib._bootstrap_external>"),
    ("<module>", "/srv/app/module.py"), ("import_module", "/usr/lib/python3.11/importlib/__init__.py"),
    ("get_code", "<frozen importlib._bootstrap_external>"),
]  # fmt: skip
FOLDED = ["all", "[IPython]", "cell.cell", "asyncio.runners.run", "[import]", "module.<module>", "[import]",
          "[start]"]  # fmt: skip


def walk(node):
    yield node
    for child in node:
        yield from walk(child)


def in_a_kernel():
    """A sample of 64 bytes at each depth of a cell that imports."""
    count = len(KERNEL)
    raw = core_profile(
        rate=1,
        functions=[(*function, 1) for function in KERNEL],
        locations=[(i, 1) for i in range(count)],
        stacks=[tuple(reversed(range(depth + 1))) for depth in range(count)],
        samples=[(i, 64, 1, 2, 0, 1, 0, 1) for i in range(count)],
    )
    return HeapProfile._from_core(raw)


def test_what_imports_starts_and_runs_cells_is_one_node_each():
    profile = in_a_kernel()
    nodes = list(walk(profile.tree().root))
    assert [node.name for node in nodes] == FOLDED
    assert [node.own // 64 for node in nodes] == [0, 6, 1, 1, 2, 1, 2, 1]
    assert [node.total // 64 for node in nodes] == [14, 13, 7, 6, 5, 3, 2, 1]
    every = list(walk(profile.tree(fold=False).root))
    assert len(every) == 1 + len(KERNEL) and sum(node.own for node in every) == profile.total()
    assert "importlib._bootstrap._find_and_load" in str(profile.tree(fold=False))
    assert "importlib" not in str(profile.tree())


def test_flame_graphs_fold_the_same():
    graph = in_a_kernel().flamegraph().data()
    assert sorted(graph["names"][group] for group in graph["groups"]) == sorted(FOLDED)
    grey = {name for name, hue in zip(graph["names"], graph["hues"]) if hue < 0}
    assert grey == {"all", "(smaller)", "[IPython]", "[import]", "[start]"}
    assert len(in_a_kernel().flamegraph(fold=False).data()["parents"]) == 1 + len(KERNEL)
    assert "runpy" not in str(in_a_kernel().flamegraph())
    assert "runpy" in str(in_a_kernel().flamegraph(fold=False))


def a_module_that_imports():
    """What IPython has below a cell that imports a module, with %%goalloc; only the module allocates,
    and one import from C."""
    functions = [*KERNEL[6:8], ("_run", "/v/site-packages/goalloc/notebook.py"), *KERNEL[9:12]]
    stacks = [(5, 4, 3, 2, 1, 0), (4, 3, 2, 1, 0)]
    return HeapProfile._from_core(
        core_profile(
            rate=1,
            functions=[(*function, 1) for function in functions],
            locations=[(i, 1) for i in range(6)],
            stacks=stacks,
            samples=[(0, 64, 1, 2, 0, 9, 0, 9), (1, 32, 1, 2, 0, 1, 0, 1)],
        )
    )


@pytest.mark.parametrize("sort", ["flat", "cum"])
def test_a_table_spares_what_only_imports_and_runs_cells(sort):
    profile = a_module_that_imports()
    every = profile.top(None, sort=sort, fold=False)
    top = profile.top(None, sort=sort)
    assert {row.name for row in every} - {row.name for row in top} == {
        "IPython.core.interactiveshell.InteractiveShell.run_code", "goalloc.notebook._run",
        "importlib._bootstrap._find_and_load",
    }  # fmt: skip
    assert [row for row in every if row in list(top)] == list(top)
    assert "cell.cell" in {row.name for row in top if row.flat == 0}  # it is of the program
    assert "importlib._bootstrap_external.SourceLoader.exec_module" in str(top)  # it has some
    told = "; 3 rows of imports and the like folded (fold=False, --no-fold)"
    assert told in str(top) and told in top._repr_html_() and "run_code" not in top._repr_html_()
    assert "not shown" not in str(top) and "folded" not in str(every)
    assert f"; 2 more not shown{told}" in str(profile.top(1, sort=sort))
    assert (top.as_dict()["hidden"], top.as_dict()["folded"]) == (0, 3)
    assert [len(profile.top(n, sort=sort)) for n in (1, 3, 9)] == [1, 3, 3]
    for by in ("line", "file", "module"):
        assert len(profile.top(None, by=by)) == 3 and len(profile.top(None, by=by, fold=False)) == 6
    assert sum(row.flat for row in top) == top.total == profile.total()


def test_a_cell_under_the_magic_is_beside_one_node():
    profile = a_module_that_imports()
    names = [node.name for node in walk(profile.tree().root)]
    assert names == ["all", "[IPython]", "cell.cell", "[IPython]", "[import]", "module.<module>"]


def test_what_is_beside_cells_is_spared_only_there():
    """asyncio runs other programs too: a function of its that does is shown."""
    functions = [KERNEL[6], ("run", "/usr/lib/python3.11/asyncio/runners.py"), KERNEL[7]]
    raw = core_profile(
        rate=1,
        functions=[(*function, 1) for function in functions],
        locations=[(i, 1) for i in range(3)],
        stacks=[(2, 1, 0), (2, 1)],
        samples=[(0, 64, 1, 2, 0, 1, 0, 1), (1, 64, 1, 2, 0, 1, 0, 1)],
    )
    assert [row.name for row in HeapProfile._from_core(raw).top()] == ["cell.cell", "asyncio.runners.run"]
    raw["samples"].pop()
    raw["stacks"].pop()
    assert [row.name for row in HeapProfile._from_core(raw).top()] == ["cell.cell"]


def test_frames_of_other_programs_are_not_folded():
    profile = HeapProfile._from_core(core_profile())
    assert profile.top().as_dict() == profile.top(fold=False).as_dict()
    assert profile.tree().as_dict() == profile.tree(fold=False).as_dict()

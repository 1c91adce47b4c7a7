"""Interpreters of both kinds, with the GIL shared and with one of their own, under goalloc."""

import sys

import pytest
from pychild import needs_replaceable
from stock import MODES

pytestmark = needs_replaceable

KINDS = [
    "legacy",
    pytest.param(
        "isolated",
        marks=pytest.mark.skipif(sys.version_info < (3, 12), reason="one GIL for all before 3.12"),
    ),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "program",
    [
        pytest.param("interpreters_many", marks=pytest.mark.slow),
        "interpreters_busy",
        "interpreters_made",
        "interpreters_switch",
        "interpreters_channels",
        "interpreters_left",
        "fork_interpreters",
    ],
)
def test_as_without(programs, program, mode, kind):
    assert programs.same(mode, program, kind)[0] == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", ["sparse", "linear"])
def test_either_layout_of_arenas(programs, kind, layout):
    programs.same("launch", "interpreters_busy", kind, env={"GOALLOC_LAYOUT": layout})


@pytest.mark.skipif(sys.version_info < (3, 14), reason="new in 3.14")
@pytest.mark.parametrize("mode", MODES)
def test_pool_of_interpreters(programs, mode):
    code = (
        "from concurrent.futures import InterpreterPoolExecutor as Pool\n"
        "import json\n"
        "with Pool(4) as pool:\n"
        "    print([len(s) for s in pool.map(json.dumps, [list(range(n)) for n in range(200)])])\n"
    )
    script = programs.python.folder / "pool.py"
    script.write_text(code)
    assert programs.same(mode, script)[0] == 0

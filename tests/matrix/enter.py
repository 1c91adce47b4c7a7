"""enter.py MODE BEFORE SCRIPT [ARG ...]: a case of the matrix as __main__, with goalloc in MODE.

MODE      'stock', 'launch', 'import', 'wrap'
BEFORE    statements to be run before goalloc comes; SCRIPT sees the names they make
What became of the mode goes to the file $MATRIX_REPORT, one JSON object a line: why it could not be
({"refused": ...}), and at the exit of this process and of forked ones the mode then and what check()
said.  Modules of tests/programs can be imported.
"""

import atexit
import json
import os
import sys

_MODE, _BEFORE, _SCRIPT = sys.argv[1:4]
sys.argv = sys.argv[3:]
sys.path[:1] = [os.path.dirname(_SCRIPT), os.path.join(os.path.dirname(__file__), "../programs")]


def _report(**facts):
    with open(os.environ["MATRIX_REPORT"], "a") as file:
        file.write(json.dumps(facts) + "\n")


def _at_exit():
    import goalloc

    try:
        goalloc.check()
        wrong = None
    except goalloc.HeapError as error:
        wrong = str(error)
    _report(mode=goalloc.mode(), wrong=wrong, mallocs=goalloc.memstats().mallocs)


def _enter():
    import goalloc

    if _MODE == "launch":
        if goalloc.mode() is None and os.path.exists(os.environ["MATRIX_REPORT"]):
            goalloc.install()  # Python was ended and began again, with a table of its own
        elif goalloc.mode() != "launch":
            _report(refused="")  # the warning on stderr has the reason
            sys.exit()
    else:
        try:
            goalloc.install(_MODE)
        except goalloc.InstallError as error:
            _report(refused=str(error))
            sys.exit()
    _report(entered=goalloc.mode())
    atexit.register(_at_exit)


if _BEFORE:
    exec(_BEFORE)
if _MODE != "stock":
    _enter()
__file__ = _SCRIPT
with open(_SCRIPT, encoding="utf-8") as _file:
    exec(compile(_file.read(), _SCRIPT, "exec"))

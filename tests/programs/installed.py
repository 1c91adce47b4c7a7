"""installed.py SCRIPT [ARG ...]: runs SCRIPT as __main__ with goalloc in import mode."""

import os
import sys

import goalloc

goalloc.install()
del sys.argv[0]
__file__ = sys.argv[0]
sys.path[0] = os.path.dirname(__file__)
with open(__file__, encoding="utf-8") as _file:
    exec(compile(_file.read(), __file__, "exec"))

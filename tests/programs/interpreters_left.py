"""interpreters_left.py KIND: the program ends, its interpreters were never destroyed."""

import sys

import goalloc
import interps
import work

for n in range(5):
    i = interps.create(sys.argv[1])
    interps.run(i, "import json, threading; kept = [bytes(n) for n in range(3000)]")
print(work.churn(1))
goalloc.check()

"""interpreters_thousand.py KIND: a thousand come and go, four at a time in turn."""

import sys

import interps

KIND = sys.argv[1]
CODE = "kept = [str(n) * 9 for n in range(500)]; assert len(kept[-1]) == 27"

alive = []
for n in range(1000):
    alive.append(interps.create(KIND))
    interps.run(alive[-1], CODE)
    if len(alive) == 4:
        interps.destroy(alive.pop(n % 4))
for i in alive:
    interps.destroy(i)
print("a thousand")

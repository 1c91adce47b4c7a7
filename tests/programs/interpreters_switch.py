"""interpreters_switch.py KIND: one OS thread goes through interpreters, nested and in turn."""

import sys

import goalloc
import interps
import work

KIND = sys.argv[1]
NESTED = """
import sys; sys.path.insert(0, folder)
import interps, work
total = work.churn(depth, 50)
if depth:
    i = interps.create(kind)
    interps.run(i, code, code=code, folder=folder, kind=kind, depth=depth - 1)
    interps.destroy(i)
assert total == work.churn(depth, 50)
"""

interps.run(
    outermost := interps.create(KIND),
    NESTED,
    code=NESTED,
    folder=sys.path[0],
    kind=KIND,
    depth=4,
)
interps.destroy(outermost)
goalloc.check()

alive = [interps.create(kind) for kind in interps.KINDS for _ in range(3)]
for i in alive:
    interps.run(i, "kept = {}")
for turn in range(100):
    interps.run(
        alive[turn % len(alive)], "for n in range(300): kept[n % 70] = bytes(n)", turn=turn
    )
    mine = [bytes(n) for n in range(300)]
print(work.churn(1))
goalloc.check()
for i in alive:
    interps.destroy(i)
goalloc.check()

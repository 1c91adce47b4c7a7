"""interpreters_many.py KIND: creates and ends many, in other orders too, from several threads."""

import random
import sys
import threading

import goalloc
import interps
import work

KIND = sys.argv[1]
CODE = "import json; kept = [json.dumps({i: 'x' * i}) for i in range(200)]"


def one_after_the_other():
    for _ in range(20):
        i = interps.create(KIND)
        interps.run(i, CODE)
        interps.destroy(i)


def several_at_once(seed):
    rng = random.Random(seed)
    alive = []
    for _ in range(15):
        alive.append(interps.create(KIND))
        interps.run(alive[-1], CODE)
        interps.run(rng.choice(alive), "del kept[::3]; kept += [bytes(i) for i in range(999)]")
        if len(alive) > 6:
            interps.destroy(alive.pop(rng.randrange(len(alive))))
    goalloc.check()
    for i in alive:
        interps.destroy(i)


one_after_the_other()
goalloc.check()
several_at_once(1)
goalloc.check()
threads = [threading.Thread(target=several_at_once, args=(seed,)) for seed in (2, 3, 4)]
for thread in threads:
    thread.start()
print([work.churn(seed) for seed in range(20)])
for thread in threads:
    thread.join()
goalloc.check()
print("done")

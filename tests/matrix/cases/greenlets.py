"""greenlet: stacks that are switched away in the middle of work, in several threads."""

import threading

import greenlet
import work


def body(parent, seed, steps):
    total = 0
    for step in range(steps):
        total += work.churn(seed + step, 10)
        parent.switch(total)
    return -total


def task(first, out):
    here = greenlet.getcurrent()
    alive = [greenlet.greenlet(body) for _ in range(50)]
    sums = [g.switch(here, first + n, n % 7) for n, g in enumerate(alive)]
    while any(not g.dead for g in alive):
        sums += [g.switch() for g in alive if not g.dead]
    out.append((first, sum(sums)))


results = []
threads = [threading.Thread(target=task, args=(n, results)) for n in range(0, 300, 100)]
for thread in threads:
    thread.start()
task(1000, results)
for thread in threads:
    thread.join()
print(sorted(results))
left = [greenlet.greenlet(body) for _ in range(5)]  # never finished
for g in left:
    g.switch(greenlet.getcurrent(), 1, 5)

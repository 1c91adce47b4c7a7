"""interpreters_made.py KIND: makes and ends interpreters while threads of the main one are at work.

From 3.13 on they are made without any GIL, so the threads get far meanwhile.
"""

import sys
import threading

import goalloc
import interps
import work

KIND = sys.argv[1]


def keep_busy():
    while not done.is_set():
        things = [[k] for k in range(300)]
        del things


done = threading.Event()
threads = [threading.Thread(target=keep_busy) for _ in range(2)]
for thread in threads:
    thread.start()
for _ in range(25):
    i = interps.create(KIND)
    goalloc.check()
    interps.run(i, "kept = [[k] for k in range(3000)]")
    interps.destroy(i)
    goalloc.check()
done.set()
for thread in threads:
    thread.join()
print([work.churn(seed) for seed in range(20)])
goalloc.check()

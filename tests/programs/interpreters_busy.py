"""interpreters_busy.py KIND: many threads in many interpreters, all allocating at once."""

import os
import sys
import threading

import goalloc
import interps
import work

KIND = sys.argv[1]
# Threads inside the interpreter as well: they leave and enter it by the same OS threads' means.
CODE = """
import sys; sys.path.insert(0, folder)
import threading, work
results = []
def task(seed):
    results.append((seed, work.churn(seed), work.compress(seed)))
threads = [threading.Thread(target=task, args=(seed,)) for seed in range(first, first + 2)]
for t in threads: t.start()
task(first + 2)
for t in threads: t.join()
import os
os.write(out, repr(sorted(results)).encode() + b"\\n")
"""
FOLDER = os.path.dirname(os.path.abspath(__file__))


def task(first):
    read, write = os.pipe()
    for _ in range(2):
        i = interps.create(KIND)
        interps.run(i, CODE, folder=FOLDER, first=first, out=write)
        interps.destroy(i)
    os.close(write)
    with open(read) as file:
        found[first] = file.read()


found = {}
threads = [threading.Thread(target=task, args=(first,)) for first in range(0, 40, 10)]
for thread in threads:
    thread.start()
for seed in range(10):
    print(seed, work.churn(seed))
    goalloc.check()
for thread in threads:
    thread.join()
goalloc.check()
for first in sorted(found):
    print(found[first])

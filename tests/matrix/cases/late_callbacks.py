"""Callbacks of atexit, weakref, finalizers and __del__ that allocate, up to the very end."""

import atexit
import gc
import sys
import threading
import weakref

import work


class Thing:
    pass


class Late:
    """Goes when the modules are cleared."""

    def __init__(self, churn=work.churn, out=sys.stdout):
        self.churn, self.out = churn, out

    def __del__(self):
        # A finalizer at the end may find modules gone; what it holds is there.
        self.out.write(f"late {self.churn(3, 20)}\n")
        self.out.flush()


count = [0]


def gone(_):
    count[0] += 1
    kept.append(bytearray(count[0] % 5000))


kept = []
things = [Thing() for _ in range(3000)]
references = [weakref.ref(thing, gone) for thing in things]
for thing in things:
    thing.itself = thing
del things, thing
gc.collect()
print(count, len(kept))
atexit.register(lambda: print("atexit", work.churn(1, 50)))
last = Thing()
weakref.finalize(last, lambda: print("finalize", work.churn(2, 50)))
threading.Thread(target=lambda: threading.main_thread().join()).start()
late = Late()
late.itself = late

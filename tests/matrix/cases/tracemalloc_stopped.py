"""tracemalloc, started before goalloc came, stops, and starts and stops again."""

import tracemalloc

import work

assert tracemalloc.is_tracing()
kept = [bytearray(1000) for _ in range(500)]
print(work.churn(1), tracemalloc.get_object_traceback(kept[5]) is not None)
tracemalloc.stop()
print(work.churn(1), len(kept))
del kept[::2]
tracemalloc.start()
print(work.churn(2))
del kept
tracemalloc.stop()
print(work.churn(3))

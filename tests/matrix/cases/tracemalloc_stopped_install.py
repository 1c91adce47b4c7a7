"""tracemalloc stops and drops goalloc with it: mode() tells, install() works again."""

import tracemalloc

import goalloc
import work

tracemalloc.start()
assert goalloc.install() == goalloc.mode() == "wrap"
expected = work.churn(1)
tracemalloc.stop()
assert goalloc.mode() is None
assert work.churn(1) == expected
again = goalloc.install()
assert again == goalloc.mode() and again in ("import", "wrap")
assert work.churn(1) == expected
goalloc.check()
print("done")

"""observed.py: tracemalloc and faulthandler, before and after each other, over all domains."""

import faulthandler
import gc
import io
import tempfile
import threading
import tracemalloc

import work

print(tracemalloc.is_tracing())
if not tracemalloc.is_tracing():
    tracemalloc.start(5)
before = tracemalloc.take_snapshot()
kept = [bytearray(1000) for _ in range(1000)]
after = tracemalloc.take_snapshot()
stat = max(after.compare_to(before, "lineno"), key=lambda s: s.size_diff)
print(stat.traceback[0].filename == __file__, stat.count_diff >= 1000, stat.size_diff >= 10**6)
print(tracemalloc.get_object_traceback(kept[5])[-1].lineno)
threads = [threading.Thread(target=work.churn, args=(n,)) for n in range(4)]
for thread in threads:
    thread.start()
tracemalloc.stop()
tracemalloc.start()
tracemalloc.clear_traces()
for thread in threads:
    thread.join()
tracemalloc.stop()
del kept
gc.collect()
with tempfile.TemporaryFile("w+") as file:
    faulthandler.enable(file)
    faulthandler.dump_traceback(file)
    faulthandler.dump_traceback_later(0.01, file=file)
    print(work.churn(1, 2000))
    faulthandler.cancel_dump_traceback_later()
    faulthandler.disable()
    file.seek(0)
    print("in <module>" in file.read())
print(work.churn(2), io.StringIO("x" * 10**6).read()[-1])

"""faulthandler: on demand from another thread, after a while, by a signal; then a crash."""

import faulthandler
import os
import signal
import tempfile
import threading
import time

import work

faulthandler.enable()
with tempfile.TemporaryFile("w+") as file:
    faulthandler.register(signal.SIGUSR1, file, all_threads=True)
    faulthandler.dump_traceback_later(0.01, repeat=True, file=file)
    threads = [threading.Thread(target=work.churn, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        os.kill(os.getpid(), signal.SIGUSR1)
        work.churn(1, 10)
        time.sleep(0.002)
    for thread in threads:
        thread.join()
    faulthandler.cancel_dump_traceback_later()
    faulthandler.dump_traceback(file)
    file.seek(0)
    print(file.read().count("most recent call first") > 50, flush=True)
os.kill(os.getpid(), signal.SIGSEGV)

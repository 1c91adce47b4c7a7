"""os.posix_spawn, vfork by subprocess and os.system, with threads at work; the child is a Python too."""

import os
import subprocess
import sys
import threading

import work

stop = threading.Event()


def busy(seed):
    while not stop.is_set():
        work.churn(seed, 20)


threads = [threading.Thread(target=busy, args=(n,)) for n in range(3)]
for thread in threads:
    thread.start()
child = [sys.executable, "-c", "kept = [str(n) for n in range(9999)]; raise SystemExit(len(kept) % 100)"]
for _ in range(3):
    pid = os.posix_spawn(sys.executable, child, os.environ)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    print(subprocess.run(child).returncode, os.waitstatus_to_exitcode(os.system("exit 5")))
stop.set()
for thread in threads:
    thread.join()

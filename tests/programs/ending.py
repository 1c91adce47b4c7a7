"""ending.py HOW: programs that end in an unusual way, threads still at work."""

import atexit
import os
import sys
import threading
import time

import work

HOW = sys.argv[1]


def busy(seed):
    while True:
        work.churn(seed, 20)
        work.compress(seed, 1)


class Late:
    """Goes while modules are being torn down, and allocates then."""

    def __init__(self, churn=work.churn):
        self.churn = churn

    def __del__(self):
        self.churn(1, 10)


late = Late()
late.itself = late
for n in range(4):
    threading.Thread(target=busy, args=(n,), daemon=True).start()
time.sleep(0.1)
print(work.churn(1), flush=True)
if HOW == "normal":
    pass
elif HOW == "os._exit":
    os._exit(7)
elif HOW == "SystemExit":
    raise SystemExit("a message")
elif HOW == "error":
    raise ValueError("x" * 1000)
elif HOW == "atexit":
    atexit.register(lambda: print(work.churn(2)))
elif HOW == "exec":
    os.execv(sys.executable, [sys.executable, "-c", "print('another')"])
elif HOW == "fork":
    pid = os.fork()
    if pid:
        print(os.waitpid(pid, 0)[1])
else:
    raise NotImplementedError(HOW)

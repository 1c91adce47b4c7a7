"""Signals that come in the middle of allocations: handlers in Python that allocate, in threads too."""

import os
import signal
import threading
import time

import work

handled = []
kept = []


def handler(number, frame):
    handled.append(number)
    kept.append(bytearray(len(handled) % 3000))
    del kept[:-50]


for number in (signal.SIGALRM, signal.SIGUSR1, signal.SIGPROF):
    signal.signal(number, handler)
expected = work.churn(1), work.compress(1)
stop = threading.Event()


def send():
    while not stop.is_set():
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(0.0005)


signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
signal.setitimer(signal.ITIMER_PROF, 0.001, 0.001)
threads = [threading.Thread(target=send), threading.Thread(target=work.compress, args=(1, 20))]
for thread in threads:
    thread.start()
for _ in range(20):
    assert (work.churn(1), work.compress(1)) == expected
stop.set()
for thread in threads:
    thread.join()
signal.setitimer(signal.ITIMER_REAL, 0)
signal.setitimer(signal.ITIMER_PROF, 0)
print(len(handled) > 20, {signal.SIGALRM, signal.SIGUSR1} <= set(handled))

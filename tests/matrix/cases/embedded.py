"""Run by a program that starts and ends Python again and again: threads, zlib, a module in C."""

import json
import threading

import work

found = []
thread = threading.Thread(target=lambda: found.append(work.compress(1)))
thread.start()
thread.join()
print(work.churn(1), found, json.loads(json.dumps([1, {"a": 2}])), flush=True)

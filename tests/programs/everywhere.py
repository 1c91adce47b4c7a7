"""Allocates wherever there is a way to be: imports, threads, generators, collections, tracing, the end."""

import ast
import asyncio
import atexit
import gc
import io
import json
import os
import re
import sys
import threading
import tokenize


def work(n):
    def down(i):
        return down(i - 1) if i else [str(j) for j in range(n)]

    for _ in range(20):
        down(150)
        gc.collect(0)
        try:
            int("x" * n)
        except ValueError:
            pass


def generators():
    def inner():
        try:
            yield from range(10)
        finally:
            str(10)

    suspended = [inner() for _ in range(200)]
    for generator in suspended:
        next(generator)


async def tasks():
    await asyncio.gather(*[asyncio.sleep(0) for _ in range(50)])


class Last:
    """Dies in the interpreter's last collection."""

    def __init__(self):
        self.itself = self

    def __del__(self):
        str(12345) + "x"


with open(os.__file__) as file:
    source = file.read()
ast.parse(source)
compile(source, "os.py", "exec")
json.loads(json.dumps([{"a": list(range(i))} for i in range(100)]))
re.sub(r"(\w+) (\w+)", r"\2", source[:20000])
list(tokenize.generate_tokens(io.StringIO(source).readline))
asyncio.run(tasks())
threads = [threading.Thread(target=work, args=(50,)) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
generators()
sys.setprofile(lambda *args: None)
work(5)
sys.setprofile(None)
sys.settrace(lambda *args: None)
work(5)
sys.settrace(None)
sys.last = Last()
atexit.register(work, 10)

"""Scenes in which a stack is taken: each is a function that calls probe() where it is interesting.

A probe takes the stack of its caller by goalloc and by `oracle`.  Used for the walker alone
(test_pystack.py) and for the heap profile (test_profile_stacks.py).
"""

import asyncio
import contextlib
import functools
import gc
import itertools
import json
import re
import signal
import sys
import textwrap
import threading
import weakref

FRAMES_MAX = 128
SCENES = {}


def scene(function):
    SCENES[function.__name__] = function
    return function


def oracle(frame, limit=None):
    """[(qualified name, file, first line, line), ...] of a frame and its callers, the innermost first."""
    stack = []
    while frame is not None and (limit is None or len(stack) < limit):
        code = frame.f_code
        first = code.co_firstlineno
        line = frame.f_lineno
        stack.append((code.co_qualname, code.co_filename, first, first if line is None else line))
        frame = frame.f_back
    return stack


@scene
def function(probe):
    probe()

    def inner(): probe()  # fmt: skip

    inner()
    (
        probe()
    )  # fmt: skip


@scene
def methods(probe):
    class Thing:
        probe()

        def __init__(self):
            probe()

        def method(self):
            def closure():
                return probe(), self

            return closure()

        @classmethod
        def of_class(cls):
            probe()

        @staticmethod
        def static():
            probe()

        @property
        def value(self):
            probe()

        def __getattr__(self, name):
            probe()

        def __eq__(self, other):
            probe()
            return True

        __hash__ = None

        def __enter__(self):
            probe()

        def __exit__(self, *error):
            probe()

        class Nested:
            def method(self):
                probe()

    thing = Thing()
    thing.method()
    Thing.of_class()
    Thing.static()
    thing.value, thing.missing  # noqa: B018
    assert thing == 1
    assert [0].count(thing) == 1
    with thing:
        probe()
    Thing.Nested().method()


@scene
def decorators(probe):
    def decorator(wrapped):
        probe()

        @functools.wraps(wrapped)
        def wrapper(*args, **kwargs):
            probe()
            return wrapped(*args, **kwargs)

        return wrapper

    @decorator
    @functools.cache
    @decorator
    def decorated(argument, *, keyword=None):
        probe()

    decorated(1, keyword=2)

    class Meta(type):
        def __new__(cls, *args):
            probe()
            return super().__new__(cls, *args)

        def __call__(cls):
            probe()
            return super().__call__()

    class Made(metaclass=Meta):
        def __init_subclass__(cls):
            probe()

    class Child(Made):
        pass

    Child()


@scene
def comprehensions(probe):
    [probe() for _ in range(2)]
    {probe() for _ in range(1)}
    {i: probe() for i in range(1)}
    list(probe() for _ in range(1))
    [[probe() for _ in range(1)] for _ in range(1)]
    (lambda: probe())()
    (lambda: [probe() for probe_again in range(1) if (lambda: probe_again)() == 0])()


@scene
def generators(probe):
    def inner(n):
        probe()
        try:
            for i in range(n):
                got = yield i
                probe()
                if got:
                    yield got
        finally:
            probe()

    def outer():
        yield from inner(2)
        probe()

    list(outer())
    g = inner(3)
    next(g)
    g.send("x")
    with contextlib.suppress(ValueError):
        g.throw(ValueError)
    g = inner(2)
    next(g)
    g.close()
    for _ in itertools.islice(map(lambda x: probe(), inner(5)), 2):
        probe()
    next(inner(1))  # closed by its end


@scene
def coroutines(probe):
    class Awaitable:
        def __await__(self):
            probe()
            yield from asyncio.sleep(0).__await__()
            probe()

    @contextlib.asynccontextmanager
    async def manager():
        probe()
        yield
        probe()

    async def numbers():
        for i in range(2):
            await asyncio.sleep(0)
            probe()
            yield i

    async def work(depth):
        if depth:
            return await work(depth - 1)
        await Awaitable()
        async with manager():
            async for _ in numbers():
                probe()
        return [probe() async for _ in numbers()]

    async def main():
        asyncio.get_running_loop().call_soon(probe)
        await asyncio.gather(work(0), work(3), asyncio.to_thread(probe))

    asyncio.run(main())


@scene
def without_files(probe):
    names = {"probe": probe}
    exec("probe()\n\ndef f():\n\n    probe()\nf()", names)
    eval("[probe() for _ in range(1)]", names)
    eval(compile("probe()", "<made up>", "eval"), names)
    exec(compile("\n" * 70000 + "probe()\n", "", "exec"), names)
    code = "\n".join(["x = 1"] * 300 + ["def g():", "    y = 2", "    probe()", "g()"])
    exec(code, names)
    names["f"].__code__ = names["f"].__code__.replace(co_filename="elsewhere.py", co_firstlineno=900)
    names["f"]()


@scene
def callbacks_of_c(probe):
    def key(x):
        probe()
        return x

    sorted([2, 1], key=key)
    min([3, 1], key=lambda x: probe() or x)
    functools.reduce(lambda a, b: probe(), [1, 2, 3])
    functools.partial(key, 1)()
    list(map(key, [1]))
    list(filter(key, [1]))
    re.sub("a", lambda m: probe() or "", "banana")
    json.dumps({1: object()}, default=lambda o: probe())
    json.loads("{}", object_hook=lambda o: probe())
    sorted([1, 2], key=functools.cmp_to_key(lambda a, b: probe() or 0))
    iterator = iter(lambda: probe() or 1, 1)
    next(iterator, None)
    "{0}".format(type("F", (), {"__format__": lambda self, spec: probe() or ""})())


@scene
def exceptions(probe):
    def fails():
        try:
            raise ValueError
        except ValueError:
            probe()
            raise KeyError from None
        finally:
            probe()

    class Manager:
        def __enter__(self):
            return self

        def __exit__(self, kind, value, traceback):
            probe()
            return True

    with Manager():
        fails()
    try:
        fails()
    except* KeyError:
        probe()
    with contextlib.suppress(KeyError), contextlib.ExitStack() as stack:
        stack.callback(probe)
        fails()


@scene
def ends_of_objects(probe):
    class Ending:
        def __del__(self):
            probe()

    def gone(reference):
        probe()

    e = Ending()
    reference = weakref.ref(e, gone)
    weakref.finalize(e, probe)
    del e
    e = Ending()
    e.itself = e
    del e, reference
    gc.collect()
    gc.callbacks.append(lambda phase, info: probe())
    gc.collect()
    gc.callbacks.pop()


@scene
def tracing(probe):
    events = []

    def tracer(frame, event, argument):
        events.append(event)
        if len(events) % 3 == 0:
            probe()
        return tracer

    def traced():
        for i in range(3):
            probe()
        return [x for x in range(2)]

    before = sys.gettrace()
    sys.settrace(tracer)
    traced()
    sys.settrace(before)
    assert events
    sys.setprofile(lambda *args: probe())
    traced()
    sys.setprofile(None)


@scene
def monitoring(probe):
    if sys.version_info < (3, 12):
        return
    monitoring = sys.monitoring
    seen = []
    monitoring.use_tool_id(3, "scenes")
    events = monitoring.events
    kinds = events.LINE, events.PY_START, events.PY_RETURN, events.INSTRUCTION, events.CALL
    ours = without_files.__code__, oracle.__code__

    def callback(code, *args):
        if code in ours and len(seen) < 200:
            seen.append(code)
            probe()

    for kind in kinds:
        monitoring.register_callback(3, kind, callback)
    monitoring.set_events(3, functools.reduce(lambda a, b: a | b, kinds))
    try:
        without_files(probe)
        oracle(sys._getframe(), 3)
    finally:
        monitoring.set_events(3, 0)
        monitoring.free_tool_id(3)
    assert seen


@scene
def names_of_all_kinds(probe):
    for name, file in [
        ("été", "/tmp/ça/là.py"),
        ("имя", "путь.py"),
        ("名前", "道/ファイル.py"),
        ("𝔫𝔞𝔪𝔢", "🐍/𝒻.py"),
        ("a" * 5000, "long/" * 900),
        ("é" * 5000, "λ" * 5000),
        ("", ""),
    ]:
        made = {"probe": probe}
        exec(compile("def f():\n    probe()", file, "exec"), made)
        f = made["f"]
        f.__code__ = f.__code__.replace(co_name=name, co_qualname=name)
        f()
    names = {"probe": probe}
    exec("class Été:\n def 方法(self, ñ=1):\n  return (lambda: probe())()\nÉté().方法()", names)


@scene
def code_objects_that_die(probe):
    """Their addresses are used again, by functions that differ in one thing only."""
    pairs = {
        "first line": ("def f():\n    probe()", "\ndef f():\n    probe()"),
        "line": ("def f():\n\n    probe()", "def f():\n    probe()"),
        "name": ("def f():\n    probe()", "def g():\n    probe()"),
        "path": ("def f():\n    probe()", "def f():\n    probe()"),
        "size": ("def f():\n    probe()", "def f():\n    if probe:\n        probe()"),
    }
    for difference, pair in pairs.items():
        addresses = set()
        for i in range(60):
            path = f"file{i % 2 if difference == 'path' else ''}.py"
            made = {}
            exec(compile(pair[i % 2], path, "exec"), made)
            function = made.popitem()[1]
            made["probe"] = probe
            function()
            addresses.add(id(function.__code__))
            made.clear()
            del function
        # A free-threaded build ends them when the collector comes.
        assert len(addresses) < 30 or "t" in sys.abiflags


@scene
def recursion(probe):
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(12000)

    def down(n):
        if n == 0:
            return probe()
        return down(n - 1)

    try:
        for n in 1, 40, FRAMES_MAX - 60, FRAMES_MAX, FRAMES_MAX * 2, 10000:
            down(n)
    finally:
        sys.setrecursionlimit(limit)


@scene
def threads(probe):
    def work(n):
        for _ in range(n):
            probe()

    class Worker(threading.Thread):
        def run(self):
            work(2)

    workers = [threading.Thread(target=work, args=(2,), name=f"worker {i}") for i in range(3)]
    workers += [Worker(), threading.Timer(0, work, (1,)), threading.Thread(target=probe)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


@scene
def signals(probe):
    if threading.current_thread() is not threading.main_thread():
        return
    before = signal.signal(signal.SIGUSR1, lambda *args: probe())
    signal.raise_signal(signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, before)


@scene
def many_lines(probe):
    lines = ["def f(n):", "    i = 0"]
    lines += [f"    if n == {i}:\n        probe()\n    i += n ** 2 - {i}" for i in range(500)]
    names = {"probe": probe}
    exec(textwrap.dedent("\n".join(lines)), names)
    for n in 0, 1, 250, 499:
        names["f"](n)

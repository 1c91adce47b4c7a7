"""Stands in for pyperf while a benchmark file of pyperformance runs under one of our harnesses.

pyperf calibrates a benchmark and then runs it alone for seconds; here another process decides how
many loops run and when, so that two allocators can take turns many times a second.  It implements
what the benchmark files call, which they find under this name on sys.path.  The timed code is the
same as pyperf's: the benchmark's own function, or the same loop around it.
"""

import argparse
import asyncio
import itertools
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

perf_counter = time.perf_counter  # the child may put another clock here

TimeFunction = Callable[[int], float]


def measure(name: str, time_func: TimeFunction) -> None:
    """Do with a benchmark what the harness asks for; the child puts its own function here."""
    raise NotImplementedError("no harness")


def python_implementation() -> str:
    return sys.implementation.name


class Runner:
    def __init__(self, values: int | None = None, add_cmdline_args: Any = None) -> None:
        self.argparser = argparse.ArgumentParser()
        self.metadata: dict[str, Any] = {}
        self.args: argparse.Namespace | None = None

    def parse_args(self, args: list[str] | None = None) -> argparse.Namespace:
        self.args = self.argparser.parse_args(args)
        return self.args

    def bench_time_func(self, name: str, func: Any, *args: Any, **_: Any) -> None:
        measure(name, lambda loops: func(loops, *args))

    def bench_func(self, name: str, func: Any, *args: Any, **_: Any) -> None:
        def time_func(loops: int) -> float:
            turns = itertools.repeat(None, loops)
            start = perf_counter()
            for _ in turns:
                func(*args)
            return perf_counter() - start

        measure(name, time_func)

    def bench_async_func(
        self, name: str, func: Any, *args: Any, loop_factory: Any = None, **_: Any
    ) -> None:
        async def main(loops: int) -> float:
            turns = itertools.repeat(None, loops)
            start = perf_counter()
            for _ in turns:
                await func(*args)
            return perf_counter() - start

        def time_func(loops: int) -> float:
            if loop_factory is None:
                return asyncio.run(main(loops))
            with asyncio.Runner(loop_factory=loop_factory) as runner:
                return runner.run(main(loops))

        measure(name, time_func)

    def bench_command(self, name: str, command: list[str]) -> None:
        def time_func(loops: int) -> float:
            start = time.perf_counter()  # the work isn't this process's
            for _ in range(loops):
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            return time.perf_counter() - start

        measure(name, time_func)

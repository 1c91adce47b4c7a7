"""A threaded service under load for as long as wanted, with everything else going on all the time.

    python tests/matrix/soak.py --minutes 60

Workers answer requests, hand blocks to each other and keep a bounded cache; a saboteur forks, makes and
ends interpreters, takes goalloc out and in again, gives memory back, sets limits and delays, changes the
rate of the profile and reads it, takes snapshots, and proves the heap with check().  Every half minute
there is a line: the resident size, what lives on goalloc, what is held beyond that, and what was done.
Exit status 0: nothing failed, and in the later half of the time no more is held beyond what lives than in
the earlier half.  What lives is Python's own affair, which from 3.12 on leaks some with each interpreter.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import os
import queue
import random
import sys
import threading
import time
import traceback
import warnings
import zlib
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "programs"))

import goalloc
import interps
import work

MIB = 1 << 20
WORKERS = 4
CACHED = 400
REPORT_SECONDS = 30
# Of what is held beyond what lives: more than this must not be added in the later half.
SLACK = 16 * MIB

_INTERPRETER = """
import sys; sys.path.insert(0, folder)
import work
assert work.churn(seed, 60) == expected
"""


class Service:
    """Workers that answer requests; each answer is known, so that a wrong byte is noticed."""

    def __init__(self) -> None:
        self.requests: queue.Queue[tuple[int, bytes]] = queue.Queue(100)
        self.cache: OrderedDict[int, list[object]] = OrderedDict()
        self.lock = threading.Lock()
        self.stop = threading.Event()
        self.answered = 0
        self.errors: list[str] = []
        self.expected = {seed: work.churn(seed, 60) for seed in range(20)}

    def start(self) -> list[threading.Thread]:
        targets = [self._feed] + [self._serve] * WORKERS
        threads = [threading.Thread(target=self._guarded, args=(t,)) for t in targets]
        for thread in threads:
            thread.start()
        return threads

    def _guarded(self, target: Callable[[random.Random], None]) -> None:
        try:
            target(random.Random(threading.get_ident()))
        except BaseException:
            self.errors.append(traceback.format_exc())
            self.stop.set()

    def _feed(self, rng: random.Random) -> None:
        while not self.stop.is_set():
            with contextlib.suppress(queue.Full):
                body = bytes([rng.randrange(256)]) * rng.choice(work.SIZES)
                self.requests.put((rng.randrange(20), body), timeout=0.1)
            if rng.random() < 0.02:
                time.sleep(rng.random() / 5)  # load comes and goes

    def _serve(self, rng: random.Random) -> None:
        while not self.stop.is_set():
            try:
                seed, body = self.requests.get(timeout=0.1)
            except queue.Empty:
                continue
            assert work.churn(seed, 60) == self.expected[seed]
            packed = zlib.compress(body)
            assert zlib.decompress(packed) == body
            with self.lock:
                self.cache[rng.randrange(2 * CACHED)] = [body, packed, {seed: str(seed)}]
                while len(self.cache) > CACHED:
                    self.cache.popitem(last=False)
                self.answered += 1


class Saboteur:
    """One thing after another that a service may do to its memory."""

    def __init__(self, service: Service, seed: int) -> None:
        self.service = service
        self.rng = random.Random(seed)
        self.launched = goalloc.mode() == "launch"
        self.done: Counter[str] = Counter()
        # How often, against each other.
        self.actions: dict[Callable[[], None], int] = {
            self.fork: 4,
            self.interpreter: 1,
            self.toggle: 4,
            self.give_back: 3,
            self.limit: 2,
            self.snapshot: 3,
            self.equations: 20,
            self.check: 5,
            self.profile: 4,
            self.threads: 4,
        }

    def act(self) -> None:
        (action,) = self.rng.choices(list(self.actions), self.actions.values())
        action()
        self.done[action.__name__] += 1

    def fork(self) -> None:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                seed = self.rng.randrange(20)
                right = work.churn(seed, 60) == self.service.expected[seed]
                goalloc.check()
                status = not right
            finally:
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert status == 0, f"a forked child: {status}"

    def interpreter(self) -> None:
        i = interps.create(self.rng.choice(interps.KINDS))
        seed = self.rng.randrange(20)
        interps.run(
            i,
            _INTERPRETER,
            folder=sys.path[0],
            seed=seed,
            expected=self.service.expected[seed],
        )
        interps.destroy(i)

    def toggle(self) -> None:
        """Out, and in again in one of the modes; a launched process stays as it is."""
        if self.launched:
            return
        goalloc.uninstall()
        assert goalloc.mode() is None
        mode = self.rng.choice(("import", "import", "wrap"))
        assert goalloc.install(mode) == mode == goalloc.mode()

    def give_back(self) -> None:
        goalloc.free_os_memory()
        goalloc.set_scavenge_delay(self.rng.choice((None, 0.001, 0.1, 1, 1)))

    def limit(self) -> None:
        goalloc.set_memory_limit(self.rng.choice((None, "20MiB", "100MiB")))

    def snapshot(self) -> None:
        first, second = goalloc.snapshot(), goalloc.snapshot()
        with contextlib.suppress(ValueError):  # one of a heap, one of wrap mode
            second.diff(first)

    def equations(self) -> None:
        if goalloc.mode() == "wrap":
            assert goalloc.memstats().mallocs > 0
            return
        m = goalloc.memstats()
        assert m.heap_idle + m.heap_inuse == m.heap_sys
        assert m.mallocs - m.frees == m.heap_objects

    def check(self) -> None:
        goalloc.check()

    def profile(self) -> None:
        goalloc.set_profile_rate(self.rng.choice((0, 1 << 12, 1 << 19, 1 << 19)))
        assert goalloc.heap_profile() is not None

    def threads(self) -> None:
        threads = [threading.Thread(target=work.compress, args=(n, 1)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def of_the_heap() -> goalloc.MemStats:
    """The statistics of goalloc's heap, whatever mode it is in."""
    from goalloc import _core
    from goalloc.heap import HeapView

    return HeapView(_core.process_heap()).memstats()


def report(seconds: float, service: Service, saboteur: Saboteur) -> int:
    """Prints a line; returns the bytes that are held beyond what lives."""
    size, m = resident(), of_the_heap()
    ours = m.sys - m.heap_released - m.heap_inuse_released - m.alloc
    done = ", ".join(f"{n} {name}" for name, n in sorted(saboteur.done.items()))
    print(
        f"{seconds:6.0f} s: {size / MIB:6.1f} MiB resident, {m.alloc / MIB:6.1f} live, "
        f"{(size - m.alloc) / MIB:6.1f} beyond (of it {ours / MIB:.1f} goalloc's, "
        f"{m.buck_hash_sys / MIB:.1f} its profile's); {service.answered} requests; {done}",
        flush=True,
    )
    return size - m.alloc


def is_flat(held: list[int]) -> bool:
    """Of what is held beyond what lives, at each report: the first quarter is for warming up."""
    steady = held[len(held) // 4 :]
    half = len(steady) // 2
    return half == 0 or max(steady[half:]) <= max(steady[:half]) * 1.1 + SLACK


def soak(minutes: float, seed: int) -> int:
    service = Service()
    saboteur = Saboteur(service, seed)
    threads = service.start()
    begin = reported = time.monotonic()
    held: list[int] = []
    try:
        while not service.stop.is_set() and time.monotonic() < begin + 60 * minutes:
            saboteur.act()
            time.sleep(saboteur.rng.random() / 20)
            now = time.monotonic()
            if now - reported < REPORT_SECONDS:
                continue
            reported = now
            held.append(report(now - begin, service, saboteur))
    finally:
        service.stop.set()
        for thread in threads:
            thread.join()
    goalloc.check()
    for error in service.errors:
        print(error, file=sys.stderr)
    flat = is_flat(held)
    print("flat" if flat else "what is held beyond what lives has grown")
    return 0 if flat and not service.errors else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.getrandbits(32))
    options = parser.parse_args()
    faulthandler.enable()
    warnings.simplefilter("ignore", DeprecationWarning)  # of fork among threads
    if goalloc.mode() is None:
        goalloc.install("import")
    print(f"{sys.version.split()[0]}, {goalloc.mode()} mode, seed {options.seed}", flush=True)
    return soak(options.minutes, options.seed)


if __name__ == "__main__":
    sys.exit(main())

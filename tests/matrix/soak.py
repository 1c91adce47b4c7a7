"""A threaded service under load for as long as wanted, with everything else going on all the time.

    python -m goalloc run tests/matrix/soak.py --minutes 60     launched
    python tests/matrix/soak.py --minutes 60                    installed
    python tests/matrix/soak.py --minutes 60 --stay             installed, and never taken out
    python tests/matrix/soak.py --minutes 60 --stock            the same program without goalloc

Workers answer requests, hand blocks to each other and keep a bounded cache; a saboteur forks, makes and
ends interpreters, takes goalloc out and in again, gives memory back, sets limits and delays, changes the
rate of the profile and reads it, takes snapshots, and proves the heap with check().  Every minute there is
a line: see soakstate.py.  At pace 1 it waits most of the time, so that others can use the machine too.
--save keeps what was seen in results/.

Exit status 0: nothing failed, and in the later half of the time no more is held beyond what lives than in
the earlier half.  What lives is Python's own affair: 3.12 and 3.13 leave some behind with each interpreter.
On stock, where what lives is not known, no judgement is made.
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
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "programs"))

import flat
import goalloc
import interps
import place
import soakstate
import work

WORKERS = 4
CACHED = 400
REQUESTS_PER_SECOND = 40
ACTS_PER_SECOND = 5
REPORT_SECONDS = 60

_INTERPRETER = """
import sys; sys.path.insert(0, folder)
import work
assert work.churn(seed, 60) == expected
"""


class Service:
    """Workers that answer requests; each answer is known, so that a wrong byte is noticed."""

    def __init__(self, pace: float) -> None:
        self.pace = pace
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
            time.sleep(rng.expovariate(self.pace * REQUESTS_PER_SECOND))  # load comes and goes

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
    """One thing after another that a service may do to its memory.

    On stock what is done to goalloc is left out, and all else is done as often.  A launched process
    stays one, and so does what is to stay.
    """

    def __init__(self, service: Service, seed: int, stock: bool, stay: bool) -> None:
        self.service = service
        self.rng = random.Random(seed)
        self.stock = stock
        self.done: Counter[str] = Counter()
        # How often, against each other.
        self.common: dict[Callable[[], None], int] = {
            self.fork: 4,
            self.interpreter: 1,
            self.threads: 4,
        }
        self.actions: dict[Callable[[], None], int] = {
            **self.common,
            self.toggle: 4,
            self.give_back: 3,
            self.limit: 2,
            self.snapshot: 3,
            self.equations: 20,
            self.check: 5,
            self.profile: 4,
        }
        self.left_out: set[Callable[[], None]] = set()
        if stock:
            self.left_out = self.actions.keys() - self.common.keys()
        elif stay or goalloc.mode() == "launch":
            self.left_out = {self.toggle}

    def act(self) -> None:
        (action,) = self.rng.choices(list(self.actions), list(self.actions.values()))
        if action not in self.left_out:
            action()
            self.done[action.__name__] += 1

    def fork(self) -> None:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                seed = self.rng.randrange(20)
                right = work.churn(seed, 60) == self.service.expected[seed]
                if not self.stock:
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
        """Out, and in again in one of the modes."""
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


def soak(options: argparse.Namespace) -> tuple[list[soakstate.State], list[str]]:
    """What was seen, once a minute and at the end, and what failed."""
    stock, pace = options.stock, options.pace
    service = Service(pace)
    saboteur = Saboteur(service, options.seed, stock, options.stay)
    threads = service.start()
    begin = reported = time.monotonic()
    seen: list[soakstate.State] = []

    def look() -> None:
        seconds = time.monotonic() - begin
        seen.append(soakstate.look(stock, seconds, service.answered, saboteur.done))
        print(seen[-1], flush=True)

    try:
        while not service.stop.is_set() and time.monotonic() < begin + 60 * options.minutes:
            saboteur.act()
            time.sleep(saboteur.rng.expovariate(pace * ACTS_PER_SECOND))
            if time.monotonic() - reported >= REPORT_SECONDS:
                reported = time.monotonic()
                look()
    except BaseException:
        service.errors.append(traceback.format_exc())
    finally:
        service.stop.set()
        for thread in threads:
            thread.join()
    look()
    return seen, service.errors


def options_of(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.getrandbits(32))
    parser.add_argument("--pace", type=float, default=1, help="requests and all else, times this")
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--stock", action="store_true", help="without goalloc")
    ways.add_argument("--stay", action="store_true", help="goalloc is never taken out")
    parser.add_argument("--save", action="store_true", help="keep what was seen in results/")
    options = parser.parse_args(argv)
    if options.stock and goalloc.mode() is not None:
        parser.error(f"--stock, and goalloc is there in {goalloc.mode()} mode")
    return options


def main(argv: list[str] | None = None) -> int:
    options = options_of(argv)
    faulthandler.enable()
    warnings.simplefilter("ignore", DeprecationWarning)  # of fork among threads
    if goalloc.mode() is None and not options.stock:
        goalloc.install("import")
    mode = "stock" if options.stock else goalloc.mode()
    if options.stay and mode == "import":
        mode = "import, staying"
    about: dict[str, Any] = {
        **place.describe(),
        "mode": mode,
        "seed": options.seed,
        "pace": options.pace,
    }
    print(f"{about['version']}, {mode} mode, seed {options.seed}", flush=True)
    seen, errors = soak(options)
    if not options.stock:
        goalloc.check()
    for error in errors:
        print(error, file=sys.stderr)
    steady = options.stock or flat.is_flat([state.beyond for state in seen])
    if options.save and not errors:
        path = place.RESULTS / f"soak-{place.column()}-{mode.replace(', ', '-')}.json"
        place.save(path, {**about, "flat": steady, "seen": [state.record() for state in seen]})
    if not options.stock:
        print("flat" if steady else "what is held beyond what lives has grown")
    return 0 if steady and not errors else 1


if __name__ == "__main__":
    sys.exit(main())

"""A service as a Python program might be: worker threads, a queue, sessions, bursts and idle times.

service.py JOB    JOB is JSON; runs the schedule and prints one line of JSON

Four kinds of request, sizes drawn evenly on a logarithmic scale.  Bodies wait in the queue, as they
do in a service that reads them when they come.  Sessions that expire and a few that stay, cached
pages and responses on their way out make lives of all lengths.  A cycle of the schedule is a steady
stream, then a burst that comes all at once, then idling, in which only housekeeping runs.  Cycles
start by the clock, so every allocator has the same work at the same time.
"""

import json
import queue
import random
import sys
import threading
import time
import zlib
from array import array
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, NamedTuple

from child import require_allocator

_WORKERS = 8
_CHUNK = 16 << 10  # an upload is taken over in these
_LINE = 20  # bytes of a message that stand for one line of it
_ROW = 100  # bytes a row of a page or a report stands for
_SESSION_LIFE = 6.0  # seconds; the sessions of a burst end in the idle time behind it
_USERS = 20_000
_STAYS = 50  # one of so many users stays logged in
_HISTORY = 20  # messages a session remembers
_PAGES = 200  # cached
_OUTBOX = 200  # responses not yet sent
_TICK = 0.5  # seconds between housekeeping
_SEED = 4

_KINDS = {  # name -> share of the requests, smallest and largest size in bytes
    "message": (0.60, 200, 4_000),
    "page": (0.25, 4_000, 64_000),
    "upload": (0.10, 16_000, 2_000_000),
    "report": (0.05, 100_000, 2_000_000),
}


class Request(NamedTuple):
    due: float
    kind: str
    size: int
    user: int
    body: bytes


class Store:
    """What outlives a request.  One lock around all of it: the work is done outside."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._sessions: dict[int, dict[str, Any]] = {}
        self._pages: OrderedDict[int, bytes] = OrderedDict()
        self.outbox: deque[bytes] = deque(maxlen=_OUTBOX)

    def session(self, user: int) -> dict[str, Any]:
        with self.lock:
            fresh = {"user": user, "history": deque(maxlen=_HISTORY)}
            session = self._sessions.setdefault(user, fresh)
            session["seen"] = time.monotonic()
            return session

    def keep_page(self, user: int, page: bytes) -> None:
        with self.lock:
            self._pages[user] = page
            while len(self._pages) > _PAGES:
                self._pages.popitem(last=False)

    def keep_house(self) -> None:
        """Forget expired sessions; what lay in the outbox is sent."""
        with self.lock:
            limit = time.monotonic() - _SESSION_LIFE
            expired = [
                user
                for user, session in self._sessions.items()
                if session["seen"] < limit and user % _STAYS != 0
            ]
            for user in expired:
                del self._sessions[user]
            self.outbox.clear()


def message(store: Store, request: Request) -> bytes:
    """JSON comes in, is remembered in the session, and JSON goes out."""
    received = json.loads(request.body)
    history = store.session(request.user)["history"]
    history.append(received)
    return json.dumps({"known": len(history), "last": received}).encode()


def page(store: Store, request: Request) -> bytes:
    """Markup put together from many small strings, encoded, and cached."""
    rows = [
        f"<tr><td>{i}</td><td>user {request.user}</td><td>{i * request.size:,}</td></tr>"
        for i in range(request.size // _ROW)
    ]
    made = "\n".join(["<table>", *rows, "</table>"]).encode()
    store.keep_page(request.user, made)
    return made


def upload(store: Store, request: Request) -> bytes:
    """A buffer that grows chunk by chunk, its checksum, and a small part that stays."""
    buffer = bytearray()
    for begin in range(0, len(request.body), _CHUNK):
        buffer += request.body[begin : begin + _CHUNK]
    store.session(request.user)["thumbnail"] = bytes(buffer[: len(buffer) // 100])
    return b"%d %d" % (len(buffer), zlib.crc32(buffer))


def report(store: Store, request: Request) -> bytes:
    """Thousands of small dicts, sorted, summed up and written as JSON."""
    rng = random.Random(request.user)
    rows = [
        {"id": i, "name": f"item {i}", "price": rng.random(), "group": i % 17}
        for i in range(request.size // _ROW)
    ]
    rows.sort(key=lambda row: row["price"])
    sums: dict[int, float] = {}
    for row in rows:
        sums[row["group"]] = sums.get(row["group"], 0.0) + row["price"]
    return json.dumps({"user": request.user, "rows": rows, "sums": sums}).encode()


_HANDLERS: dict[str, Callable[[Store, Request], bytes]] = {
    "message": message, "page": page, "upload": upload, "report": report,
}  # fmt: skip


class Service:
    """Worker threads that take requests from one queue."""

    def __init__(self) -> None:
        self.store = Store()
        self.failure: BaseException | None = None
        self._queue: queue.Queue[tuple[Request, array[float]] | None] = queue.Queue()
        self._threads = [threading.Thread(target=self._work) for _ in range(_WORKERS)]
        for thread in self._threads:
            thread.start()

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            request, latencies = item
            try:
                self.store.outbox.append(_HANDLERS[request.kind](self.store, request))
            except BaseException as failure:
                self.failure = failure
            latencies.append(time.monotonic() - request.due)
            self._queue.task_done()
            del item, request

    def submit(self, request: Request, latencies: "array[float]") -> None:
        self._queue.put((request, latencies))

    def drain(self) -> None:
        """Wait until every request is done."""
        self._queue.join()
        if self.failure is not None:
            raise self.failure

    def stop(self) -> None:
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()


def _body(kind: str, size: int, user: int) -> bytes:
    """What the client sends; pages and reports are only asked for."""
    if kind == "message":
        lines = [{"line": i, "text": f"text {i}"} for i in range(size // _LINE)]
        return json.dumps({"user": user, "lines": lines}).encode()
    return b"x" * size if kind == "upload" else b""


def draw(rng: random.Random, due: float) -> Request:
    shares = [share for share, _, _ in _KINDS.values()]
    [kind] = rng.choices(list(_KINDS), shares)
    _, least, most = _KINDS[kind]
    size, user = int(least * (most / least) ** rng.random()), rng.randrange(_USERS)
    return Request(due, kind, size, user, _body(kind, size, user))


def _idle(store: Store, until: float) -> None:
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, _TICK))
        store.keep_house()


def _steady(service: Service, rng: random.Random, job: dict[str, Any], latencies: Any) -> None:
    """Requests that are due one by one; a late one counts from when it was due."""
    due, until = time.monotonic(), time.monotonic() + job["steady"]
    tick = due + _TICK
    while due < until:
        time.sleep(max(due - time.monotonic(), 0.0))
        service.submit(draw(rng, due), latencies)
        if due >= tick:
            service.store.keep_house()
            tick += _TICK
        due += rng.expovariate(job["rate"])
    service.drain()


def _burst(service: Service, rng: random.Random, job: dict[str, Any], latencies: Any) -> float:
    """All at once; the seconds until the last is done."""
    begin = time.monotonic()
    for _ in range(job["burst"]):
        service.submit(draw(rng, begin), latencies)
    service.drain()
    return time.monotonic() - begin


def run(job: dict[str, Any]) -> dict[str, Any]:
    require_allocator(job)
    rng, service = random.Random(_SEED), Service()
    steady, burst = array("d"), array("d")
    busy = 0.0
    start, cpu = time.monotonic(), time.process_time()
    try:
        for cycle in range(job["cycles"]):
            _steady(service, rng, job, steady)
            busy += _burst(service, rng, job, burst)
            _idle(service.store, start + (cycle + 1) * job["period"])
    finally:
        service.stop()
    return {
        "start": start, "end": time.monotonic(), "cpu": time.process_time() - cpu,
        "requests": len(steady) + len(burst), "burst_rate": len(burst) / busy,
        "latencies": sorted(steady),
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(run(json.loads(sys.argv[1]))))

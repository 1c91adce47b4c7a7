"""Threads that hand messages to each other through queues: made by one, freed by another."""

import queue
import threading

_WORKERS = 3


def main(scale: float) -> int:
    work: queue.SimpleQueue[dict[str, str] | None] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[int, str]] = queue.SimpleQueue()
    count = int(120_000 * scale)

    def worker() -> None:
        while (message := work.get()) is not None:
            text = " ".join(f"{key}={value}" for key, value in message.items())
            done.put((len(text), text[:20]))

    threads = [threading.Thread(target=worker) for _ in range(_WORKERS)]
    for thread in threads:
        thread.start()
    for n in range(count):
        work.put({"id": str(n), "body": "x" * (n % 200), "reply": f"queue {n % 5}"})
    for _ in threads:
        work.put(None)
    for thread in threads:
        thread.join()
    return sum(done.get()[0] for _ in range(count))

"""A preforking server: a warm parent, workers that serve, end after some requests and are replaced."""

import gc
import os
import signal
import socket

import work

WORKERS, REQUESTS, EACH = 4, 120, 15


def serve(listener):
    """A worker: EACH requests, then its end."""
    for _ in range(EACH):
        connection, _ = listener.accept()
        with connection:
            seed = int(connection.recv(100))
            connection.sendall(b"%d" % work.churn(seed, 40))


def start(listener):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            serve(listener)
            status = 0
        finally:
            os._exit(status)
    return pid


warm = [{n: str(n)} for n in range(20_000)]
gc.freeze()
listener = socket.create_server(("127.0.0.1", 0), backlog=50)
workers = {start(listener) for _ in range(WORKERS)}
answers, ended = [], 0
for seed in range(REQUESTS):
    with socket.create_connection(listener.getsockname()) as client:
        client.sendall(b"%d" % (seed % 7))
        answers.append(client.recv(100))
    while (found := os.waitpid(-1, os.WNOHANG))[0]:
        assert found[1] == 0, found
        workers.remove(found[0])
        workers.add(start(listener))
        ended += 1
for pid in workers:
    os.kill(pid, signal.SIGTERM)
    os.waitpid(pid, 0)
print(answers == [b"%d" % work.churn(seed % 7, 40) for seed in range(REQUESTS)], ended > 3)
print(sum(len(d) for d in warm))

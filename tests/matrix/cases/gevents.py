"""gevent with the standard library patched: a server and its clients, a pool of native threads."""

from gevent import monkey

monkey.patch_all()

import socket  # noqa: E402

import gevent  # noqa: E402
import gevent.server  # noqa: E402
import work  # noqa: E402


def handle(connection, address):
    seed = int(connection.recv(100))
    connection.sendall(b"%d" % work.churn(seed, 20))


server = gevent.server.StreamServer(("127.0.0.1", 0), handle)
server.start()


def ask(seed):
    with socket.create_connection(("127.0.0.1", server.server_port)) as client:
        client.sendall(b"%d" % seed)
        return int(client.recv(100))


jobs = [gevent.spawn(ask, n % 5) for n in range(100)]
gevent.joinall(jobs, timeout=60)
print([job.value for job in jobs] == [work.churn(n % 5, 20) for n in range(100)])
pool = gevent.get_hub().threadpool
print(list(pool.map(work.compress, [1, 2, 3])))
server.stop()

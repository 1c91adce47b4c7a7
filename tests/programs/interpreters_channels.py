"""interpreters_channels.py KIND: blocks made in one interpreter and freed by another."""

import sys
import threading
import time

import goalloc
import interps
import work

KIND = sys.argv[1]
ROUNDS = 300
ECHO = """
import sys; sys.path.insert(0, folder)
import interps, time
for _ in range(rounds):
    while (value := interps.receive(inbox)) is None:
        time.sleep(0.0001)
    interps.send(outbox, value + value)
"""


def echo(i, inbox, outbox):
    interps.run(i, ECHO, folder=sys.path[0], rounds=ROUNDS, inbox=int(inbox), outbox=int(outbox))


lines = []
for _ in range(3):
    i, inbox, outbox = interps.create(KIND), interps.create_channel(), interps.create_channel()
    thread = threading.Thread(target=echo, args=(i, inbox, outbox))
    thread.start()
    lines.append((i, inbox, outbox, thread))
for n in range(ROUNDS):
    size = work.SIZES[n % len(work.SIZES)]
    value = bytes([n % 256]) * size if n % 2 else chr(97 + n % 26) * size
    for _, inbox, _, _ in lines:
        interps.send(inbox, value)
    for _, _, outbox, _ in lines:
        while (answer := interps.receive(outbox)) is None:
            time.sleep(0.0001)
        assert answer == value + value, n
for i, _, _, thread in lines:
    thread.join()
    interps.destroy(i)
goalloc.check()

# Sent and never received; of half of them the sender ends first.
code = "import sys; sys.path.insert(0, folder)\nimport interps\n"
code += "for n in range(50): interps.send(channel, b'x' * 100 * n)"
for late in range(10):
    i, channel = interps.create(KIND), interps.create_channel()
    interps.run(i, code, folder=sys.path[0], channel=int(channel))
    if late % 2 or sys.version_info < (3, 12):  # which can't drop what an ended one has sent
        del channel
    interps.destroy(i)
goalloc.check()
print(work.churn(1))

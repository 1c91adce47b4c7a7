"""Interpreters and the channels between them, by whatever name this Python has them.

Run as a program it prints nothing; the others import it.
"""

import sys

if sys.version_info >= (3, 13):
    import _interpchannels as channels
    import _interpreters as interpreters
elif sys.version_info >= (3, 12):
    import _xxinterpchannels as channels
    import _xxsubinterpreters as interpreters
else:
    import _xxsubinterpreters as interpreters

    channels = None

# Objects are shared by all interpreters before 3.12: no two have a GIL of their own.
KINDS = ["legacy", "isolated"] if sys.version_info >= (3, 12) else ["legacy"]
destroy = interpreters.destroy


def create(kind):
    if sys.version_info >= (3, 13):
        return interpreters.create(kind)
    return interpreters.create(isolated=kind == "isolated")


def run(interpreter, code, /, **shared):
    error = interpreters.run_string(interpreter, code, shared)
    if error is not None:
        raise RuntimeError(error.formatted)


def create_channel():
    """Lives as long as the object; int() of it is its id."""
    if channels is None:
        return interpreters.channel_create()
    if sys.version_info >= (3, 13):
        return channels.create(3)  # values stay, also when their sender has ended
    return channels.create()


def send(channel, value):
    """Does not wait for the receiver."""
    if channels is None:
        interpreters.channel_send(channel, value)
    elif sys.version_info >= (3, 13):
        channels.send(channel, value, blocking=False)
    else:
        channels.send(channel, value)


_NOTHING = object()


def receive(channel):
    """The next value; None where there is none yet."""
    if channels is None:
        value = interpreters.channel_recv(channel, _NOTHING)
    else:
        value = channels.recv(channel, _NOTHING)
    if sys.version_info >= (3, 13) and value is not _NOTHING:
        value = value[0]  # beside it: what to put for a value whose interpreter has ended
    return None if value is _NOTHING else value

"""Scenario D: 200 bytearrays grown side by side in 400 steps to 400 kB each, then freed.

Every bytearray is reallocated again and again with the others' in its way.  The last one stays, as
the variable of a loop does in a program: a heap that can only shrink at its end is held up by it.
"""

_BUFFERS = 200
_STEPS = 400
_CHUNK = 1000  # bytes a step


def run(scale: float) -> bytearray:
    buffers = [bytearray() for _ in range(max(int(_BUFFERS * scale), 1))]
    for _ in range(_STEPS):
        for buffer in buffers:
            buffer.extend(b"x" * _CHUNK)
    return buffer

"""interpreters_outlived.py KIND: blocks that outlive the interpreter which made them.

Raw ones of every size, mem ones too large for pymalloc, and, where the allocator is shared, small ones
of mem and obj: all that a plain python allows.  They are filled, read and freed by the main one.
"""

import ctypes
import os
import sys

import interps
from goalloc import _core

KIND = sys.argv[1]
KINDS_OF_BLOCKS = {"raw": (1, 100, 600, 40_000, 1 << 20), "mem": (600, 5000, 40_000, 1 << 20)}
if KIND == "legacy":
    KINDS_OF_BLOCKS |= {"obj": (1, 100, 600, 40_000)}
    KINDS_OF_BLOCKS["mem"] += (1, 100)

CODE = """
import os
from goalloc import _core
made = [(d, n, _core._domain_malloc(d, n)) for _ in range(20) for d, ns in wanted for n in ns]
with os.fdopen(out, "w") as file:
    file.write(repr(made))
"""

wanted = [(domain, list(sizes)) for domain, sizes in KINDS_OF_BLOCKS.items()]
for _ in range(5):
    i = interps.create(KIND)
    read, write = os.pipe()
    interps.run(i, f"wanted = {wanted!r}\nout = {write}\n" + CODE)
    made = eval(os.fdopen(read).read())
    for _, n, p in made[::2]:
        ctypes.memset(p, n % 251, n)
    for domain, _, p in made[1::4]:
        _core._domain_free(domain, p)  # the interpreter is there
    interps.destroy(i)
    left = made[::2] + made[3::4]
    others = [bytearray(n % 3000) for n in range(5000)]
    for domain, n, p in left:
        if (domain, n, p) in made[::2]:
            assert ctypes.string_at(p, n) == bytes([n % 251]) * n
        grown = _core._domain_realloc(domain, p, n + 3000)
        _core._domain_free(domain, grown)
print(len(made))

"""What runs in an interpreter before its program: by the launch shim, or where goalloc is enabled.

Both are rare.  Neither may disturb the program: what goes wrong is one line on stderr.
"""

from __future__ import annotations

import os
import sys


def launched(children: bool) -> None:
    """In a launched interpreter that is to write a profile (csrc/pystart.c calls it).

    children: whether those of this process run on goalloc too
    """
    from . import autoprofile
    from .hooks import install, mode

    if mode() is None:  # the allocators had to stay: observe them
        install()
    autoprofile.start_from(os.environ)
    if not children:
        for name in autoprofile.VARIABLES:
            os.environ.pop(name, None)


_begun = False


def enabled() -> None:
    """In an environment with `goalloc enable`, when GOALLOC=1: import mode, from the start.

    site processes a .pth file twice in virtual environments before 3.14; the second time is empty.
    """
    global _begun
    if _begun:
        return
    _begun = True
    try:
        from . import autoprofile
        from .hooks import install, mode

        if mode() is None:
            install()
        autoprofile.start_from(os.environ)
    except Exception as error:
        print(f"goalloc: warning: {error}", file=sys.stderr)

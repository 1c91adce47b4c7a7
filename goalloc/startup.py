"""What runs in an interpreter before its program: by the launch shim, or where goalloc is enabled.

Both are rare.  Neither may disturb the program: what goes wrong is one line on stderr.
"""

from __future__ import annotations

import os


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


_YES = ("1", "yes", "true", "on")
_NO = ("0", "no", "false", "off")
_begun = False


def enabled(asked: str = "1") -> None:
    """In an environment with `goalloc enable`, when GOALLOC=1: import mode, from the start.

    asked: what GOALLOC is; a yes or no in other words will do, and others are told.  What was written
    by an older `goalloc enable` calls it without, and only where GOALLOC is 1.
    site processes a .pth file twice in virtual environments before 3.14; the second time is empty.
    """
    global _begun
    if _begun:
        return
    _begun = True
    from .notices import warn

    if asked.lower() not in _YES:
        if asked.lower() not in _NO:
            warn(f"GOALLOC is 1 or off, not {asked!r}: taken as off")
        return
    try:
        from . import autoprofile
        from .hooks import install, mode

        if mode() is None:
            install()
        autoprofile.start_from(os.environ)
    except ImportError as error:
        from .unbuilt import told

        warn(told(error))
    except Exception as error:
        warn(error)

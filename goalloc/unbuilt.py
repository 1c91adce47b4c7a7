"""Where goalloc has no compiled part for this Python: what to say, in the same words from everywhere."""

from __future__ import annotations

import sys


def reason() -> str | None:
    """One sentence why nothing of goalloc's core can be had here, or None."""
    try:
        from . import _core  # noqa: F401
    except ImportError as error:
        return _sentence(error)
    return None


def told(error: ImportError) -> ImportError:
    """The same as an exception, if the core is what could not be imported; else the error itself."""
    return ImportError(_sentence(error), name=__package__) if "_core" in str(error) else error


def _sentence(error: ImportError) -> str:
    from . import __path__

    folder = __path__[0]
    if _has_core(folder):
        return f"goalloc's compiled part does not load: {error}"
    others = _tags(folder)
    if others:
        what = f"a goalloc that is built for another Python ({', '.join(others)})"
        way_out = f"install it for this one, {sys.executable}"
    else:
        what = "goalloc's sources, not built for this Python"
        way_out = "run it from another folder, or install it"
    hidden = _hidden()
    if hidden is not None:
        what += f", and hides the goalloc that is installed in {hidden}"
        way_out = "run it from another folder" if not others else "take its folder out of the path"
    return f"{folder} holds {what}: {way_out}"


def _hidden() -> str | None:
    """Where the path leads to another goalloc, which could be imported."""
    import os
    from importlib.machinery import PathFinder

    home = os.path.realpath(os.path.dirname(os.path.dirname(__file__)))
    spec = PathFinder.find_spec("goalloc", [p for p in sys.path if os.path.realpath(p) != home])
    folders = [] if spec is None else spec.submodule_search_locations or []
    return next((os.path.dirname(folder) for folder in folders if _has_core(folder)), None)


def _has_core(folder: str) -> bool:
    import os
    from importlib.machinery import EXTENSION_SUFFIXES

    return any(os.path.exists(os.path.join(folder, "_core" + suffix)) for suffix in EXTENSION_SUFFIXES)


def _tags(folder: str) -> list[str]:
    """Which Pythons there is a compiled part for: cpython-313-x86_64-linux-gnu."""
    import os

    names = (name.split(".") for name in sorted(os.listdir(folder)))
    return [tag for stem, tag, ending in (n for n in names if len(n) == 3) if (stem, ending) == ("_core", "so")]

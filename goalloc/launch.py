"""Launch mode: programs that have goalloc in place before their interpreter makes its first block.

The way in is a shared object in LD_PRELOAD (csrc/preload.c says how it works and what it reads from
the environment); this module finds it, writes the environment, and becomes the program by exec.  So
arguments, stdin, signals, exit status, __main__ and sys.path are those of a plain python.
"""

from __future__ import annotations

import os
import sys

from .notices import warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

_OPTIONS_WITH_VALUE = "WX"
_OPTIONS_OF_TARGET = "cm"


def preload_path() -> str | None:
    """The shim that goes into LD_PRELOAD; None if this installation has none for this Python."""
    from importlib.machinery import EXTENSION_SUFFIXES

    folder = os.path.dirname(os.path.abspath(__file__))
    for suffix in EXTENSION_SUFFIXES:
        path = os.path.join(folder, "_preload" + suffix)
        if os.path.exists(path):
            return path
    return None


def obstacle() -> str | None:
    """One sentence why no program can be launched from here, or None.

    The shim has more reasons, which depend on the program's own options; it gives them itself.
    """
    path = preload_path()
    if path is None:
        return "launch mode needs the shim _preload, which is not installed for this Python"
    if " " in path or ":" in path:
        return f"LD_PRELOAD cannot hold a path with a space or a colon: {path}"
    if not sys.executable:
        return "sys.executable is not known"
    return None


def environment(
    base: Mapping[str, str] | None = None,
    *,
    stats: bool = False,
    children: bool = True,
    warn: bool = False,
) -> dict[str, str]:
    """A copy of base (os.environ) under which Pythons like this one run on goalloc.

    stats      the first one prints statistics to stderr when it exits
    children   its children run on goalloc too
    warn       it says on stderr why, if goalloc can't be put in place
    Raises InstallError where launch mode can't work at all.
    """
    why_not = obstacle()
    if why_not is not None:
        from .errors import InstallError

        raise InstallError(why_not)
    env = dict(os.environ if base is None else base)
    path = preload_path()
    assert path is not None
    entries = env.get("LD_PRELOAD", "").replace(":", " ").split()
    if path not in entries:
        # Last: a sanitizer's runtime wants to be first.
        entries.append(path)
    env["LD_PRELOAD"] = ":".join(entries)
    flags = {"GOALLOC_STATS": stats, "GOALLOC_NO_CHILDREN": not children, "GOALLOC_WARN": warn}
    for name, on in flags.items():
        env.pop(name, None)
        if on:
            env[name] = "1"
    return env


def interpreter_options(command: Sequence[str]) -> list[str]:
    """The options of a python command line that are for the interpreter: up to -m, -c or a script.

    >>> interpreter_options(["python", "-X", "utf8", "-Im", "goalloc", "run", "a.py"])
    ['-X', 'utf8', '-I']
    """
    options: list[str] = []
    rest = iter(command[1:])
    for word in rest:
        if not word.startswith("-") or word in ("-", "--"):
            break
        if word.startswith("--"):
            options.append(word)
            if word == "--check-hash-based-pycs":
                options.append(next(rest, ""))
            continue
        for i, letter in enumerate(word):
            if letter in _OPTIONS_OF_TARGET:
                return options + ([word[:i]] if i > 1 else [])
            if letter in _OPTIONS_WITH_VALUE:
                options.append(word)
                if i == len(word) - 1:
                    options.append(next(rest, ""))
                break
        else:
            options.append(word)
    return options


def run(
    target: Sequence[str],
    *,
    stats: bool = False,
    children: bool = True,
    extra: Mapping[str, str] | None = None,
) -> NoReturn:
    """Becomes `python target...` on goalloc, with this interpreter's own options.

    extra: variables that its environment has besides.

    Where that can't be, a warning says why and the program runs on the ordinary allocator.
    """
    try:
        env = environment(_original_environment(), stats=stats, children=children, warn=True)
    except RuntimeError as why_not:
        lost = "; no profile is written" if "GOALLOC_PROFILE" in (extra or {}) else ""
        lost += "; there are no statistics" if stats else ""
        warn(f"{why_not}{lost}")
        env = _original_environment()
    env.update(extra or {})
    command = [sys.executable, *interpreter_options(sys.orig_argv), *target]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, command, env)


def _original_environment() -> dict[str, str]:
    """os.environ without the LC_CTYPE that this interpreter itself added to a C locale (PEP 538).

    The program's interpreter must see the locale as the user had it, or it won't choose UTF-8 mode.
    """
    env = dict(os.environ)
    if env.get("LC_CTYPE") in ("C.UTF-8", "C.utf8", "UTF-8"):
        with open("/proc/self/environ", "rb") as file:
            at_start = file.read().split(b"\0")
        if not any(entry.startswith(b"LC_CTYPE=") for entry in at_start):
            del env["LC_CTYPE"]
    return env

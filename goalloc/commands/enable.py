"""`goalloc enable` and `disable`: goalloc in every Python of a virtual environment that has GOALLOC=1.

Three small files in its site-packages do it: a module of their own, a .pth that calls it, and for
Python 3.15 and later a .start (PEP 829), beside which the .pth's import line is not run.  They import
goalloc only when it is asked for, and do nothing when it is gone.  They are never part of a wheel: a
package that starts itself in every process is nothing to have by accident.
"""

from __future__ import annotations

import os
import sys

from . import CommandError, add_command, need_core

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from . import _Subparsers

_NAME = "_goalloc_enabled"
_MARK = "# Written by `goalloc enable`; `goalloc disable` removes it.\n"
_MODULE = (
    _MARK
    + '''"""Puts goalloc into this interpreter at its start, if GOALLOC=1 and goalloc is installed."""


def start():
    import os
    import sys

    asked = os.environ.get("GOALLOC", "")
    if asked not in ("", "0") and not sys.flags.ignore_environment:
        try:
            from goalloc.startup import enabled
        except ImportError:
            return
        enabled(asked)
'''
)
_PTH = _MARK + f"import {_NAME}; {_NAME}.start()\n"
_START = _MARK + f"{_NAME}:start\n"


def files(version: tuple[int, ...] = sys.version_info[:2]) -> dict[str, str]:
    """The files by name, for a version of Python.  The module first: the others need it."""
    texts = {f"{_NAME}.py": _MODULE, f"{_NAME}.pth": _PTH}
    if version >= (3, 15):
        texts[f"{_NAME}.start"] = _START
    return texts


def add(commands: _Subparsers) -> None:
    enabling = add_command(
        commands,
        "enable",
        enable,
        "let every Python of this virtual environment start on goalloc when GOALLOC=1",
    )
    disabling = add_command(commands, "disable", disable, "take back what `enable` did")
    for parser in (enabling, disabling):
        parser.add_argument(
            "--force", action="store_true", help="also outside of a virtual environment"
        )


def _folder(args: argparse.Namespace) -> str:
    import sysconfig

    if sys.prefix == sys.base_prefix and not args.force:
        raise CommandError(
            f"{sys.prefix} is no virtual environment, so that all that runs on it would be "
            f"concerned; --force if that is meant",
            status=2,
        )
    return sysconfig.get_path("purelib")


def _is_ours(path: str) -> bool:
    try:
        with open(path, encoding="utf-8") as file:
            return file.readline() == _MARK
    except FileNotFoundError:
        return False
    except UnicodeDecodeError:
        return False


def enabled_in() -> str | None:
    """The folder with all that `goalloc enable` writes for this Python; None: it is not in force."""
    import sysconfig

    folder = sysconfig.get_path("purelib")
    there = all(_is_ours(os.path.join(folder, name)) for name in files())
    return folder if there else None


def enable(args: argparse.Namespace) -> int:
    need_core()
    folder = _folder(args)
    for name, text in files().items():
        path = os.path.join(folder, name)
        if os.path.lexists(path) and not _is_ours(path):
            raise CommandError(f"{path} is there, and not from `goalloc enable`")
        beside = f"{path}.{os.getpid()}.tmp"
        with open(beside, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(beside, path)
    print(f"enabled in {folder}: GOALLOC=1 python ... starts on goalloc, in import mode: blocks of before are not on it")
    return 0


def disable(args: argparse.Namespace) -> int:
    folder = _folder(args)
    removed = 0
    # The module last, and the files of every version: the environment may have been upgraded.
    for name in reversed(files((3, 15))):
        path = os.path.join(folder, name)
        if _is_ours(path):
            os.unlink(path)
            removed += 1
    cached = os.path.join(folder, "__pycache__")
    if removed and os.path.isdir(cached):
        for name in os.listdir(cached):
            if name.startswith(f"{_NAME}."):
                os.unlink(os.path.join(cached, name))
    print(f"disabled in {folder}" if removed else f"was not enabled in {folder}")
    return 0

"""Files that are whole or not there."""

from __future__ import annotations

import os
from _thread import get_ident

from .arguments import path as path_of


def write_whole(path: str | os.PathLike[str], data: str | bytes) -> None:
    """Writes a file beside it and renames that; what is no ordinary file is written to directly.

    An OSError names path, and not the file beside it.
    """
    content = data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data
    target = path_of(path)
    try:
        _write(target, content)
    except OSError as error:
        raise OSError(error.errno, error.strerror, target) from None


def _write(target: str, content: bytes) -> None:
    if os.path.exists(target) and not os.path.isfile(target):  # a pipe, /dev/stdout
        with open(target, "wb") as file:
            file.write(content)
        return
    target = os.path.realpath(target)
    beside = f"{target}.{os.getpid()}.{get_ident()}.tmp"
    try:
        with open(beside, "wb") as file:
            file.write(content)
        os.replace(beside, target)
    except BaseException:
        try:
            os.unlink(beside)
        except OSError:
            pass
        raise

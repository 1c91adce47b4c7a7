"""Files that are whole or not there."""

from __future__ import annotations

import os
from _thread import get_ident
from errno import EACCES, EISDIR

from ..arguments import path as path_of

_GZIP = b"\x1f\x8b"  # so begins what write_pprof() writes


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


def check_place(path: str) -> None:
    """Raises the OSError that write_whole() would for this path, as far as can be told before."""
    if os.path.exists(path) and not os.path.isfile(path):
        if os.path.isdir(path):
            raise IsADirectoryError(EISDIR, os.strerror(EISDIR), path)
        if not os.access(path, os.W_OK):
            raise PermissionError(EACCES, os.strerror(EACCES), path)
        return
    beside = _beside(os.path.realpath(path))
    try:  # rights do not tell: root has all of them in /proc, where no file can be made
        os.close(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        os.unlink(beside)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None


def check_loss(path: str) -> None:
    """Raises FileExistsError where a profile that writes itself would replace what is none.

    Whoever forgets its name has named the next word: a script.
    """
    if not os.path.isfile(path):
        return
    with open(path, "rb") as file:
        begin = file.read(len(_GZIP))
    if begin not in (b"", _GZIP):
        raise FileExistsError(
            f"{path} is no heap profile, and would be lost: name another file, such as heap.pb.gz"
        )


def _beside(target: str) -> str:
    return f"{target}.{os.getpid()}.{get_ident()}.tmp"


def _write(target: str, content: bytes) -> None:
    if os.path.exists(target) and not os.path.isfile(target):  # a pipe, /dev/stdout
        with open(target, "wb") as file:
            file.write(content)
        return
    target = os.path.realpath(target)
    beside = _beside(target)
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

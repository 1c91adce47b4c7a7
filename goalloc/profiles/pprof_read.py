"""Reads heap profiles in pprof's format: goalloc's own and Go's, gzip or not.

What comes from outside is not believed: every length, index and number is checked, nothing is
unpacked beyond a limit, and nothing recurses.  All that can be wrong ends in a ValueError.
"""

from __future__ import annotations

import zlib

from ..arguments import path as path_of
from .modules import go_package, module_of
from .notes import of_file
from .pprof import (
    COMMENT_CELL,
    COMMENT_DIFF,
    COMMENT_DROPPED,
    COMMENT_LEFT_OUT,
    COMMENT_MIXED,
    COMMENT_NOTE,
    COMMENT_TRUNCATED,
)
from .profile import About, HeapProfile
from .records import Thread
from .tables import COUNTS, Builder, domain_number
from .values import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

    from .tables import Tables

#: Bytes of a file, before and after gzip.
LIMIT = 256 << 20
#: A sample takes a few bytes in a file and many more in memory.
MAX_SAMPLES = 1 << 22
MAX_FIELDS = 1 << 23
MAX_DEPTH = 4096
MAX_FRAMES = 1 << 26

_GO_VALUES = COUNTS[:4]


def _is_number(text: str) -> bool:
    """Of at most 18 digits.  Without re: to look up a name of goalloc must not load it."""
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) <= 18


def read_profile(path: str | os.PathLike[str]) -> HeapProfile:
    """A heap profile from a pprof file, goalloc's or Go's, gzip or not.

    Raises ValueError with one sentence for anything else, OSError if it can't be read.
    """
    name = path_of(path)
    with open(name, "rb") as file:
        data = file.read(LIMIT + 1)
    try:
        return HeapProfile(*decode(data))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def decode(data: bytes) -> tuple[Tables, About]:
    """The tables of a pprof file, and what holds for all of it."""
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(f"data must be the bytes of a pprof file, not {type(data).__name__}")
    data = bytes(data)
    if len(data) > LIMIT:
        raise ValueError(f"more than {LIMIT >> 20} MiB")
    if data[:2] == b"\x1f\x8b":
        data = _gunzip(data)
    if not data:
        raise ValueError("not a pprof profile: it is empty")
    try:
        return _Decoder(data).result()
    except IndexError:
        raise ValueError("not a pprof profile: an index leads nowhere") from None


def _gunzip(data: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    try:
        unpacked = unpacker.decompress(data, LIMIT + 1)
    except zlib.error as error:
        raise ValueError(f"damaged gzip data: {error}") from None
    if len(unpacked) > LIMIT:
        raise ValueError(f"more than {LIMIT >> 20} MiB unpacked")
    if not unpacker.eof:
        raise ValueError("damaged gzip data: the end is missing")
    return unpacked


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at a place, and the place behind it."""
    n = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("not a pprof profile: a number without an end")
        byte = data[at]
        at += 1
        n |= (byte & 0x7F) << shift
        if byte < 0x80:
            return n & 0xFFFF_FFFF_FFFF_FFFF, at
        shift += 7


def _signed(n: int) -> int:
    return n - (1 << 64) if n >> 63 else n


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message: their number, and a number or bytes."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield tag >> 3, value
            continue
        if kind == 2:
            length, at = _varint(data, at)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError("not a pprof profile: it is no protobuf")
        if length > len(data) - at:
            raise ValueError("not a pprof profile, or cut off: a field goes beyond the end")
        if kind == 2:
            yield tag >> 3, data[at : at + length]
        at += length


def _numbers(value: int | bytes) -> list[int]:
    """The numbers of a repeated field: one, or packed."""
    if isinstance(value, int):
        return [value]
    if not value or max(value) < 0x80:
        return list(value)
    numbers = []
    n = shift = 0
    for byte in value:
        if byte < 0x80:
            numbers.append((n | byte << shift) & 0xFFFF_FFFF_FFFF_FFFF)
            n = shift = 0
        elif shift > 56:
            raise ValueError("not a pprof profile: a number without an end")
        else:
            n |= (byte & 0x7F) << shift
            shift += 7
    if shift:
        raise ValueError("not a pprof profile: a number without an end")
    return numbers


def _message(value: int | bytes) -> dict[int, int | bytes]:
    """The fields of a message without repeated ones."""
    return dict(_fields(_bytes(value)))


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("not a pprof profile: a number where a message should be")
    return value


def _int(value: int | bytes) -> int:
    if not isinstance(value, int):
        raise ValueError("not a pprof profile: a message where a number should be")
    return value


class _Decoder:
    """Samples name locations, these functions, these strings, which come last: parts are collected
    first and joined from the leaves up."""

    def __init__(self, data: bytes) -> None:
        self.parts: dict[int, list[int | bytes]] = {}
        for i, (field, value) in enumerate(_fields(data)):
            if i == MAX_FIELDS:
                raise ValueError(f"more than {MAX_FIELDS:,} parts")
            self.parts.setdefault(field, []).append(value)
        strings = self.parts.get(6, [])
        self.strings = [_bytes(s).decode("utf-8", "backslashreplace") for s in strings]
        if not self.strings or self.strings[0]:
            raise ValueError("not a pprof profile: it has no table of strings")
        self.frames = 0
        self.builder = Builder()
        self.labels: dict[tuple[bytes, ...], tuple[int, int, int]] = {}

    def string(self, index: int | bytes) -> str:
        return self.strings[_int(index)]

    def number(self, field: int) -> int:
        """A number of the whole profile."""
        return _signed(_int(self.parts.get(field, [0])[-1]))

    def result(self) -> tuple[Tables, About]:
        width = self.width()
        self.add_samples(width)
        tables = self.builder.build()
        comments = [self.string(n) for part in self.parts.get(13, []) for n in _numbers(part)]
        negative = any(min(column, default=0) < 0 for column in tables.counts)
        base = (0,) * len(COUNTS) if negative or COMMENT_DIFF in comments else None
        about = About(
            rate=self.number(12),
            time_ns=self.number(9),
            dropped_samples=_said(comments, COMMENT_DROPPED),
            mixed_rates=COMMENT_MIXED in comments,
            truncated_stacks=_said(comments, COMMENT_TRUNCATED),
            has_peak=width == len(COUNTS),
            base=base,
            program=self.program(),
            note=" ".join(
                of_file(printable(c.removeprefix(COMMENT_NOTE)))
                for c in comments
                if c.startswith(COMMENT_NOTE)
            ),
            left_out=_left_out(comments),
            cells=tuple(_cells(comments)),
        )
        return tables, about

    def width(self) -> int:
        """How many of the values are known: Go's four, or all."""
        types = [_message(part) for part in self.parts.get(1, [])]
        names = tuple(self.string(t.get(1, 0)) for t in types)
        if names == COUNTS:
            return len(COUNTS)
        if names != _GO_VALUES:
            has = printable(", ".join(names))[:100] or "no values"
            raise ValueError(f"not a heap profile: it has {has} instead of {', '.join(_GO_VALUES)}")
        return len(_GO_VALUES)

    def program(self) -> str:
        """The first mapping is the program itself."""
        mappings = self.parts.get(3, [])
        return self.string(_message(mappings[0]).get(5, 0)) if mappings else ""

    def functions(self) -> dict[int, int]:
        """Our index of each function, by its id."""
        found = {}
        for part in self.parts.get(5, []):
            fields = _message(part)
            name = self.string(fields.get(2, 0))
            system_name = self.string(fields.get(3, 0))
            filename = self.string(fields.get(4, 0))
            if system_name != name and name.endswith(f".{system_name}") and system_name:
                module = name[: -len(system_name) - 1]
                name = system_name
            elif filename.endswith((".go", ".s")):
                module = go_package(name)
                name = name.removeprefix(f"{module}.")
            else:
                module = module_of(filename) if filename.endswith(".py") else ""
            first_line = min(_int(fields.get(5, 0)), 1 << 31)
            found[_int(fields.get(1, 0))] = self.builder.function(
                (name or system_name, filename, first_line, module)
            )
        return found

    def locations(self) -> dict[int, tuple[int, ...]]:
        """The frames of each location, by its id: several where calls are inlined."""
        functions = self.functions()
        builder = self.builder
        found = {}
        for part in self.parts.get(4, []):
            number = address = 0
            frames = []
            for field, value in _fields(_bytes(part)):
                if field == 1:
                    number = _int(value)
                elif field == 3:
                    address = _int(value)
                elif field == 4:
                    where = _message(value)
                    function = functions.get(_int(where.get(1, 0)))
                    if function is None:
                        raise ValueError("not a pprof profile: a location without its function")
                    frames.append(builder.location(function, min(_int(where.get(2, 0)), 1 << 31)))
                    if len(frames) > MAX_DEPTH:
                        raise ValueError(f"more than {MAX_DEPTH:,} frames in one place")
            if not frames:
                function = builder.function((f"0x{address:x}", "", 0, ""))
                frames.append(builder.location(function, 0))
            found[number] = tuple(frames)
        return found

    def add_samples(self, width: int) -> None:
        parts = self.parts.get(2, [])
        if len(parts) > MAX_SAMPLES:
            raise ValueError(f"more than {MAX_SAMPLES:,} samples")
        locations = self.locations()
        stacks: dict[tuple[bytes | int, ...], int] = {}
        missing = (0,) * (len(COUNTS) - width)
        for part in parts:
            path: list[int | bytes] = []
            values: list[int] = []
            labels: list[bytes] = []
            for field, value in _fields(_bytes(part)):
                if field == 1:
                    path.append(value)
                elif field == 2:
                    values += _numbers(value)
                elif field == 3:
                    labels.append(_bytes(value))
            if len(values) != width:
                raise ValueError("not a pprof profile: a sample without all its values")
            key = tuple(path)
            stack = stacks.get(key)
            if stack is None:
                stack = stacks[key] = self.stack(path, locations)
            counts = [n if n >> 63 == 0 else _signed(n) for n in values]
            size, domain, thread = self.label(tuple(labels))
            if not size and counts[0]:
                size = abs(counts[1] // counts[0])
            self.builder.add(stack, size, domain, thread, (*counts, *missing))

    def stack(self, path: Iterable[int | bytes], locations: dict[int, tuple[int, ...]]) -> int:
        frames: list[int] = []
        for part in path:
            for number in _numbers(part):
                if number not in locations:
                    raise ValueError("not a pprof profile: a sample without its location")
                frames += locations[number]
                if len(frames) > MAX_DEPTH:
                    raise ValueError(f"a stack of more than {MAX_DEPTH:,} frames")
        self.frames += len(frames)
        if self.frames > MAX_FRAMES:
            raise ValueError(f"stacks of more than {MAX_FRAMES:,} frames in all")
        return self.builder.stack(tuple(frames))

    def label(self, labels: tuple[bytes, ...]) -> tuple[int, int, int]:
        """Size, domain and thread, from the labels of a sample."""
        known = self.labels.get(labels)
        if known is None:
            size = native_id = 0
            domain = name = ""
            for part in labels:
                fields = _message(part)
                key = self.string(fields.get(1, 0))
                if key == "bytes":
                    size = abs(_signed(_int(fields.get(3, 0))))
                elif key == "thread_id":
                    native_id = _int(fields.get(3, 0))
                elif key == "domain":
                    domain = self.string(fields.get(2, 0))
                elif key == "thread":
                    name = self.string(fields.get(2, 0))
            thread = self.builder.thread(Thread(native_id, name))
            known = self.labels[labels] = (size, domain_number(domain), thread)
        return known


def _left_out(comments: list[str]) -> tuple[int, ...]:
    for comment in comments:
        if comment.startswith(COMMENT_LEFT_OUT):
            words = comment.removeprefix(COMMENT_LEFT_OUT).replace(",", "").split()
            numbers = tuple(int(word) for word in words if _is_number(word))
            if len(numbers) == len(COUNTS):
                return numbers
    return ()


def _cells(comments: list[str]) -> Iterator[tuple[str, int]]:
    for comment in comments:
        number, parted, filename = comment.removeprefix(COMMENT_CELL).partition(": ")
        if comment.startswith(COMMENT_CELL) and parted and _is_number(number):
            yield filename, int(number)


def _said(comments: list[str], what: str) -> int:
    """The number that a comment tells, or 0."""
    for comment in comments:
        number = comment.removeprefix(what)
        if number != comment and number.isascii() and number.isdigit():
            return int(number[:18])
    return 0

"""A profile in pprof's protobuf, field for field as Go writes it (runtime/pprof, proto.go).

Written by hand, as in Go: a protobuf library would make an object of every sample, and all that is
needed of the format are varints.  The field numbers are those of pprof's profile.proto.

What goalloc adds to Go's: the labels domain, thread and thread_id, and on demand two more values.
A function is named with its module, as Go's are with their package, since pprof adds up what has
the same name; the bare name is its system_name.  That these differ has another use: pprof takes
`<module>` for a template of C++ and would show nothing, unless it is told so that the name is for
people already.
"""

from __future__ import annotations

from ..display.text import counted
from .records import DOMAINS
from .tables import COUNTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .profile import HeapProfile
    from .tables import Tables

#: What `comment` says of a profile, if there is something to say.
COMMENT_DROPPED = "goalloc: dropped samples: "
COMMENT_TRUNCATED = "goalloc: truncated stacks: "
COMMENT_DIFF = "goalloc: difference"
COMMENT_NOTE = "goalloc: note: "
COMMENT_LEFT_OUT = "goalloc: its own is left out: "
COMMENT_CELL = "goalloc: cell "
COMMENT_MIXED = "goalloc: mixed rates"

_GO_VALUES = 4


def _varint(n: int) -> bytes:
    if 0 <= n < 0x80:
        return bytes((n,))
    if 0 <= n < 0x4000:
        return bytes((n & 0x7F | 0x80, n >> 7))
    n &= 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def _number(field: int, n: int) -> bytes:
    """A field that is left out when it is 0, as all numbers are."""
    return _varint(field << 3) + _varint(n) if n else b""


def _chunk(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _packed(field: int, numbers: Sequence[bytes]) -> bytes:
    """Repeated numbers, as varints: Go packs them if there are more than two."""
    if len(numbers) > 2:
        return _chunk(field, b"".join(numbers))
    tag = _varint(field << 3)
    return b"".join([tag + n for n in numbers])


class _Varints(dict[int, bytes]):
    """Encoded numbers, made once each: a profile has few different ones."""

    def __missing__(self, n: int) -> bytes:
        encoded = self[n] = _varint(n)
        return encoded


class _Strings(dict[str, int]):
    """The string table: the index of each string, in the order in which they are asked for."""

    def __init__(self) -> None:
        super().__init__({"": 0})

    def __missing__(self, text: str) -> int:
        index = self[text] = len(self)
        return index


class _Locations(dict[int, bytes]):
    """The encoded ids of locations; one that is new is put, with its function, among the parts."""

    def __init__(self, tables: Tables, strings: _Strings, parts: list[bytes]) -> None:
        super().__init__()
        self.tables = tables
        self.strings = strings
        self.parts = parts
        self.functions: dict[int, int] = {}

    def __missing__(self, location: int) -> bytes:
        number = len(self) + 1
        index, line = self.tables.locations[location]
        function = self.functions.get(index) or self.new_function(index)
        where = _number(1, function) + _number(2, line)
        self.parts.append(_chunk(4, _number(1, number) + _number(2, 1) + _chunk(4, where)))
        encoded = self[location] = _varint(number)
        return encoded

    def new_function(self, index: int) -> int:
        number = self.functions[index] = len(self.functions) + 1
        name, filename, first_line, module = self.tables.functions[index]
        named = self.strings[f"{module}.{name}" if module else name]
        system_name = self.strings[name] if module else 0
        body = _number(1, number) + _number(2, named) + _number(3, system_name)
        body += _number(4, self.strings[filename]) + _number(5, first_line)
        self.parts.append(_chunk(5, body))
        return number


class _Encoder:
    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.parts: list[bytes] = []
        self.strings = _Strings()
        self.varints = _Varints()
        self.labels: dict[tuple[int, int, int], bytes] = {}

    def add_value_type(self, field: int, kind: str, unit: str) -> None:
        body = _number(1, self.strings[kind]) + _number(2, self.strings[unit])
        self.parts.append(_chunk(field, body))

    def add_samples(self, width: int) -> None:
        """Samples, and before each what it is the first to name."""
        tables = self.tables
        locations = _Locations(tables, self.strings, self.parts).__getitem__
        varint = self.varints.__getitem__
        add = self.parts.append
        paths: dict[int, bytes] = {}
        rows = zip(zip(*tables.keys), zip(*tables.counts[:width]))
        for (stack, size, domain, thread), values in rows:
            path = paths.get(stack)
            if path is None:
                path = paths[stack] = _packed(1, list(map(locations, tables.stacks[stack])))
            label = self.labels.get((size, domain, thread))
            if label is None:
                label = self.new_label(size, domain, thread)
            body = b"".join(map(varint, values))
            body = b"%b\x12%b%b%b" % (path, varint(len(body)), body, label)
            add(b"\x12%b%b" % (varint(len(body)), body))

    def new_label(self, size: int, domain: int, thread: int) -> bytes:
        strings = self.strings
        native_id, name = self.tables.threads[thread]
        parts = [_number(1, strings["bytes"]) + _number(3, size)] if size else []
        if DOMAINS[domain]:
            parts.append(_number(1, strings["domain"]) + _number(2, strings[DOMAINS[domain]]))
        if name:
            parts.append(_number(1, strings["thread"]) + _number(2, strings[name]))
        if native_id:
            parts.append(_number(1, strings["thread_id"]) + _number(3, native_id))
        label = b"".join([_chunk(3, part) for part in parts])
        self.labels[size, domain, thread] = label
        return label


def _comments(profile: HeapProfile) -> list[str]:
    about = profile.about
    said = []
    if about.base is not None:
        said.append(COMMENT_DIFF)
    if about.mixed_rates:
        said.append(COMMENT_MIXED)
    if about.dropped_samples:
        said.append(f"{COMMENT_DROPPED}{about.dropped_samples}")
    if about.truncated_stacks:
        said.append(f"{COMMENT_TRUNCATED}{about.truncated_stacks}")
    if about.note:
        said.append(f"{COMMENT_NOTE}{about.note}")
    if about.left_out:
        said.append(COMMENT_LEFT_OUT + _told(about.left_out))
    said += [f"{COMMENT_CELL}{number}: {filename}" for filename, number in about.cells]
    return said


def _told(left_out: Sequence[int]) -> str:
    """Sums in the order of COUNTS as a sentence, of which only the numbers are read back."""
    kinds = ("allocated", "in use", "at the peak")
    return "; ".join(
        f"{counted(blocks, 'block')} and {counted(nbytes, 'byte')} {kind}"
        for blocks, nbytes, kind in zip(left_out[::2], left_out[1::2], kinds)
    )


def encode(
    profile: HeapProfile,
    *,
    peak: bool,
    compress: bool,
    default: str = "",
    duration_ns: int = 0,
) -> bytes:
    """The bytes of a pprof file.

    default      the value that pprof shows first; "" as in Go: none is named, and pprof takes
                 inuse_space, the last
    duration_ns  of a difference, how long it took
    """
    if peak and not profile.about.has_peak:
        raise ValueError("this profile does not tell what was in use at the peak")
    about = profile.about
    out = _Encoder(profile._tables)
    width = len(COUNTS) if peak else _GO_VALUES
    parts = out.parts
    out.add_value_type(11, "space", "bytes")
    parts.append(_number(12, about.rate))
    for name in COUNTS[:width]:
        out.add_value_type(1, name, "count" if name.endswith("objects") else "bytes")
    if peak or default:  # with more values it has to be said
        parts.append(_number(14, out.strings[default or "inuse_space"]))
    out.add_samples(width)
    parts.append(_number(9, about.time_ns))
    parts.append(_number(10, duration_ns))
    # One mapping for all, complete, so that pprof does not look for symbols itself.
    has_symbols = b"".join([_number(flag, 1) for flag in (7, 8, 9, 10)])
    program = _number(5, out.strings[about.program])
    parts.append(_chunk(3, _number(1, 1) + program + has_symbols))
    parts += [_packed(13, [_varint(out.strings[text])]) for text in _comments(profile)]
    parts += [_chunk(6, text.encode("utf-8", "backslashreplace")) for text in out.strings]
    data = b"".join(parts)
    if compress:
        import gzip

        return gzip.compress(data, compresslevel=1, mtime=0)
    return data

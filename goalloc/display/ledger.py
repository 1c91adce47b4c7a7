"""Where every byte is: a ledger whose lines add up, and the busiest span classes."""

from __future__ import annotations

from .text import human, noted, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..snapshots import Snapshot, SnapshotDiff
    from ..stats import ClassStats, MemStats

# depth, label, bytes: the lines one step deeper add up to the line above them
Line = tuple[int, str, int]

_BUSIEST = 10


def ledger_lines(m: MemStats, classes: Sequence[ClassStats] = ()) -> list[Line]:
    """The lines from the total down; the slots of spans in use only if the classes are given."""
    lines = [
        (0, "from the system", m.sys),
        (1, "heap", m.heap_sys),
        (2, "in use", m.heap_inuse),
    ]
    if classes:
        cached = sum(c.cached * c.elem_size for c in classes)
        vacant = sum(c.free_bytes + c.tail_bytes for c in classes) - cached
        lines += [
            (3, "live blocks", sum(c.live_bytes for c in classes)),
            (3, "free slots in caches", cached),
            (3, "free slots in spans, and tails", vacant),
            (4, "kept", vacant - m.heap_inuse_released),
            (4, "given back", m.heap_inuse_released),
        ]
    elif m.heap_inuse_released:
        lines += [
            (3, "held", m.heap_inuse - m.heap_inuse_released),
            (3, "given back inside spans", m.heap_inuse_released),
        ]
    return lines + [
        (2, "idle", m.heap_idle),
        (3, "kept", m.heap_idle - m.heap_released),
        (3, "given back, or not yet used", m.heap_released),
        (1, "stacks", m.stack_sys),
        (1, "span structures", m.mspan_sys),
        (1, "caches", m.mcache_sys),
        (1, "profile", m.buck_hash_sys),
        (1, "bitmaps and arena maps", m.gc_sys),
        (1, "other", m.other_sys),
    ]


def ledger_text(lines: Sequence[Line], sign: bool = False) -> str:
    plus = "+" if sign else ""
    rows = [
        ("  " * depth + label, f"{nbytes:{plus},}", human(nbytes, sign))
        for depth, label, nbytes in lines
    ]
    return table(("", "bytes", ""), rows, left=1)


def asked_line(m: MemStats) -> str:
    """All that is known in wrap mode."""
    return (
        f"{m.mallocs:,} blocks and {m.total_alloc:,} bytes asked for, {m.frees:,} blocks freed "
        "in wrap mode: where they are is not known"
    )


def memstats_text(m: MemStats) -> str:
    if m.sys is None:
        return asked_line(m)
    counts = f"{m.heap_objects:,} blocks live: {m.mallocs:,} allocated, {m.frees:,} freed"
    return noted(m.note, f"{ledger_text(ledger_lines(m))}\n{counts}")


def busiest(classes: Sequence[ClassStats]) -> list[ClassStats]:
    """The span classes with the most bytes in their spans, or asked for in wrap mode."""
    if any(c.spans is None for c in classes):
        asked = sorted(classes, key=lambda c: abs(c.asked_bytes or 0), reverse=True)
        return [c for c in asked[:_BUSIEST] if c.mallocs]
    ranked = sorted(classes, key=lambda c: abs(c.live_bytes) + abs(c.free_bytes), reverse=True)
    return [c for c in ranked[:_BUSIEST] if c.spans or c.live_bytes or c.free_bytes]


def class_name(c: ClassStats) -> str:
    size = f"{c.elem_size:,}" if c.size_class else "large"
    return f"{size} {'noscan' if c.noscan else 'scan'}"


def classes_text(classes: Sequence[ClassStats], sign: bool = False) -> str:
    plus = "+" if sign else ""
    numbers = class_columns(classes)
    rows = [
        (class_name(c), *(f"{getattr(c, name):{plus},}" for name in numbers)) for c in classes
    ]
    return table(("class", *(name.replace("_", " ") for name in numbers)), rows, left=1)


def class_columns(classes: Sequence[ClassStats]) -> tuple[str, ...]:
    """The fields worth showing of these: all are known."""
    if any(c.spans is None for c in classes):
        return ("mallocs", "asked_bytes")
    return ("spans", "live", "free", "live_bytes", "free_bytes")


def snapshot_text(s: Snapshot) -> str:
    m = s.memstats
    if m.sys is None:
        parts = [asked_line(m)]
    else:
        parts = [noted(m.note, ledger_text(ledger_lines(m, s.classes)))]
        parts.append(f"{m.heap_objects:,} blocks live: {m.mallocs:,} allocated, {m.frees:,} freed")
    top = busiest(s.classes)
    if top:
        parts.append("\n" + classes_text(top))
    return "\n".join(parts)


def diff_text(d: SnapshotDiff) -> str:
    m = d.memstats
    text = noted(m.note, f"in {d.nanoseconds / 1e9:.3f} s: ")
    if m.sys is None:
        text += asked_line(m)
    else:
        text += (
            f"{m.heap_objects:+,} blocks "
            f"({m.mallocs:,} allocated, {m.frees:,} freed), {m.heap_alloc:+,} bytes\n"
        )
        text += ledger_text(ledger_lines(m), sign=True)
    top = busiest(d.classes)
    return f"{text}\n\n{classes_text(top, sign=True)}" if top else text

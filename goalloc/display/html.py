"""Snapshots, their differences, and MemStats for a notebook."""

from __future__ import annotations

from . import svg
from .classtable import class_change_grid, class_grid
from .ledger import asked_line, busiest, ledger_lines
from .ledgerhtml import change_grid, ledger_grid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..snapshots import Snapshot, SnapshotDiff
    from ..stats import MemStats


def memstats_html(m: MemStats) -> str:
    if m.sys is None:
        return svg.frame(svg.note(asked_line(m)))
    counts = f"· {m.mallocs:,} allocated, {m.frees:,} freed"
    head = svg.heading(f"{m.heap_objects:,} blocks live", counts)
    return svg.frame(head, svg.note(m.note), ledger_grid(ledger_lines(m)))


def snapshot_html(s: Snapshot) -> str:
    m, top = s.memstats, busiest(s.classes)
    if m.sys is None:
        return svg.frame(svg.note(asked_line(m)), class_grid(top))
    arenas = f"{len(s.arenas)} arena{'s' * (len(s.arenas) != 1)}"
    counts = f"· {m.mallocs:,} allocated, {m.frees:,} freed · {arenas}"
    head = svg.heading(f"{m.heap_objects:,} blocks live", counts)
    ledger = ledger_grid(ledger_lines(m, s.classes))
    return svg.frame(head, svg.note(m.note), ledger, svg.heading("The busiest classes"), class_grid(top))


def diff_html(d: SnapshotDiff) -> str:
    m, top = d.memstats, busiest(d.classes)
    seconds = f"in {d.nanoseconds / 1e9:.3f} s"
    if m.sys is None:
        parts = [svg.heading(seconds, asked_line(m))]
    else:
        counts = f"{seconds}: {m.mallocs:,} allocated, {m.frees:,} freed"
        parts = [svg.heading(f"{m.heap_objects:+,} blocks", counts), svg.note(m.note)]
        parts.append(change_grid(ledger_lines(m)))
    if top:
        parts.append(svg.heading("The classes that changed most"))
        parts.append(class_change_grid(top))
    key = [("cm", "grew"), ("cl", "shrank")]
    return svg.frame(*parts, svg.key(key), svg.note("paler: free slots"))

"""The memory bill: from what is in RAM down to live blocks, in lines that add up."""

from __future__ import annotations

from . import svg
from .ledger import asked_line, ledger_lines, ledger_text
from .ledgerhtml import ledger_grid
from .text import human, noted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bill import MemoryBill, Resident
    from ..stats import MemStats
    from .ledger import Line


_ABSENT = "of these never written, or swapped out"


def bill_lines(bill: MemoryBill) -> list[Line]:
    m, r = bill.memstats, bill.resident
    if m.sys is None:
        return [] if r is None else [(0, "in RAM", r.rss), *_others(r, 0)]
    if r is None:
        return ledger_lines(m, bill.classes)
    records = min(m.sys - m.heap_sys - m.stack_sys, r.anonymous)
    return [
        (0, "in RAM", r.rss),
        (1, "goalloc's heap", r.heap),
        *_heap(bill, r),
        (1, "goalloc's own records", records),
        *_records(m, records),
        (1, "not goalloc's", r.rss - r.heap - records),
        *_others(r, records),
    ]


def _heap(bill: MemoryBill, r: Resident) -> list[Line]:
    m = bill.memstats
    cached = sum(c.cached * c.elem_size for c in bill.classes)
    live = sum(c.live_bytes for c in bill.classes)
    lines = [
        (2, "live blocks", live),
        (2, "free slots that caches hold ready", cached),
        (2, "free slots and tails, between live blocks", m.heap_inuse - live - cached
         - m.heap_inuse_released),
        (2, "free runs of pages, kept for what comes", m.heap_idle - m.heap_released),
        (2, "stacks of frames", m.stack_sys),
    ]  # fmt: skip
    absent = r.heap - sum(nbytes for _, _, nbytes in lines)
    what = _ABSENT if absent < 0 else "given back, not yet gone"
    return [*lines, (2, what, absent)]


def _records(m: MemStats, records: int) -> list[Line]:
    """Of these, too, some were never written; how much is known only if nothing else is anonymous."""
    lines = [
        (2, "span structures", m.mspan_sys),
        (2, "caches", m.mcache_sys),
        (2, "profile", m.buck_hash_sys),
        (2, "bitmaps and arena maps", m.gc_sys),
        (2, "other", m.other_sys),
    ]
    absent = records - sum(nbytes for _, _, nbytes in lines)
    return [*lines, (2, _ABSENT, absent)] if absent else lines


def _others(r: Resident, records: int) -> list[Line]:
    return [
        (2, "programs, libraries, mapped files", r.files),
        (2, "C's malloc: the classic heap", r.brk),
        (2, "C's malloc: larger blocks; threads' stacks; the rest", r.anonymous - records),
        (2, "the main stack", r.stack),
        *([] if records else [(2, "goalloc's heap", r.heap)]),
    ]


def _given_back(m: MemStats) -> str:
    return (
        f"Not in RAM: {human(m.heap_released)} of free runs given back or not yet used, "
        f"{human(m.heap_inuse_released)} given back inside spans."
    )


def bill_text(bill: MemoryBill) -> str:
    parts = [noted(bill.memstats.note, ledger_text(bill_lines(bill)))]
    parts.append(asked_line(bill.memstats) if bill.memstats.sys is None
                 else _given_back(bill.memstats))  # fmt: skip
    return "\n".join(parts)


def bill_html(bill: MemoryBill) -> str:
    m = bill.memstats
    last = asked_line(m) if m.sys is None else _given_back(m)
    return svg.frame(
        svg.heading("Where the memory is"), svg.note(m.note), ledger_grid(bill_lines(bill)),
        svg.note(last),
    )  # fmt: skip

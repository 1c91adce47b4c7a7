"""docs/soak.md, of what soak.py --save kept; pages.py writes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import flat

Run = dict[str, Any]
Table = Callable[[list[str], Iterable[list[str]]], str]

MODES = ["stock", "launch", "import", "import, staying"]
MINUTES = [5, 15, 30, 45, 60]
ACTS = {
    "fork": "forks",
    "interpreter": "interpreters",
    "threads": "eight threads",
    "toggle": "in and out",
    "check": "`check()`",
    "snapshot": "snapshots",
    "profile": "profiles",
}
PARTS = ["live", "unused", "pages", "stacks", "own", "profile"]

HEAD = """\
# An hour under load

Made by `tests/matrix/pages.py` of what `tests/matrix/soak.py --save` found: workers answer requests whose
answers are known and keep a bounded cache, while threads come and go, the process forks, and interpreters
are made and ended.  On goalloc memory is given back meanwhile, limits, delays and the rate of the profile
change, snapshots are taken, and `check()` proves the whole heap, in the children of forks too; in import
mode goalloc is also taken out and put in again, as itself or as a wrap; **staying**, it is not.  The same
program runs on stock, where all that is done to goalloc is left out.  A run counts if no answer was wrong,
nothing was raised and each `check()` was clean.  The runs shared a machine with others: how much they did
differs.
"""

RESIDENT = """\
## Resident

MiB after so many minutes, collected before it was looked at.  On goalloc it goes up and down: what gives
memory back is slowed down, turned off and turned on again all the time.
"""

HELD = """\
## Of it, what goalloc holds

MiB after {first} minutes and at the end.  **live**: blocks that the program has; **unused**: free slots in
spans that are in use; **pages**: free pages that are not given back; **own**: goalloc's own structures,
whether they were touched or not; **profile**: those of the heap profile, which tells a thousand threads
apart and no more; **outside**: what is resident and none of these: files, C stacks, the blocks of other
allocators and what those keep.

What grows in import mode is outside.  While goalloc wraps, the objects of snapshots and profiles are blocks
of pymalloc, which must keep an arena for the last block in it: it has as many in the end as the largest of
them needed, most of them nearly empty, and the C library some for the threads.  Staying in, or without
snapshots and profiles, pymalloc has the arenas that it began with.

**beyond** is what is resident and not live.  After a quarter of the time for warming up: the most in the
earlier half of the rest and the most in the later.  **flat**: the later is no more than a tenth and 16 MiB
above the earlier.  What ended interpreters leave in pymalloc, as on stock (below), is part of it: 3.13 in
import mode grows by that.
"""

LEFT = """\
## What ended interpreters leave behind

Blocks of Python's that are there at the end and were not after {first} minutes, for each interpreter that
came and went between the two; what else has grown is in it too.  3.12 and 3.13 do not free all that an
interpreter had, on stock as on goalloc; 3.11 and 3.14 do.  Where an interpreter has a GIL of its own, stock
loses the arenas that its last blocks lie in; goalloc keeps little more than the blocks.
"""


def _name(run: Run) -> str:
    return f"{run['column']} {run['mode']}"


def _mib(nbytes: float) -> str:
    return f"{nbytes / flat.MIB:.1f}"


def _at(run: Run, minutes: float) -> Run | None:
    """The look that was nearest to then; none where the run was shorter."""
    seen = run["seen"]
    if seen[-1]["seconds"] < 60 * minutes - 30:
        return None
    nearest: Run = min(seen, key=lambda state: abs(state["seconds"] - 60 * minutes))
    return nearest


def _done(run: Run) -> list[str]:
    last = run["seen"][-1]
    done = last["done"]
    counts = [last["requests"], *(done.get(name) for name in ACTS)]
    minutes = f"{last['seconds'] / 60:.0f}"
    return [_name(run), minutes, *("" if n is None else f"{n:,}" for n in counts)]


def _resident(run: Run) -> list[str]:
    looks = [_at(run, minutes) for minutes in MINUTES]
    return [_name(run), *("" if look is None else _mib(look["resident"]) for look in looks)]


def _beyond(look: Run) -> int:
    nbytes: int = look["resident"] - look["live"]
    return nbytes


def _outside(look: Run) -> int:
    nbytes: int = look["resident"] - sum(look[part] for part in PARTS)
    return nbytes


def _held(run: Run) -> list[str]:
    first, last = _at(run, MINUTES[0]) or run["seen"][0], run["seen"][-1]
    cells = [f"{_mib(first[part])} → {_mib(last[part])}" for part in PARTS]
    cells.append(f"{_mib(_outside(first))} → {_mib(_outside(last))}")
    beyond = [_mib(max(part)) for part in flat.halves([_beyond(look) for look in run["seen"]])]
    return [_name(run), *cells, " → ".join(beyond), "flat" if run["flat"] else "**grows**"]


def _left(run: Run) -> list[str]:
    first, last = _at(run, MINUTES[0]) or run["seen"][0], run["seen"][-1]
    ended = last["done"].get("interpreter", 0) - first["done"].get("interpreter", 0)
    blocks, kib = last["blocks"] - first["blocks"], (last["resident"] - first["resident"]) / 1024
    each = [f"{blocks / ended:,.0f}", f"{kib / ended:,.0f}"] if ended else ["", ""]
    return [_name(run), f"{ended:,}", f"{blocks:,}", *each]


def page(results: list[Run], table: Table) -> str:
    columns = list(dict.fromkeys(run["column"] for run in results))
    runs = sorted(results, key=lambda r: (columns.index(r["column"]), MODES.index(r["mode"])))
    ours = [run for run in runs if run["mode"] != "stock"]
    parts = [
        HEAD,
        table(["", "minutes", "requests", *ACTS.values()], map(_done, runs)),
        RESIDENT,
        table(["", *map(str, MINUTES)], map(_resident, runs)),
        HELD.format(first=MINUTES[0]),
        table(["", *PARTS, "outside", "beyond", ""], map(_held, ours)),
        LEFT.format(first=MINUTES[0]),
        table(["", "ended", "blocks", "blocks each", "resident KiB each"], map(_left, runs)),
        "Interpreters: " + ", ".join(dict.fromkeys(run["version"] for run in runs)) + ".\n",
    ]
    return "\n".join(parts)

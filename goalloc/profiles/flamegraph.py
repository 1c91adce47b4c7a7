"""The tree of calls as an icicle: one piece of HTML that needs nothing from anywhere.

It is drawn by a few hundred lines of JavaScript of our own (flamegraph.js).  d3-flame-graph and
Plotly would put 300 KB to 4 MB into every cell of a notebook, or fetch them from a network that may
not be there; what there is in them to use, rectangles in rows, is less than what they would have to
be taught: four values to switch between, differences, the keyboard.
"""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from ..arguments import text
from .folding import is_folded
from .tables import COUNTS
from .tree import CallTrie, added_up, call_trie, own_values
from .values import printable, sampled

if TYPE_CHECKING:
    import os
    from typing import Any

    from .profile import HeapProfile
    from .records import Frame

#: So many calls are drawn; smaller ones are summed up beside them.
MOST_NODES = 5_000

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>{title}</title>
</head>
<body>
{body}
</body>
</html>
"""


class _Drawn(NamedTuple):
    """The nodes of a trie that are drawn: parents first, and siblings by name."""

    parents: list[int]
    groups: list[int]
    own: dict[str, list[int]]
    left_out: int


class FlameGraph:
    """A flame graph of a profile.  HTML in a notebook, text in a terminal, .write(path) for a file.

    In it one can switch between what is in use, allocated, at the peak and temporary, in bytes and
    in blocks; a click or Enter zooms, / searches.  In a difference red has grown, blue has shrunk.
    """

    def __init__(
        self,
        profile: HeapProfile,
        value: str = "inuse_space",
        title: str = "",
        fold: bool = True,
    ) -> None:
        profile.values(value)  # a name that is wrong is told at once
        self._profile = profile
        self._value = value
        self._fold = fold
        self._title = text(title, "title") or _title(profile)

    def to_html(self) -> str:
        """A whole page."""
        return _PAGE.format(title=escape(self._title), body=self._repr_html_())

    def write(self, path: str | os.PathLike[str]) -> None:
        """Writes to_html() to a file."""
        from .files import write_whole

        write_whole(path, self.to_html())

    def data(self) -> dict[str, Any]:
        """What is drawn, ready for JSON: nodes as columns, and the names that these refer to."""
        profile = self._profile
        trie = call_trie(profile, "function", self._fold)
        drawn = _largest(profile, trie)
        # Only what is drawn is named: a part of a profile has the names of the whole.
        used = sorted({group for group in drawn.groups if group < len(trie.groups.names)})
        every = (*used, len(trie.groups.names), len(trie.groups.names) + 1)
        place = {group: i for i, group in enumerate(every)}
        frames = [trie.groups.frames[group] for group in used]
        files = [trie.groups.files[group] for group in used]
        modules = sorted({frame.module for frame in frames if not is_folded(frame)})
        hues = {module: number for number, module in enumerate(modules)}
        rate = sampled(profile.rate, profile.about.mixed_rates)
        notes = [f"{rate}; {len(profile):,} samples{profile._left_out(self._value)}"]
        notes += profile.warnings()
        if profile.is_diff:
            notes.insert(0, "red has grown, blue has shrunk, the darker the more of it")
        if drawn.left_out:
            notes.append(f"{drawn.left_out:,} calls too small to draw are summed up as (smaller)")
        return {
            "title": self._title,
            "value": self._value,
            "diff": profile.is_diff,
            "base": profile._base(),
            "names": [*(trie.groups.names[group] for group in used), "all", "(smaller)"],
            "shorts": [*map(_short, frames, files), "all", "(smaller)"],
            "places": [*map(_place, frames, files), "", ""],
            "hues": [*(hues.get(frame.module, -1) for frame in frames), -1, -1],
            "parents": drawn.parents,
            "groups": [place[group] for group in drawn.groups],
            "own": drawn.own,
            "notes": notes,
        }

    def _repr_html_(self) -> str:
        from os import urandom

        # Nothing in it can end the script: whatever the names hold, there is no < in it.
        data = json.dumps(self.data(), separators=(",", ":")).replace("<", "\\u003c")
        number = urandom(8).hex()
        # A notebook may show one output twice: all of its places are drawn in, each once.  Some put
        # outputs into shadow roots, in which a script does not learn where it stands.
        return (
            f'<div class="goalloc-flame" data-goalloc="{number}" data-lm-suppress-shortcuts="true">'
            f"<pre>{escape(str(self))}</pre></div>"
            f"<style>{_source('flamegraph.css')}</style>"
            f"<script>(() => {{\n{_source('flamegraph.js')}\n"
            "const places = (top) => { const found = [...top.querySelectorAll("
            f"'[data-goalloc=\"{number}\"]')];\n"
            "return found.length ? found : [...top.querySelectorAll('*')].flatMap("
            "(e) => (e.shadowRoot ? places(e.shadowRoot) : [])); };\n"
            f"for (const place of places(document)) goallocFlame(place, {data});\n}})();</script>"
        )

    def __str__(self) -> str:
        return f"{self._title}\n{self._profile.tree(self._value, fold=self._fold)}"

    def __repr__(self) -> str:
        return f"<FlameGraph: {self._title}, {self._value}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text("..." if cycle else str(self))


def _title(profile: HeapProfile) -> str:
    about = profile.about
    name = printable(about.program.rpartition("/")[2]) or "this process"
    return f"Heap of {name}" + (", what has changed" if profile.is_diff else "")


def _short(frame: Frame, file: str) -> str:
    return file if frame.function == "<module>" and file != frame.filename else frame.function


def _place(frame: Frame, file: str) -> str:
    return f"{file}:{frame.first_line or frame.line}" if file else ""


def _source(name: str) -> str:
    from importlib.resources import files

    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _largest(profile: HeapProfile, trie: CallTrie) -> _Drawn:
    """The nodes that are the largest in any of the values, with the rest as one child of each."""
    names = [name for name in COUNTS if profile.about.has_peak or not name.startswith("peak")]
    own = {name: own_values(trie, profile._by_stack(name)) for name in names}
    count = len(trie.parents)
    share = [0.0] * count
    for values in own.values():
        size = added_up(trie.parents, list(map(abs, values)))
        whole = size[0] or 1
        share = [max(a, b / whole) for a, b in zip(share, size)]
    # A caller is never smaller than what it calls, and comes before it: it is kept if they are.
    some = [0, *(node for node in range(1, count) if share[node])]
    kept = sorted(some, key=lambda node: (-share[node], node))[:MOST_NODES]
    rank, smaller = len(trie.groups.names), len(trie.groups.names) + 1
    depths = [0] * count
    for node in range(1, count):
        depths[node] = depths[trie.parents[node]] + 1
    title = trie.groups.names
    kept.sort(key=lambda node: (depths[node], title[trie.group_of[node]] if node else ""))
    number = {node: i for i, node in enumerate(kept)}
    parents = [number[trie.parents[node]] for node in kept]
    groups = [rank if node == 0 else trie.group_of[node] for node in kept]
    columns = {name: [values[node] for node in kept] for name, values in own.items()}
    drawn = _Drawn(parents, groups, columns, len(some) - len(kept))
    if drawn.left_out:
        _add_smaller(drawn, trie, own, number, smaller)
    return drawn


def _add_smaller(
    drawn: _Drawn, trie: CallTrie, own: dict[str, list[int]], number: dict[int, int], group: int
) -> None:
    """What is left out, as one child of the innermost caller that is drawn."""
    place: list[int] = []  # of each node: the drawn one that it is, or is below
    rests: dict[int, list[int]] = {}
    for node, parent in enumerate(trie.parents):
        place.append(number[node] if node in number else place[parent])
        if node not in number and any(values[node] for values in own.values()):
            rests.setdefault(place[node], []).append(node)
    for parent, nodes in rests.items():
        drawn.parents.append(parent)
        drawn.groups.append(group)
        for name, values in own.items():
            drawn.own[name].append(sum(values[node] for node in nodes))

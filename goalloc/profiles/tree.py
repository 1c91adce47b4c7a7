"""The tree of calls: who called whom, and what was allocated below each."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..arguments import real_number
from ..arguments import rows as rows_wanted
from .folding import folded
from .groups import Groups, group
from .records import LINES_OF_TREE
from .values import described, sampled, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from pandas import DataFrame as _DataFrame

    from .profile import HeapProfile

_LEAST_PERCENT = 1.0


class CallTrie(NamedTuple):
    """All stacks as one tree, in arrays: parents come before their children, node 0 is the root."""

    groups: Groups
    parents: list[int]
    group_of: list[int]
    end_of_stack: list[int]  # the node at which each stack of the profile ends


def call_trie(profile: HeapProfile, by: str, fold: bool) -> CallTrie:
    groups = group(profile, by)
    paths = folded(profile, groups) if fold else None
    width = len(groups.names) + 1
    group_of_location = groups.of_location
    found: dict[int, int] = {}
    parents, group_of, ends = [0], [-1], []
    for number, stack in enumerate(profile._tables.stacks):
        node = 0
        path = paths.get(number) if paths else None
        for g in path or map(group_of_location.__getitem__, reversed(stack)):
            key = node * width + g
            inner = found.get(key)
            if inner is None:
                inner = found[key] = len(parents)
                parents.append(node)
                group_of.append(g)
            node = inner
        ends.append(node)
    return CallTrie(groups, parents, group_of, ends)


def own_values(trie: CallTrie, sums: Sequence[int]) -> list[int]:
    """What each node allocated itself, from the sums of the stacks."""
    own = [0] * len(trie.parents)
    for node, value in zip(trie.end_of_stack, sums):
        own[node] += value
    return own


def added_up(parents: Sequence[int], own: Sequence[int]) -> list[int]:
    """Each node with all below it."""
    total = list(own)
    for node in range(len(parents) - 1, 0, -1):
        total[parents[node]] += total[node]
    return total


class Node:
    """A function at one place in the tree of calls; iterates over those that it called."""

    __slots__ = ("_tree", "_number")

    def __init__(self, tree: Tree, number: int) -> None:
        self._tree = tree
        self._number = number

    @property
    def name(self) -> str:
        trie = self._tree._trie
        return trie.groups.names[trie.group_of[self._number]] if self._number else "all"

    @property
    def own(self) -> int:
        """What it allocated itself."""
        return self._tree._own[self._number]

    @property
    def total(self) -> int:
        """The same, with all that it called."""
        return self._tree._total[self._number]

    @property
    def children(self) -> list[Node]:
        """The functions that it called, the largest first."""
        return [Node(self._tree, number) for number in self._tree._called.get(self._number, ())]

    def __iter__(self) -> Iterator[Node]:
        return iter(self.children)

    def __repr__(self) -> str:
        return f"Node({self.name!r}, own={self.own}, total={self.total})"


class Tree:
    """The tree of calls; .root is the whole.  print() shows what is more than 1 % of it."""

    def __init__(self, profile: HeapProfile, value: str, by: str, fold: bool) -> None:
        self.value = value
        self._trie = trie = call_trie(profile, by, fold)
        self._own = own_values(trie, profile._by_stack(value))
        self._total = added_up(trie.parents, self._own)
        some = added_up(trie.parents, list(map(abs, self._own)))
        self._called: dict[int, list[int]] = {}
        for node in sorted(range(1, len(some)), key=lambda node: -abs(self._total[node])):
            if some[node]:
                self._called.setdefault(trie.parents[node], []).append(node)
        self._whole = profile._whole(value)
        self._rate = profile.rate
        self._mixed = profile.about.mixed_rates
        self._signed = profile.is_diff
        self._warnings = profile.warnings()
        self._left_out = profile._left_out(value)

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other) if isinstance(other, Tree) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.value, *self._total))

    @property
    def root(self) -> Node:
        return Node(self, 0)

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON; nodes as a flat list, each with the index of its parent in it."""
        nodes: list[dict[str, Any]] = []
        waiting: list[tuple[Node, int | None]] = [(self.root, None)]
        while waiting:
            node, parent = waiting.pop()
            number = len(nodes)
            nodes.append(
                {"parent": parent, "name": node.name, "own": node.own, "total": node.total}
            )
            waiting += [(child, number) for child in reversed(node.children)]
        return {"value": self.value, "rate": self._rate, "warnings": self._warnings, "nodes": nodes}

    def to_dataframe(self) -> _DataFrame:
        """A row for each call as a pandas DataFrame: its caller's row, name, own and total."""
        from ..dataframes import dataframe

        names = ("parent", "name", "own", "total")
        nodes = self.as_dict()["nodes"]
        frame = dataframe({name: [node[name] for node in nodes] for name in names})
        return frame.astype({"parent": "Int64"})  # the root has none

    def to_text(
        self,
        least: float = _LEAST_PERCENT,
        lines: int | None = LINES_OF_TREE,
        depth: int | None = None,
    ) -> str:
        """As text: only nodes of at least so many percent of the whole, only so many lines, and only
        so many levels below the root."""
        lines = rows_wanted(lines, "lines")
        depth = rows_wanted(depth, "depth", "levels")
        least = float(real_number(least, "least", "a percentage of the whole"))
        cut = abs(self._whole) * least / 100
        rows: list[tuple[str, str, str]] = []
        # What is still to print: name, own, total, node; what stands before it and its children.
        waiting = [("all", self._own[0], self._total[0], 0, "", "")]
        while waiting and (lines is None or len(rows) < lines):
            name, own, total, node, before, below = waiting.pop()
            rows.append((self._shown(own), self._shown(total, percent=True), before + name))
            ends = node < 0 or (depth is not None and len(below) == 2 * depth)
            inner = [] if ends else [(c.name, c.own, c.total, c._number) for c in Node(self, node)]
            kept = [c for c in inner if abs(c[2]) >= cut]
            small = [c[2] for c in inner if abs(c[2]) < cut]
            if small:
                kept.append((f"({len(small):,} smaller)", 0, sum(small), -1))
            for i, child in enumerate(reversed(kept)):
                corner, line = ("└ ", "  ") if i == 0 else ("├ ", "│ ")
                waiting.append((*child, below + corner, below + line))
        own_width = max((len(own) for own, _, _ in rows), default=0)
        total_width = max((len(total) for _, total, _ in rows), default=0)
        out = [f"{described(self.value)}, {sampled(self._rate, self._mixed)}; own and total of each call{self._left_out}"]
        out += self._warnings
        out += [f"{own:>{own_width}}  {total:>{total_width}}  {name}" for own, total, name in rows]
        if waiting:
            out.append(f"... cut off after {len(rows):,} lines")
        return "\n".join(out)

    def _shown(self, amount: int, percent: bool = False) -> str:
        text = shown(amount, self.value, self._signed)
        if percent and self._whole:
            text += f" {100 * amount / self._whole:6.1f}%"
        return text

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        total = self._shown(self._total[0])
        return f"<Tree: {len(self._total) - 1} calls, {total}, {described(self.value)}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text("..." if cycle else str(self))

    def _repr_html_(self) -> str:
        from html import escape

        return f'<pre style="line-height:1.25">{escape(self.to_text())}</pre>'

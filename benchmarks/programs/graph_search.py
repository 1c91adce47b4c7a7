"""A graph as dicts and sets: made, searched breadth first, its components found."""

import random
from collections import deque


def distances(graph: dict[int, set[int]], start: int) -> dict[int, int]:
    found = {start: 0}
    waiting = deque([start])
    while waiting:
        node = waiting.popleft()
        for neighbour in graph[node]:
            if neighbour not in found:
                found[neighbour] = found[node] + 1
                waiting.append(neighbour)
    return found


def main(scale: float) -> int:
    chance = random.Random(5)
    count = int(40_000 * scale) or 1
    graph: dict[int, set[int]] = {node: set() for node in range(count)}
    for node in range(count):
        for _ in range(3):
            other = chance.randrange(count)
            graph[node].add(other)
            graph[other].add(node)
    total = sum(sum(distances(graph, chance.randrange(count)).values()) for _ in range(3))
    edges = {frozenset((node, other)) for node in graph for other in graph[node]}
    return total + len(edges)

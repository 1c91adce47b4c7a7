"""Trees of small objects: built, walked, and a long-lived one searched while others die."""


class Node:
    __slots__ = ("left", "right", "value")

    def __init__(self, value: int, left: "Node | None", right: "Node | None") -> None:
        self.value = value
        self.left = left
        self.right = right


def build(depth: int, value: int = 1) -> Node:
    if depth == 0:
        return Node(value, None, None)
    return Node(value, build(depth - 1, 2 * value), build(depth - 1, 2 * value + 1))


def total(node: Node | None) -> int:
    return 0 if node is None else node.value + total(node.left) + total(node.right)


def main(scale: float) -> int:
    lasting = build(15)
    checksum = 0
    for n in range(int(350 * scale) or 1):
        checksum += total(build(10, n))
    return checksum + total(lasting)

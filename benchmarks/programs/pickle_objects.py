"""A graph of objects that share others: pickled and unpickled."""

import pickle


class Item:
    def __init__(self, number: int, owner: "Item | None") -> None:
        self.number = number
        self.owner = owner
        self.tags = {f"tag {number % 10}", f"tag {number % 11}"}
        self.history = [(number, f"event {number}"), (number + 1, b"x" * (number % 30))]


def main(scale: float) -> int:
    items: list[Item] = []
    for n in range(int(25_000 * scale)):
        items.append(Item(n, items[n // 2] if items else None))
    data = pickle.dumps(items, protocol=4)
    again = pickle.loads(data)
    assert again[-1].owner is again[(len(again) - 1) // 2]
    return len(data) + sum(item.number * len(item.tags) for item in again)

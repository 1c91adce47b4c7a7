"""Dataclasses: made, replaced, compared, turned into dicts."""

from dataclasses import asdict, dataclass, field, replace


@dataclass
class Address:
    street: str
    city: str


@dataclass(order=True)
class Order:
    number: int
    price: float
    address: Address = field(compare=False)
    lines: list[str] = field(default_factory=list, compare=False)


def main(scale: float) -> int:
    orders = [
        Order(n * 7919 % 100_003, n / 3, Address(f"street {n % 100}", "town"), [f"line {n}"])
        for n in range(int(40_000 * scale))
    ]
    changed = [replace(order, price=order.price + 1) for order in orders]
    changed.sort()
    dicts = [asdict(order) for order in changed[::4]]
    return sum(n * order.number for n, order in enumerate(changed)) + sum(
        len(order["address"]["street"]) for order in dicts
    )

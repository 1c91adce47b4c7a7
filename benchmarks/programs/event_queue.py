"""A simulation: events in a heap, entities that come and go, a history."""

import heapq
import random


class Customer:
    def __init__(self, number: int, arrived: float) -> None:
        self.number = number
        self.arrived = arrived
        self.visits: list[tuple[float, str]] = []


def main(scale: float) -> int:
    chance = random.Random(7)
    events: list[tuple[float, int, str, Customer]] = []
    finished = served = 0
    for number in range(500):
        heapq.heappush(events, (chance.random(), number, "arrive", Customer(number, 0.0)))
    for step in range(500, int(400_000 * scale) + 500):
        now, _, what, customer = heapq.heappop(events)
        customer.visits.append((now, what))
        served += 1
        if chance.random() < 0.2:
            finished += len(customer.visits)
            customer, what = Customer(step, now), "arrive"
        else:
            what = chance.choice(("wait", "pay", "look"))
        heapq.heappush(events, (now + chance.random(), step, what, customer))
    return finished + served

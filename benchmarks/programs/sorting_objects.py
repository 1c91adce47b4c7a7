"""Objects with attributes, sorted by several keys and grouped."""

import itertools
import random


class Person:
    def __init__(self, name: str, age: int, city: str) -> None:
        self.name = name
        self.age = age
        self.city = city


def main(scale: float) -> int:
    chance = random.Random(2)
    people = [
        Person(f"p{chance.getrandbits(40):x}", chance.randrange(100), f"c{chance.randrange(50)}")
        for _ in range(int(80_000 * scale))
    ]
    people.sort(key=lambda person: (person.city, person.age, person.name))
    groups = {
        city: [(person.age, person.name) for person in group]
        for city, group in itertools.groupby(people, key=lambda person: person.city)
    }
    oldest = {city: max(group) for city, group in groups.items()}
    by_name = sorted(people, key=lambda person: person.name)
    return sum(age for age, _ in oldest.values()) + sum(
        n * person.age for n, person in enumerate(by_name)
    )

"""The words, pairs and triples of a long text, counted; the commonest shown."""

import collections
import random


def main(scale: float) -> int:
    chance = random.Random(6)
    vocabulary = [f"w{chance.getrandbits(20):x}" for _ in range(3000)]
    words = [vocabulary[int(3000 * chance.random() ** 3)] for _ in range(int(150_000 * scale))]
    text = " ".join(words)
    tokens = text.lower().split()
    single = collections.Counter(tokens)
    double = collections.Counter(zip(tokens, tokens[1:], strict=False))
    triple = collections.Counter(map(" ".join, zip(tokens, tokens[1:], tokens[2:], strict=False)))
    return sum(count for table in (single, double, triple) for _, count in table.most_common(50))

"""Objects, raw blocks, a generator, exceptions, a deep recursion, a large join: the same as ever."""

import json

import work


def deep(n):
    return n and 1 + deep(n - 1)


def words():
    for n in range(20_000):
        yield f"word {n}"


print(work.churn(1), work.compress(1), deep(800))
text = json.dumps({word: [len(word)] * 3 for word in words()})
print(len(text), json.loads(text)["word 77"])
try:
    bytearray(1 << 50)
except MemoryError as error:
    print(type(error).__name__)

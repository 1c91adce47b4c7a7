"""A large JSON document: built, written, read, written again."""

import json
import random
import zlib


def main(scale: float) -> int:
    chance = random.Random(1)
    document = {
        f"customer {n:06}": {
            "name": f"Name {chance.random()}",
            "orders": [{"id": m, "price": chance.random(), "paid": m % 3 == 0} for m in range(8)],
            "notes": ["äöü " * (n % 20), None, n],
        }
        for n in range(int(4_000 * scale))
    }
    text = json.dumps(document)
    again = json.loads(text)
    assert again == document
    return zlib.crc32(json.dumps(again, indent=1, sort_keys=True).encode())

"""Work that allocates in all domains and whose result is known: the same under any allocator."""

import random
import zlib

# Both sides of: the tiny allocator, pymalloc's limit, a page, the largest small block.
SIZES = [1, 8, 15, 16, 100, 511, 513, 2000, 8193, 32768, 32769, 100_000]


def churn(seed, rounds=400):
    """Objects of many sizes that live for a while; a checksum over what was in them."""
    rng = random.Random(seed)
    kept, total = [], 0
    for i in range(rounds):
        kept.append(bytearray([i % 251]) * rng.choice(SIZES))
        kept.append({i: str(i), "text": "x" * (i % 700)})
        kept.append([None] * (i % 90))
        if i % 4 == 3:
            rng.shuffle(kept)
            for thing in kept[:9]:
                total = zlib.crc32(repr(thing)[:300].encode(), total)
            del kept[:9]
    return total


def compress(seed, rounds=3):
    """zlib's memory is of the raw domain, and taken without the GIL."""
    rng = random.Random(seed)
    total = 0
    for _ in range(rounds):
        data = rng.randbytes(2000) * 30
        packed = zlib.compress(data)
        assert zlib.decompress(packed) == data
        total = zlib.crc32(packed, total)
    return total


def all_results(threads):
    """The results of functions, each called in a thread of its own."""
    import concurrent.futures

    with concurrent.futures.ThreadPoolExecutor(len(threads)) as pool:
        return [f.result() for f in [pool.submit(thread) for thread in threads]]

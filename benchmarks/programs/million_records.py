"""A dict of a million records, by key: filled, read, half of it deleted, filled again."""


def main(scale: float) -> int:
    count = int(1_000_000 * scale)
    records = {f"key-{n}": (n, n * 0.5, f"value {n % 1000}") for n in range(count)}
    total = sum(record[0] for record in records.values())
    for n in range(0, count, 2):
        del records[f"key-{n}"]
    for n in range(count, count + count // 4):
        records[f"key-{n}"] = (n, n * 0.5, f"value {n % 1000}")
    return total + len(records) + sum(len(record[2]) for record in records.values())

"""A table written as CSV and read again, as lists and as dicts."""

import csv
import io
import zlib


def main(scale: float) -> int:
    rows = [
        [n, f"item {n}", n * 0.25, f'said "{n % 7}", and left', "" if n % 3 else "note"]
        for n in range(int(60_000 * scale))
    ]
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(["id", "name", "price", "text", "note"])
    writer.writerows(rows)
    text = file.getvalue()
    lists = list(csv.reader(io.StringIO(text)))
    dicts = [row for row in csv.DictReader(io.StringIO(text)) if row["note"]]
    return zlib.crc32(text.encode()) + sum(len(row[3]) for row in lists) + len(dicts)

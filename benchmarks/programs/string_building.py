"""Text put together: appended, joined, formatted, replaced, split, encoded."""

import zlib


def main(scale: float) -> int:
    checksum = 0
    for page in range(int(180 * scale) or 1):
        text = ""
        for n in range(1500):
            text += f"line {n} of page {page}: {n * 1.5:.3f}\n"
        lines = [line.strip().replace("page", "sheet").upper() for line in text.splitlines()]
        table = {line[:12]: line.split(": ") for line in lines}
        joined = "; ".join(f"{key}={' '.join(value)}" for key, value in table.items())
        for start in range(0, len(joined), 900):
            checksum = zlib.crc32(joined[start : start + 700].encode(), checksum)
    return checksum

"""Integers of some thousand digits: powers, products, conversions to text."""

import math


def main(scale: float) -> int:
    checksum = 0
    value = 3**2000
    for n in range(int(40_000 * scale) or 1):
        value = (value * (n + 12345) + n * n) % (1 << 12_000)
        checksum ^= (value >> n % 1000) & 0xFFFFFFFF
        if n % 20 == 0:
            checksum ^= len(str(value >> 2000)) + math.factorial(300 + n % 50).bit_length()
    return checksum

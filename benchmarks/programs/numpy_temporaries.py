"""Arrays of a few kilobytes to a few hundred: expressions whose temporaries come and go."""

import numpy


def main(scale: float) -> int:
    generator = numpy.random.default_rng(4)
    total = 0.0
    for turn in range(int(1500 * scale) or 1):
        size = 100 * (1 + turn % 300)
        x, y = generator.random(size), generator.random(size)
        z = (x * 2 + y) * (x - y) + numpy.sqrt(x * x + y * y)
        parts = [part * 2 for part in numpy.array_split(z[z > 0.5], 10)]
        total += sum(float(part.sum()) for part in parts)
    return int(total)

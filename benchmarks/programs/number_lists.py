"""Matrices as lists of lists of floats: sums, products, transposes."""

Matrix = list[list[float]]


def multiply(a: Matrix, b: Matrix) -> Matrix:
    columns = list(zip(*b, strict=True))
    return [
        [sum(x * y for x, y in zip(row, column, strict=True)) for column in columns] for row in a
    ]


def main(scale: float) -> int:
    side = 250
    total = 0.0
    for turn in range(int(8 * scale) or 1):
        a = [[float(turn + i - j) for j in range(side)] for i in range(side)]
        b = [[x * 0.5 + y for x, y in zip(row, reversed(row), strict=True)] for row in a]
        c = [list(column) for column in zip(*b, strict=True)]
        d = multiply(a[:20], c)
        total += sum(map(sum, d)) + sum(row[0] for row in c)
    return int(total)

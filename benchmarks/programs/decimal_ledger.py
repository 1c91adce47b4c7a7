"""A ledger in decimals: bookings, interest, balances by account."""

import collections
from decimal import ROUND_HALF_EVEN, Decimal, localcontext

_CENT = Decimal("0.01")


def main(scale: float) -> int:
    balances: dict[int, Decimal] = collections.defaultdict(Decimal)
    journal = []
    with localcontext() as context:
        context.prec = 34
        rate = Decimal("1.000137")
        for n in range(int(300_000 * scale)):
            amount = (Decimal(n * 37 % 100_000) / 7).quantize(_CENT, ROUND_HALF_EVEN)
            account = n % 500
            balances[account] = (balances[account] * rate + amount).quantize(_CENT)
            journal.append((account, amount, balances[account]))
        total = sum(balances.values()) + max(entry[2] for entry in journal)
    return int(total * 100)

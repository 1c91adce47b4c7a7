"""Rows into a database in memory and out again."""

import sqlite3


def main(scale: float) -> int:
    count = int(100_000 * scale)
    database = sqlite3.connect(":memory:")
    database.execute("create table t (id integer primary key, name text, price real, data blob)")
    rows = ((n, f"name {n % 997}", n / 7, bytes(n % 64)) for n in range(count))
    database.executemany("insert into t values (?, ?, ?, ?)", rows)
    everything = database.execute("select * from t order by name, id").fetchall()
    groups = database.execute("select name, count(*), sum(id) from t group by name").fetchall()
    selected = [database.execute("select name, data from t where id = ?", (n,)).fetchone()
                for n in range(0, count, 5)]  # fmt: skip
    database.close()
    return (
        sum(len(name) + len(data) for _, name, _, data in everything)
        + sum(total for _, _, total in groups)
        + sum(len(name) for name, _ in selected)
    )

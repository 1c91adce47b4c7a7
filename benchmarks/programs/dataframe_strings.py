"""A dataframe of strings: made, mapped, grouped, merged."""

import pandas


def main(scale: float) -> int:
    count = int(60_000 * scale)
    frame = pandas.DataFrame({
        "key": [f"key {n % 5000}" for n in range(count)],
        "text": [f"text number {n} of {count}" for n in range(count)],
        "value": range(count),
    })  # fmt: skip
    frame["upper"] = frame["text"].str.upper().str.replace("NUMBER", "NO", regex=False)
    frame["words"] = frame["upper"].map(lambda text: len(text.split()))
    grouped = frame.groupby("key").agg({"value": "sum", "words": "sum", "upper": "max"})
    merged = frame.merge(grouped, left_on="key", right_index=True)
    return int(merged["value_y"].sum() % 2**61) + int(merged["words_y"].sum())

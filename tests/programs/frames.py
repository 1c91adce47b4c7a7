"""A group-by of pandas, and numpy's own memory beside it."""

import io

import numpy as np
import pandas as pd

rng = np.random.default_rng(7)
n = 50_000
frame = pd.DataFrame(
    {
        "key": rng.integers(0, 500, n),
        "name": np.array(["a", "bb", "ccc", "dddd"])[rng.integers(0, 4, n)],
        "x": rng.normal(size=n).round(3),
    }
)
print(frame.groupby("name")["x"].agg(["count", "min", "max"]).to_string())
print(frame.groupby(["key", "name"]).size().unstack().describe().to_string())
wide = frame.pivot_table(index="key", columns="name", values="x", aggfunc="count")
print(wide.sum().to_string())
frame["text"] = frame["name"].str.upper() + frame["key"].astype(str)
print(frame.merge(frame.head(100), on="text").shape, frame["text"].nunique())
print(np.sort(rng.integers(0, 1000, 10**6))[::100_000], np.fft.fft(np.ones(1024))[0])
print(pd.read_csv(io.StringIO(frame.to_csv(index=False))).equals(frame))

"""Column origins of recipes against brute force: a column that is no source may change, and nothing else follows."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from raylake import data
from raylake.data.recipe.origins import column_origins

ROWS = 60
STEPS = [
    data.Cast(["flag"], to="string"),
    data.Impute(["age"]),
    data.Impute(["carrier"], strategy="most_frequent"),
    data.Impute(["distance"], by="carrier"),
    data.Scale(["age"]),
    data.Log(["distance"]),
    data.Clip(["distance"]),
    data.TextLength(["note"]),
    data.Lower(["note"]),
    data.NGrams(["note"], buckets=4),
    data.DateParts(["at"], ["hour", "month"], cyclic=True),
    data.HashEncode(["flag"], buckets=3),
    data.OneHot(["carrier"]),
]


def rows(seed: int) -> pa.Table:
    draw = np.random.default_rng(seed)
    holes = draw.random(ROWS) < 0.2
    return pa.table(
        {
            "age": pa.array(draw.uniform(0, 90, ROWS), mask=holes),
            "distance": pa.array(draw.uniform(1, 900, ROWS), mask=holes[::-1]),
            "carrier": pa.array(draw.choice(["AA", "UA", "B6"], ROWS), mask=holes),
            "flag": draw.integers(0, 9, ROWS),
            "note": [f"Word{a} w{b}" for a, b in draw.integers(0, 50, (ROWS, 2))],
            "at": [datetime(2013, 1, 1) + timedelta(minutes=int(n)) for n in draw.integers(0, 500_000, ROWS)],
            "free": draw.uniform(0, 1, ROWS),
        }
    )


def test_only_sources_matter() -> None:
    table = rows(0)
    fitted = data.Recipe(STEPS).fit(table)
    origins, before = column_origins(fitted), fitted.apply(table)
    assert tuple(origins) == fitted.output_columns
    moved = set()
    for changed in table.column_names:
        other = table.set_column(table.column_names.index(changed), changed, rows(1)[changed])
        after = fitted.apply(other)
        for column in fitted.output_columns:
            same = np.array_equal(before[column].to_numpy(), after[column].to_numpy(), equal_nan=True)
            if changed not in origins[column].sources:
                assert same, f"{column} follows {changed}, which is not among {origins[column].sources}"
            elif not same:
                moved.add((changed, column))
    claimed = {(source, column) for column, origin in origins.items() for source in origin.sources}
    assert claimed == moved, "every source that is claimed changes its column"
    assert origins["distance"].steps == ("Impute", "Log", "Clip") and origins["free"].steps == ()


@pytest.mark.parametrize("column", ["carrier=AA", "at_hour_sin", "note_length", "note#0", "flag#1"])
def test_what_appears_belongs_to_its_column(column: str) -> None:
    origins = column_origins(data.Recipe(STEPS).fit(rows(0)))
    assert column.startswith(origins[column].sources[0])

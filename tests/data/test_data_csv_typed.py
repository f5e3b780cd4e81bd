"""Reading CSV typed at once gives exactly what reading text and casting it gives."""

from __future__ import annotations

import hashlib
import importlib
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raylake import data
from raylake.core import SourceError, Workspace
from raylake.data import Csv, Source
from raylake.data.casting import cast_table
from raylake.data.connector import Split

csv_files = importlib.import_module("raylake.data.csv_files")

SCHEMA = pa.schema(
    [
        ("n", pa.int64()),
        ("small", pa.int32()),
        ("x", pa.float64()),
        ("flag", pa.bool_()),
        ("day", pa.date32()),
        ("at", pa.timestamp("us", "UTC")),
        ("word", pa.string()),
    ]
)
NULLS = ("", "NA", "-999")
GOOD = {
    "n": ["1", " 2", "-3 ", "NA", "", "-999", "9223372036854775807"],
    "small": ["1", "0", "NA"],
    "x": ["1.5", "1e3", "nan", "inf", "", "-999", ".5", "0.1"],
    "flag": ["true", "false", "1", "0", "True", "NA"],
    "day": ["2024-01-01", "NA"],
    "at": ["2024-01-01T00:00:00Z", "2024-01-01 00:00:00.123456Z", "2024-01-01T02:00:00+02:00", ""],
    "word": ["a", "NA", "", "it's", "é", "-999", " x"],
}
ODD = {
    "n": ["x", "0x1F", "+5", "1.0", "9223372036854775808", "1_0"],
    "small": ["2147483648", "-"],
    "x": ["0x1p3", "one", "1,5"],
    "flag": ["tRuE", "yes"],
    "day": ["2024-13-01", "2024-1-1"],
    "at": ["2024-01-01", "2024-01-01 00:00:00", "soon", "2024-01-01T00:00:00.123456789Z"],
    "word": ["0xff", "two\nlines", 'a "quote"', ","],
}


def _cell(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in ',"\n') else text


@st.composite
def lines(draw: st.DrawFn) -> list[str]:
    """Mostly good rows, some odd cells, some lines of another length."""
    odd = draw(st.booleans())
    found = []
    for _ in range(draw(st.integers(0, 25))):
        row = [
            draw(st.sampled_from(GOOD[name] + (ODD[name] if odd and draw(st.integers(0, 19)) == 0 else [])))
            for name in SCHEMA.names
        ]
        cut = draw(st.integers(0, 30))
        row = row[:3] if cut == 0 else [*row, "more"] if cut == 1 else row
        found.append(",".join(map(_cell, row)))
    return found


def _typed(batches: object) -> tuple[pa.Table, dict[str, list[object]], list[tuple[str, str]], pa.Table]:
    """Values, bad cells, broken lines and the text of all batches."""
    parts, masks, broken, texts = [], {name: [] for name in SCHEMA.names}, [], []
    for batch in batches:  # type: ignore[attr-defined]
        table, bad = cast_table(batch.rows, SCHEMA, NULLS)
        parts.append(table)
        for name in SCHEMA.names:
            masks[name] += bad[name].to_pylist() if name in bad else [False] * table.num_rows
        broken += batch.broken
        if batch.rows.num_rows:
            texts.append(batch.text() if batch.text else batch.rows)
    empty = pa.schema([(name, pa.string()) for name in SCHEMA.names]).empty_table()
    return pa.concat_tables([SCHEMA.empty_table(), *parts]), masks, broken, pa.concat_tables([empty, *texts])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=lines(), zoned=st.booleans())
def test_typed_reading_equals_text_and_cast(
    rows: list[str], zoned: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_files, "_WORTH_TYPING", 0)
    monkeypatch.setattr(csv_files, "BLOCK_BYTES", 512)
    monkeypatch.setattr(csv_files, "HEAD_BYTES", 300)
    text = "\n".join([",".join(SCHEMA.names), *rows]) + "\n"
    file = tmp_path / "a.csv"
    file.write_text(text if zoned else text.replace("Z", "").replace("+02:00", ""), encoding="utf-8")
    source, split = Csv(str(file)), Split(str(file), {"path": str(file)}, len(text))
    plain, typed = _typed(source.read(split)), _typed(source.read_typed(split, SCHEMA, NULLS))
    # NaN equals NaN here, so values are compared as text.
    assert typed[0].to_pylist().__repr__() == plain[0].to_pylist().__repr__()
    assert typed[1:3] == plain[1:3]
    assert typed[3].equals(plain[3])


def _big(path: Path, *, wrong: str) -> None:
    body = "".join(f"{n},2024-01-01 00:00:{n % 60:02d},{'EWR' if n % 1000 else ''}\n" for n in range(60_000))
    path.write_text("id,at,origin\n" + body + wrong, encoding="utf-8")


def test_a_clean_file_is_typed_while_it_is_read(tmp_path: Path) -> None:
    _big(tmp_path / "a.csv", wrong="")
    source = Csv(str(tmp_path / "a.csv"))
    schema = pa.schema([("id", pa.int64()), ("at", pa.timestamp("us", "UTC")), ("origin", pa.string())])
    (split,), _ = source.plan(None)
    assert [batch.rows.schema for batch in source.read_typed(split, schema, ("",))] == [schema]


def test_rejected_rows_show_what_the_file_says(tmp_path: Path, ws: Workspace) -> None:
    _big(tmp_path / "a.csv", wrong="007,2024-01-01 00:00:00,EWR\n60001,never,EWR\n1,2\n")
    source = Source(
        "trips",
        Csv(str(tmp_path / "a.csv")),
        schema={"id": "int64", "at": "timestamp", "origin": "string"},
        expectations=[data.not_null("origin"), data.between("id", 10, 1_000_000)],
    )
    version = data.ingest(ws, source)
    assert version.rows == 60_000 - 60 - 9
    kept = data.table(ws, "quarantine.trips").sort_by("row")
    rows = dict(zip(kept["row"].to_pylist(), kept["reason"].to_pylist(), strict=True))
    assert rows['{"id":"1000","at":"2024-01-01 00:00:40","origin":""}'] == "not_null(origin)"
    assert rows['{"id":"007","at":"2024-01-01 00:00:00","origin":"EWR"}'] == "between(id, 10, 1000000)"
    assert rows['{"id":"60001","at":"never","origin":"EWR"}'] == "at: 'never' is not a valid timestamp"
    assert rows['{"line":"1,2"}'] == "line has 2 cells instead of 3"
    assert len(rows) == kept.num_rows == 60 + 9 + 3


def test_an_open_quote_in_a_large_file_is_told(tmp_path: Path, ws: Workspace) -> None:
    _big(tmp_path / "a.csv", wrong='60001,2024-01-01 00:00:00,"EWR\n60002,2024-01-01 00:00:00,JFK\n')
    source = Source(
        "trips", Csv(str(tmp_path / "a.csv")), schema={"id": "int64", "at": "timestamp", "origin": "string"}
    )
    with pytest.raises(SourceError, match="never closed"):
        data.ingest(ws, source)


def test_cursors_of_older_releases_know_their_files(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id\n1\n", encoding="utf-8")
    source = Csv(str(tmp_path / "*.csv"))
    _, cursor = source.plan(None)
    name = str(tmp_path / "a.csv")
    size, _, digest = cursor["files"][name]
    assert digest.startswith("crc32:")
    old = {"files": {name: [size, 1, hashlib.sha256(b"5" + b"id\n1\n").hexdigest()]}}
    assert source.plan(old)[0] == []
    (tmp_path / "a.csv").write_text("id\n2\n", encoding="utf-8")
    for known in (cursor, old):
        with pytest.raises(SourceError, match="changed after it was ingested"):
            source.plan(known)

"""Numbers and times as people write them: read exactly, or the row goes to quarantine; never misread."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raylake import data
from raylake.core import ConfigError, SourceError, Workspace
from raylake.data.notations import NUMBERS, guess_notations, read_notation

MESSY = (
    "\ufeffDatum;Kunde;Betrag;Menge;Straße\r\n"
    "01.02.2026;Müller;1.234,50;3;Hauptstraße 1\r\n"
    '03/02/2026;"O;Neil";12.000,00;7;"Am ""Weg"""\r\n'
    "\r\n"
    "2026-02-04;Jäger;99,90;x;\r\n"
    "31.02.2026;Öz;5,00;2;Öl\r\n"
    "05.02.2026;Ng;12.50;2;Öl\r\n"
)
FORMATS = {"Datum": "%d.%m.%Y | %d/%m/%Y | %Y-%m-%d", "Betrag": "1.234,5"}


@given(st.sampled_from(list(NUMBERS)), st.integers(-(10**9), 10**9), st.integers(0, 99))
def test_what_python_writes_is_read_back(notation: str, whole: int, cents: int) -> None:
    groups, decimal = NUMBERS[notation]
    text = f"{whole:,}.{cents:02d}".replace(",", "\0").replace(".", decimal).replace("\0", groups[:1])
    column = pa.chunked_array([[text, f" {text} ", None, "x", f"{text}{decimal}1"]])
    values, bad = read_notation(column, pa.float64(), notation)
    expected = float(f"{whole}.{cents:02d}")
    assert values.to_pylist() == [expected, expected, None, None, None]
    assert bad.to_pylist() == [False, False, False, True, True]


def test_a_number_in_another_notation_is_never_misread() -> None:
    column = pa.chunked_array([["1.234", "1,234", "12.5", "1.23", "1.2345", "0,5", "-7"]])
    german, _ = read_notation(column, pa.float64(), "1.234,5")
    assert german.to_pylist() == [1234.0, 1.234, None, None, None, 0.5, -7.0]
    english, _ = read_notation(column, pa.float64(), "1,234.5")
    assert english.to_pylist() == [1.234, 1234.0, 12.5, 1.23, 1.2345, None, -7.0]
    whole, bad = read_notation(pa.chunked_array([["1.000", "1,5"]]), pa.int64(), "1.234,5")
    assert (whole.to_pylist(), bad.to_pylist()) == ([1000, None], [False, True])


def test_a_day_that_does_not_exist_and_a_year_of_two_digits_are_no_dates() -> None:
    texts = ["31.02.2026", "1.2.2026", "01.02.2026 x", "01.02.26", "29.02.2024", "32.01.2026"]
    days, _ = read_notation(pa.chunked_array([texts]), pa.date32(), "%d.%m.%Y")
    assert days.to_pylist() == [None, date(2026, 2, 1), None, None, date(2024, 2, 29), None]
    short, _ = read_notation(pa.chunked_array([["01.02.26"]]), pa.date32(), "%d.%m.%Y | %d.%m.%y")
    assert short.to_pylist() == [date(2026, 2, 1)]


def test_a_messy_file_is_ingested_and_what_cannot_be_read_is_kept(ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "sales.csv").write_bytes(MESSY.encode())
    found = data.discover(data.Csv(f"{tmp_path}/sales.csv", delimiter=";"))
    assert found.columns[0].name == "Datum"
    fixed = found.written(FORMATS).cast(Menge="int64")
    assert fixed.schema["Datum"] == "date" and fixed.event_time == "Datum"
    source = fixed.source("sales", key=[])
    assert data.source_from_plain(data.source_to_plain(source)).formats == FORMATS
    assert data.ingest(ws, source).rows == 2
    rows = data.table(ws, "sales").to_pylist()
    assert [(row["Datum"], row["Betrag"]) for row in rows] == [(date(2026, 2, 1), 1234.5), (date(2026, 2, 3), 12000.0)]
    assert [row["Kunde"] for row in rows] == ["Müller", "O;Neil"] and rows[1]["Straße"] == 'Am "Weg"'
    reasons = data.table(ws, "quarantine.sales")["reason"].to_pylist()
    assert sorted(reasons) == [
        "Betrag: '12.50' is not a valid float64",
        "Datum: '31.02.2026' is not a valid date",
        "Menge: 'x' is not a valid int64",
    ]
    (tmp_path / "sales.csv").rename(tmp_path / "old.csv")
    (tmp_path / "more.csv").write_bytes("Datum;Kunde;Betrag;Menge;Straße\n06.02.2026;Li;0,5;1;A\n".encode("latin-1"))
    latin = data.Csv(f"{tmp_path}/more.csv", delimiter=";", encoding="latin-1")
    more = data.Source("more", latin, formats=FORMATS, table="sales")
    assert data.ingest(ws, more).rows == 3


def test_discovery_says_how_things_are_written(tmp_path: Path) -> None:
    def told(text: str, delimiter: str = ";") -> list[str]:
        (tmp_path / "a.csv").write_text(text)
        found = data.discover(data.Csv(f"{tmp_path}/a.csv", delimiter=delimiter))
        return [conflict for column in found.columns for conflict in column.conflicts]

    assert told("a;b\n1.000,5;1\n2,5;2\n") == ["looks like numbers written 1.234,5: say so by written(a='1.234,5')"]
    assert told("a b;c\n31.12.2026;1\n") == [
        "looks like times written %d.%m.%Y: say so by written({'a b': '%d.%m.%Y'})"
    ]
    assert "%d/%m/%Y, or %m/%d/%Y" in told("a;b\n01/02/2026;1\n02/03/2026;1\n")[0]
    assert told("a;b;c\n1;2;3\n", ",") == ["the name holds ';' 2 times: is it Csv(..., delimiter=';')?"]
    assert told("name;b\nann;1\nbob;2\n") == []
    (tmp_path / "head.csv").write_text("a,b\n")
    with pytest.raises(SourceError, match=r"head\.csv holds no row"):
        data.discover(data.Csv(f"{tmp_path}/head.csv"))


def test_times_with_hours_are_utc(ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,at\n1,01.02.2026 13:45\n")
    source = data.Source("a", data.Csv(f"{tmp_path}/a.csv"), formats={"at": "%d.%m.%Y %H:%M"}, event_time="at")
    assert data.ingest(ws, source).schema["at"] == "timestamp"
    assert data.table(ws, "a")["at"].to_pylist() == [datetime(2026, 2, 1, 13, 45, tzinfo=UTC)]


def test_formats_that_cannot_be_meant_are_refused() -> None:
    for formats, schema, said in (
        ({"a": "dd.mm.yyyy"}, None, "'dd.mm.yyyy' of column 'a' is not valid"),
        ({"a": "1.234,5 | %d"}, None, "is not valid"),
        ({"a": "1.234,5"}, {"a": "date"}, "column 'a' is date, but its format"),
        ({"a": "%d.%m.%Y"}, {"a": "int64"}, "of dates"),
        ("%d", None, "is not a mapping"),
    ):
        with pytest.raises(ConfigError, match=said):
            data.Source("s", data.Csv("x"), formats=formats, schema=schema)  # type: ignore[arg-type]
    assert guess_notations(pa.chunked_array([pa.array([], pa.string())]), 0.95) == []

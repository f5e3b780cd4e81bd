"""The conformance suite on every connector, and cursors against a simple model."""

from __future__ import annotations

import csv
import gzip
import os
import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raylake.core import SourceError
from raylake.data import Connector, Csv, Parquet
from raylake.testing.connectors import ConnectorContract, Feed, Row, rows_of


def csv_text(rows: Sequence[Row]) -> str:
    return "id,note\n" + "".join(f"{row['id']},{row['note']}\n" for row in rows)


@dataclass
class FileFeed:
    folder: Path
    kind: str
    written: list[str] = field(default_factory=list)

    def connector(self) -> Connector:
        pattern = str(self.folder / f"*.{self.kind}")
        return Parquet(pattern) if self.kind == "parquet" else Csv(pattern)

    def missing(self) -> Connector:
        return Parquet(str(self.folder / "no.parquet")) if self.kind == "parquet" else Csv(str(self.folder / "no.csv"))

    def add(self, rows: Sequence[Row]) -> None:
        path = self.folder / f"{len(self.written):03d}.{self.kind}"
        self.written.append(str(path))
        if self.kind == "parquet":
            pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), path)
        elif self.kind == "csv":
            path.write_text(csv_text(rows))
        elif self.kind == "csv.gz":
            path.write_bytes(gzip.compress(csv_text(rows).encode()))
        else:
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("rows.csv", csv_text(rows))
                archive.writestr("README.txt", "not data")


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "zip", "parquet"])
class TestFiles(ConnectorContract):
    @pytest.fixture
    def feed(self, tmp_path: Path, kind: str) -> Feed:
        (tmp_path / "feed").mkdir()
        return FileFeed(tmp_path / "feed", kind)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["add", "plan", "touch"]), st.integers(1, 3)), max_size=12))
def test_cursor_against_a_set_of_ids(steps: list[tuple[str, int]]) -> None:
    """However files come and plans are made in between, every row is read once, at the next plan."""
    folder = Path(tempfile.mkdtemp())
    feed = FileFeed(folder, "csv")
    cursor, pending, number = None, [], 0
    try:
        for action, count in steps:
            if action == "add":
                rows = [{"id": str(number + at), "note": ""} for at in range(count)]
                feed.add(rows)
                number += count
                pending += [row["id"] for row in rows]
            elif action == "touch" and feed.written:
                os.utime(feed.written[count % len(feed.written)], (count, count))
            elif action == "plan" and feed.written:
                ids, cursor = rows_of(feed.connector(), cursor)
                assert sorted(ids) == sorted(pending)
                pending = []
    finally:
        shutil.rmtree(folder)


def write(folder: Path, name: str, data: bytes | str) -> str:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return str(path)


def read_all(connector: Connector) -> list[dict[str, object]]:
    return [
        row for split in connector.plan(None)[0] for batch in connector.read(split) for row in batch.rows.to_pylist()
    ]


def test_paths_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    write(tmp_path, "empty.csv", "")
    (tmp_path / "folder").mkdir()
    for path, words in (
        ("missing.csv", "does not exist"),
        ("*.tsv", "no file matches"),
        ("folder", "is a folder"),
        ("empty.csv", "0 bytes"),
    ):
        with pytest.raises(SourceError, match=words) as caught:
            Csv(str(tmp_path / path)).plan(None)
        assert path in str(caught.value)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("latin.csv", "a,b\n\xe9,1\n".encode("latin1"), "encoding='latin1'"),
        ("blank.csv", b"\n\n", "no header line"),
        ("cut.csv.gz", gzip.compress(b"a,b\n" + os.urandom(20_000).hex().encode())[:-4000], "cut.csv.gz"),
        ("open.csv", b'a,b\n1,"2\n3,4\n5,6\n', "never closed"),
        ("long.csv", b"a,b\n" + b"x" * 20_000_000 + b",1\n", "one row is longer than"),
        ("no.zip", b"PK this is no archive", "no.zip"),
    ],
)
def test_broken_csv_is_named(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    path = write(tmp_path, name, data)
    with pytest.raises(SourceError, match=words) as caught:
        read_all(Csv(path))
    assert name in str(caught.value)


def test_an_archive_without_csv_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x.txt", "x")
    with pytest.raises(SourceError, match="no member"):
        Csv(str(tmp_path / "a.zip")).plan(None)


def test_truncated_parquet_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"n": range(1000)}), tmp_path / "whole.parquet")
    whole = (tmp_path / "whole.parquet").read_bytes()
    for cut in (3, len(whole) // 2, len(whole) - 4):
        path = write(tmp_path, "cut.parquet", whole[:cut])
        with pytest.raises(SourceError, match=r"cut\.parquet is not readable Parquet"):
            read_all(Parquet(path))


def test_other_dialects(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", 'a;b\r\né;"x;\ny"\r\n'.encode("latin1"))
    assert read_all(Csv(path, delimiter=";", encoding="latin1")) == [{"a": "é", "b": "x;\ny"}]
    marked = write(tmp_path, "bom.csv", b"\xef\xbb\xbfa,b\n1,2\n")
    assert read_all(Csv(marked)) == [{"a": "1", "b": "2"}]


def test_a_file_that_changed_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "id\n1\n")
    _, cursor = Csv(path).plan(None)
    write(tmp_path, "a.csv", "id\n1\n2\n")
    with pytest.raises(SourceError, match="changed after it was ingested"):
        Csv(path).plan(cursor)


cells = st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=8)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=8))
def test_whatever_python_writes_is_read_back(rows: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        with path.open("w", newline="", encoding="utf8") as out:
            writer = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL)
            writer.writerows([("a", "b"), *rows])
        assert [(row["a"], row["b"]) for row in read_all(Csv(str(path)))] == rows

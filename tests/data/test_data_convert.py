"""Converters and discovery: what comes out, and what contradicts it."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pypdf import PdfWriter

from raylake import data
from raylake.cli import main
from raylake.core import SchemaMismatch, SourceError, Workspace
from raylake.data import convert

LINES = [
    '1.2.3.4 - ann [10/Oct/2026:13:55:36 +0000] "GET /a HTTP/1.1" 200 12 "-" "curl/8"',
    "nonsense",
]


def test_logs_by_pattern(ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("\n".join(LINES) + "\n")
    version = data.ingest(ws, data.Source("web", data.Text(str(tmp_path / "a.log"), "combined")))
    assert (version.rows, version.metrics["rows_quarantined"]) == (1, 1)
    assert data.table(ws, "web")["status"].to_pylist() == [200]
    split = convert.split_lines(pa.table({"line": LINES, "n": [1, 2]}), "combined")
    assert split["host"].to_pylist() == ["1.2.3.4", None] and split["n"].to_pylist() == [1, 2]


def test_a_stack_trace_belongs_to_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("ERROR it broke\n  at x\n  at y\nINFO fine\n")
    connector = data.Text(str(tmp_path / "a.log"), r"(?P<level>[A-Z]+) (?P<message>.*)", continued=True)
    rows = [
        row for split in connector.plan(None)[0] for batch in connector.read(split) for row in batch.rows.to_pylist()
    ]
    assert rows == [{"level": "ERROR", "message": "it broke\n  at x\n  at y"}, {"level": "INFO", "message": "fine"}]


scalars = st.none() | st.integers(-(2**53), 2**53) | st.text(max_size=5) | st.booleans()
names = st.text("abc", min_size=1, max_size=2)
objects = st.recursive(scalars, lambda inner: st.dictionaries(names, inner, min_size=1, max_size=3), max_leaves=8)


def leaves(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {path: value}
    return {key: leaf for name, part in value.items() for key, leaf in leaves(part, f"{path}/{name}").items()}


@settings(deadline=None, max_examples=60)
@given(st.lists(st.dictionaries(names, objects, min_size=1, max_size=3), min_size=1, max_size=5))
def test_flattening_keeps_every_value(cells: list[dict[str, Any]]) -> None:
    """Against a plain walk over the objects: every leaf that is not null is in its column, as itself or as text."""
    flat = convert.flatten(pa.table({"v": [json.dumps(cell) for cell in cells]}), separator="/", depth=9)
    for row, cell in zip(flat.to_pylist(), cells, strict=True):
        for path, leaf in leaves(cell, "v").items():
            if leaf is not None:
                kept = row[path]
                assert kept == leaf or kept == str(leaf) or kept == json.dumps(leaf)


def test_flattening_never_overwrites_a_column() -> None:
    with pytest.raises(SchemaMismatch, match="a_b"):
        convert.flatten(pa.table({"a": ['{"b": 1}'], "a_b": [2]}))
    with pytest.raises(SchemaMismatch, match="no columns"):
        convert.flatten(pa.table({"a": [1]}), columns=["x"])


def test_explode() -> None:
    table = pa.table({"id": [1, 2, 3], "tags": ["[1, 2]", "[]", None]})
    assert convert.explode(table, "tags").to_pylist() == [{"id": 1, "tags": 1}, {"id": 1, "tags": 2}]
    with pytest.raises(SchemaMismatch, match="no list"):
        convert.explode(pa.table({"tags": ["x"]}), "tags")


def png(width: int, height: int) -> bytes:
    out = io.BytesIO()
    picture = Image.new("RGB", (width, height), (255, 0, 0))
    exif = picture.getexif()
    exif[0x0110] = "Leica"
    picture.save(out, "JPEG", exif=exif, quality=95)
    return out.getvalue()


def test_images_to_facts_and_tensor(ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(png(20, 10))
    data.ingest(ws, data.Source("scans", data.Images(str(tmp_path / "*.jpg"), size=(4, 2))))
    (row,) = data.table(ws, "scans").to_pylist()
    assert (row["width"], row["height"], row["format"], json.loads(row["exif"])["Model"]) == (20, 10, "JPEG", "Leica")
    assert len(row["tensor"]) == 2 * 4 * 3 and row["tensor"][0] > 250 and row["tensor"][1] < 5
    assert row["path"].endswith("a.jpg") and len(row["sha256"]) == 64 and "content" not in row


def docx(text: str) -> bytes:
    out = io.BytesIO()
    space = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    with zipfile.ZipFile(out, "w") as archive:
        body = f"<w:document {space}><w:body><w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:body></w:document>"
        archive.writestr("word/document.xml", body)
    return out.getvalue()


def pdf() -> bytes:
    out = io.BytesIO()
    writer = PdfWriter()
    writer.add_blank_page(100, 100)
    writer.write(out)
    return out.getvalue()


def test_documents_to_text() -> None:
    body = b"<body><script>no()</script><p>Yes</p><p>Two</p></body></html>"
    page = b"<!DOCTYPE html><html><head><title>no</title></head>" + body
    cells = [docx("Dear all"), page, "Grüße".encode(), pdf(), b"%PDF-1.4 nonsense", b"PK\x03\x04 no", b"\xff\xfe", None]
    found = convert.documents(pa.table({"content": pa.array(cells, pa.binary())})).to_pylist()
    assert [row["text"] for row in found[:4]] == ["Dear all", "Yes\nTwo", "Grüße", ""]
    assert [row["kind"] for row in found[:4]] == ["docx", "html", "text", "pdf"] and found[3]["pages"] == 1
    assert all(row["text"] is None and row["problem"] for row in found[4:])


def write_csv(tmp_path: Path) -> data.Csv:
    lines = [f"{n},{n % 7},2026-01-01,{'x' if n % 3 else ''},<b>" for n in range(100)]
    (tmp_path / "a.csv").write_text(
        "\n".join(["trip_id,miles,day,note,html", *lines, "100,n/a,2026-01-02,x,<b>", "a,b"])
    )
    return data.Csv(str(tmp_path / "a.csv"))


def test_discovery_proposes_and_shows_conflicts(tmp_path: Path) -> None:
    found = data.discover(write_csv(tmp_path))
    assert found.schema == {"trip_id": "int64", "miles": "string", "day": "date", "note": "string", "html": "string"}
    assert (found.key, found.event_time, found.rows) == (("trip_id",), "day", 101)
    assert found.columns[1].conflicts == ("1 of 101 values is not int64: 'n/a'",)
    assert found.columns[3].nulls == 34 and len(found.broken) == 1
    page = found._repr_html_()
    assert "&lt;b&gt;" in page and "<b>trip_id</b>" in page and "n/a" in page
    fixed = found.cast(miles="int64").source("trips", every="5m")
    assert fixed.schema is not None and fixed.schema["miles"] == "int64" and fixed.key == ("trip_id",)
    with pytest.raises(SourceError, match="no column 'x'"):
        found.cast(x="int64")


def test_discovery_of_records_with_changing_types(tmp_path: Path) -> None:
    (tmp_path / "1.jsonl").write_text('{"id": 1, "v": 1}\n')
    (tmp_path / "2.jsonl").write_text('{"id": 2, "v": "x", "more": true}\n')
    found = data.discover(data.Json(str(tmp_path / "*.jsonl")))
    assert found.schema == {"id": "int64", "v": "string", "more": "bool"}
    assert found.columns[1].conflicts == ("has types int64 and string",) and found.columns[2].nulls == 1


def test_discovery_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_csv(tmp_path)
    assert main(["source", "discover", str(tmp_path / "a.csv")]) == 0
    assert "key: trip_id; event time: day" in capsys.readouterr().out
    assert main(["source", "discover", str(tmp_path / "a.csv"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["key"] == ["trip_id"]
    assert main(["source", "discover", str(tmp_path / "a.xyz")]) == 1

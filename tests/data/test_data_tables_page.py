"""The example of docs/tables.md runs as it stands."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tables.md"


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(code.strip().splitlines()) <= 16
    monkeypatch.chdir(tmp_path)
    pq.write_table(pa.table({"sku": ["a", "b", "c"], "amount": [1, 2, 0]}), tmp_path / "stock.parquet")
    given = {
        "changes": pa.table({"sku": ["b", "a", "d"], "amount": [5, 0, 4], "op": ["U", "D", "U"]}),
        "prices": pa.table({"sku": ["b", "d"], "price": [2.0, 3.0], "since": [datetime(2024, 1, 1, tzinfo=UTC)] * 2}),
    }
    exec(compile(code, "tables.md", "exec"), given)
    out = capsys.readouterr().out
    assert out.startswith("3 2\n") and "update_postimage" in out and "main.stock" in out
    from raylake import data

    ws = given["ws"]
    assert sorted(data.table(ws, "value").to_pylist(), key=str) == [
        {"sku": "b", "value": 10.0},
        {"sku": "d", "value": 12.0},
    ]
    assert data.table(ws, "stock").num_rows == 3

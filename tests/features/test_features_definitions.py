"""Entities, views, sets: versions by content, validation, the form that travels with a model."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from feature_cases import CALENDAR, FEATURES, SEATS, WEATHER, calendar, warm

from raylake.core import ConfigError, InvalidName, SchemaMismatch
from raylake.features import Entity, FeatureSet, FeatureView, OnDemand, Rolling
from raylake.features.functions import FunctionRef, reference


@pytest.mark.parametrize(
    "change",
    [
        {"ttl": "2h"},
        {"transform": warm},
        {"table": "other"},
        {"columns": ("temp",), "types": {}},
        {"created_time": None},
        {"window": Rolling("temp", "1h")},
        {"entity": "airport"},
        {"types": {}},
    ],
)
def test_whatever_decides_the_values_changes_the_version(change: dict[str, Any]) -> None:
    assert replace(WEATHER, **change).version != WEATHER.version


def test_what_is_for_people_does_not() -> None:
    assert replace(WEATHER, description="x", tags={"a": "b"}, owner="me").version == WEATHER.version
    assert replace(WEATHER, ttl=timedelta(minutes=180)).version == WEATHER.version


def test_a_set_travels_as_json_and_comes_back_the_same() -> None:
    bound = FEATURES.bind(pa.schema([("t", pa.timestamp("s", "UTC")), *_request_fields()]), "t")
    back = FeatureSet.from_dict(json.loads(json.dumps(bound.to_dict())))
    assert back == bound and back.version == FEATURES.version
    assert back.request_types == {
        "t": "timestamp", "origin": "string", "row": "int64", "fare": "float64",
    }  # fmt: skip
    assert back.columns == FEATURES.columns


def _request_fields() -> list[tuple[str, pa.DataType]]:
    return [("origin", pa.large_string()), ("row", pa.int32()), ("fare", pa.float64())]


def test_binding_needs_every_request_column() -> None:
    with pytest.raises(SchemaMismatch, match="'fare'"):
        FEATURES.bind(pa.schema([("t", pa.timestamp("s", "UTC")), *_request_fields()[:2]]), "t")


def test_a_transform_comes_back_as_a_function_that_imports_when_it_runs() -> None:
    features = FeatureSet("warm", [replace(WEATHER, transform=warm)])
    data = features.to_dict()
    view = FeatureSet.from_dict(data).views[0]
    table = pa.table({"temp": [32.0]})
    assert view.transform is not None and view.transform(table)["temp"].to_pylist() == [0.0]
    data["features"][0]["transform"]["path"] = "nowhere_at_all:warm"
    with pytest.raises(ConfigError, match="packaged as"):
        FeatureSet.from_dict(data)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere_at_all:calendar", "install the module 'nowhere_at_all'"),
        ("feature_cases:nothing", "has no function 'nothing'"),
        ("feature_cases:warm", "changed since it was packaged"),
        ("__main__:lost", "move it into an importable module"),
    ],
)
def test_a_function_that_is_not_the_one_of_training_is_refused(path: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FunctionRef(path, reference(calendar).digest).load()


class Holder:
    def method(self, table: pa.Table) -> pa.Table:
        return table


@pytest.mark.parametrize(
    "function",
    [lambda table: table, functools.partial(warm), Holder().method, len, Holder],
    ids=["lambda", "partial", "method", "builtin", "class"],  # a repr holds an address: xdist wants the same ids twice
)
def test_a_function_without_an_import_path_is_refused(function: Any) -> None:
    with pytest.raises(ConfigError, match="top level of a"):
        OnDemand("x", ["t"], function, ["y"])


def test_comments_docstrings_and_format_do_not_change_a_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [
        "def f(t):\n    return t\n",
        'def f( t ):  # why\n    """Doc."""\n\n    return (t)\n',
        "def f(t):\n    return 1\n",
    ]
    monkeypatch.syspath_prepend(tmp_path)
    digests = []
    for number, text in enumerate(texts):
        (tmp_path / f"digest_case_{number}.py").write_text(text)
        digests.append(reference(__import__(f"digest_case_{number}").f).digest)
    assert digests[0] == digests[1] != digests[2]


def test_a_function_of_a_script_works_there_and_says_that_serving_cannot_import_it(tmp_path: Path) -> None:
    script = tmp_path / "notebook.py"
    script.write_text(
        "import json, sys, warnings, pyarrow as pa\n"
        "from raylake.features import FeatureSet, OnDemand\n"
        "def double(table):\n    return pa.table({'y': table['x']})\n"
        "features = FeatureSet('n', [OnDemand('d', ['x'], double, ['y'])])\n"
        "with warnings.catch_warnings(record=True) as said:\n"
        "    warnings.simplefilter('always')\n"
        "    packed = features.to_dict()\n"
        "assert FeatureSet.from_dict(packed) == features\n"
        "print(json.dumps({'said': str(said[0].message), 'packed': packed}))\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert "Move it into a module" in told["said"]
    assert "def double" in told["packed"]["features"][0]["function"]["source"]
    with pytest.raises(ConfigError, match="never executed"):
        FeatureSet.from_dict(told["packed"])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Entity("e", ("a", "a")), ConfigError, "names a key twice"),
        (lambda: Entity("e", ("a",), {"b": "string"}), ConfigError, "use a key"),
        (lambda: Entity("e", ("a",), {"a": "float64"}), ConfigError, "string, int64"),
        (lambda: Entity("../e"), InvalidName, "entity"),
        (lambda: _view(columns=[]), ConfigError, "has no feature"),
        (lambda: _view(columns=["e"]), ConfigError, "'e' twice"),
        (lambda: _view(columns=["x", "x"]), ConfigError, "'x' twice"),
        (lambda: _view(types={"y": "string"}), ConfigError, "not one of its columns"),
        (lambda: _view(types={"x": "text"}), ConfigError, "'text' is not known"),
        (lambda: _view(ttl="3 hours"), ConfigError, "'3 hours'"),
        (lambda: _view(ttl="0h"), ConfigError, "'0h'"),
        (lambda: _view(table="flights@3"), ConfigError, "must not be pinned"),
        (lambda: Rolling("x", "3h", "median"), ConfigError, "'median'"),
        (lambda: Rolling("x", "3h", "share_above:lots"), ConfigError, "share_above:15"),
        (lambda: OnDemand("x", [], calendar, ["y"]), ConfigError, "at least one input"),
        (lambda: FeatureSet("f", []), ConfigError, "is empty"),
        (lambda: FeatureSet("f", [WEATHER, WEATHER]), ConfigError, "two of column"),
        (lambda: FeatureSet("f", [WEATHER], passthrough=["temp"]), ConfigError, "two of column 'temp'"),
        (lambda: FeatureSet("f", [SEATS, _view(entity=Entity("row"))]), ConfigError, "int64 in one view"),
        (lambda: FeatureSet("f", [SEATS], types={"row": "string"}), ConfigError, "but int64 as a key"),
        (lambda: FeatureSet.from_dict({"format": 99}), ConfigError, "format 99"),
    ],
)  # fmt: skip
def test_a_definition_that_cannot_work_is_refused(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def _view(**change: Any) -> FeatureView:
    given = {"name": "v", "entity": "k", "event_time": "e", "table": "t", "columns": ["x"]} | change
    return FeatureView(given.pop("name"), given.pop("entity"), **given)


def test_an_input_made_by_an_earlier_feature_is_not_asked_of_the_request() -> None:
    age = OnDemand("age", ["temp", "fare"], calendar, ["age"])
    assert FeatureSet("f", [WEATHER, age]).request_columns == ("event_time", "origin", "fare")
    assert CALENDAR.definition()["function"]["path"] == "feature_cases:calendar"

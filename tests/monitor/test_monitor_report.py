"""Reports: figures, lineage and artifacts recorded; evidently in its own process; failures said, figures kept."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from monitor_world import FAKE, INSTANT, World, moment

from raylake import registry
from raylake.core import DataError, NotFound, Workspace
from raylake.monitor import Renderer, add_labels, report, report_async
from raylake.monitor.figures import measure, trained_until
from raylake.monitor.page import with_heading

JULY = (moment(7), moment(8))


@pytest.fixture
def world(ws: Workspace) -> World:
    made = World(ws, rows=3_000, drift=1.5)
    made.serve(moment(6), moment(9), made.deploy(moment(6)))
    return made


def awkward(rows: int, shift: float) -> pa.Table:
    """What evidently stumbles over: columns without values, Arrow strings, infinities, constants, nulls."""
    random = np.random.default_rng(0)
    return pa.table(
        {
            "x": random.normal(size=rows) + shift,
            "text": pa.array(random.choice(["a", "b"], rows)).cast(pa.large_string()),
            "code": pa.array(random.choice(["a", "b"], rows)).dictionary_encode(),
            "flag": random.random(rows) < 0.5,
            "empty": pa.nulls(rows, pa.float64()),
            "nothing": pa.nulls(rows),
            "gone": pa.nulls(rows, pa.float64()) if shift else pa.array(random.normal(size=rows)),
            "constant": np.ones(rows),
            "infinite": pa.array([np.inf, 1.0] * (rows // 2)),
            "some": pa.array([1, None] * (rows // 2), pa.int32()),
            "day": pa.array([0, 1] * (rows // 2), pa.date32()),
        }
    )


def test_evidently_renders_awkward_columns_twice_in_one_process() -> None:
    with Renderer() as renderer:
        first = renderer.submit(awkward(400, 0), awkward(400, 1))
        second = renderer.submit(awkward(400, 0), awkward(400, 1), {"x": 9.0})
        rendered = first.result()
        again = second.result()
    assert rendered.error == again.error == ""
    assert rendered.html.lstrip().startswith(b"<html") or b"<!DOCTYPE html" in rendered.html[:200]
    assert set(rendered.skipped) == {"empty", "nothing", "gone"}
    assert drifted(rendered.json) - drifted(again.json) == {"x"}


def drifted(content: bytes) -> set[str]:
    """Columns whose value lies above the threshold that evidently was told."""
    found = set()
    for metric in json.loads(content)["metrics"]:
        config = metric["config"]
        if "column" in config and metric["value"] > config["threshold"]:
            found.add(config["column"])
    return found


def test_the_renderer_speaks_its_protocol_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "raylake.monitor.render"], input="", capture_output=True, text=True, check=True
    )
    assert done.stdout == ""


def test_a_report_has_figures_artifacts_and_lineage(world: World, renderer: Renderer) -> None:
    made = report(world.ws, world.endpoint, JULY, renderer=renderer)
    assert made == registry.drift_reports(world.ws, world.endpoint)[0]
    assert set(made.columns) == {"a", "b", "carrier"}
    assert made.columns["b"]["drifted"]
    assert not made.columns["a"]["drifted"]
    assert made.share == pytest.approx(1 / 3)
    assert made.metrics["rows"] == world.between(*JULY).num_rows
    assert made.metrics["auc"] is None
    assert made.metrics["prediction_score"] is not None
    assert set(made.artifacts) == {"figures", "html", "json"}
    assert json.loads(registry.get_bytes(world.ws, made.artifacts["figures"]))["columns"]["b"]["drifted"]
    sources = {str(edge.source) for edge in registry.upstream(world.ws, made.node)}
    assert {"model:delay@1", str(made.current), "table:training.first@1"} <= sources
    assert made.current.name == "predictions.delays"
    assert made.current.version


def test_decay_is_measured_once_labels_are_known(world: World, renderer: Renderer) -> None:
    add_labels(world.ws, world.endpoint, world.labels(moment(6), moment(8), known_at=moment(8)))
    june = report(world.ws, world.endpoint, (moment(6), moment(7)), renderer=renderer).metrics
    july = report(world.ws, world.endpoint, JULY, renderer=renderer).metrics
    unknown = report(world.ws, world.endpoint, JULY, renderer=renderer, as_of=moment(7)).metrics
    assert june["auc"] > 0.7 > july["auc"]
    assert july["auc_low"] < july["auc"] < july["auc_high"]
    assert unknown["labels"] == 0


def test_labels_may_be_given_directly(world: World, renderer: Renderer) -> None:
    labels = world.labels(*JULY, known_at=moment(8))
    made = report(world.ws, world.endpoint, JULY, labels=labels, renderer=renderer)
    assert made.metrics["labels"] == labels.num_rows


def test_reports_render_beside_other_work_with_evidently(world: World) -> None:
    pending = report_async(world.ws, world.endpoint, JULY)
    assert not pending.done()
    made = pending.result(timeout=120)
    html = registry.get_bytes(world.ws, made.artifacts["html"])
    assert len(html) > 100_000
    assert made.metrics["rendered_current_rows"] <= 5_000


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import sys; sys.exit('no fonts')", "exited with 1: no fonts"),
        ("import time; time.sleep(60)", "ended after 1 s"),
        ("input(); print('nonsense')", "JSONDecodeError"),
        ("input(); print('[]')", "TypeError"),
        ("""input(); print('{"skipped": []}')""", "FileNotFoundError"),
    ],
)
def test_a_failed_rendering_keeps_the_figures_and_is_said(world: World, code: str, reason: str) -> None:
    with Renderer(seconds=1, command=(sys.executable, "-c", code)) as broken:
        made = report(world.ws, world.endpoint, JULY, renderer=broken)
    assert made.share == pytest.approx(1 / 3)
    assert set(made.artifacts) == {"figures"}
    assert reason in made.metrics["rendering_error"]
    alert = registry.alerts(world.ws, severity="warning")[0]
    assert reason in alert.message
    assert made.id in alert.message


DIES_ONCE = FAKE.replace("job = ", "assert 'never' not in line, 'cannot draw it'; job = ")


def test_a_renderer_survives_a_report_that_failed() -> None:
    table = pa.table({"x": [1.0]})
    with Renderer(command=(sys.executable, "-c", DIES_ONCE)) as live:
        before = live.submit(table, table)
        bad = live.submit(table, table, {"never": 1.0})
        good = live.submit(table, table)
        assert before.result().error == ""
        assert "AssertionError: cannot draw it" in bad.result().error
        assert good.result().error == ""


def test_a_window_without_traffic_is_refused(world: World) -> None:
    with pytest.raises(DataError, match="captured no request between 2013-02-01"):
        report(world.ws, world.endpoint, (moment(2), moment(3)))
    with pytest.raises(DataError, match="no time zone"):
        report(world.ws, world.endpoint, (moment(2).replace(tzinfo=None), moment(3)))
    with pytest.raises(NotFound, match="nobody"):
        report(world.ws, "nobody", JULY)


def test_the_model_says_where_its_training_ends_whatever_other_times_its_table_has(ws: Workspace) -> None:
    made = World(ws, rows=1_000)
    expires = pa.array([datetime(2099, 1, 1, tzinfo=UTC)] * made.rows.num_rows, INSTANT)
    made.rows = made.rows.append_column("expires", expires)
    version = made.deploy(moment(7))
    assert trained_until(ws, version) == made.between(moment(1), moment(7))["at"][-1].as_py()


def test_the_page_says_what_it_is_about_and_which_figures_count(world: World) -> None:
    model = registry.model_version(world.ws, "delay@champion")
    figures = measure(world.ws, world.endpoint, JULY, model=model)
    page = with_heading(b"<html><head></head><body>evidently</body></html>", figures, (2_000, 300)).decode()
    assert "<title>Drift of delays, 2013-07-01 00:00 to 2013-08-01 00:00 UTC</title>" in page
    assert "training data of delay@1" in page
    assert f"Drifted: 1 of 3 input columns (33%), measured on all {figures.metrics['rows']:,} rows" in page
    assert "training.first@1" in page
    assert "No labels are known of this window yet." in page
    assert "2,000 and 300 rows" in page
    assert page.endswith("evidently</body></html>")
    assert with_heading(b"{}", figures, (1, 1)) == b"{}"

"""A page per model version, filled from what is recorded; what people wrote cannot run."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from raylake import registry
from raylake.core import Node, NotFound, Workspace

NASTY = "<script>alert(1)</script> | **x** [y](javascript:alert(1)) `z`"
WINDOW = (datetime(2013, 7, 1, tzinfo=UTC), datetime(2013, 8, 1, tzinfo=UTC))


class Tags(HTMLParser):
    """Collects tags, event handlers and addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.suspicious: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.suspicious += [(name, value) for name, value in attrs if name.startswith("on") or name in ("src", "href")]


@pytest.fixture
def version(ws: Workspace, tmp_path: Path) -> registry.ModelVersion:
    (tmp_path / "model").mkdir()
    signature = {"columns": [["distance", "double"], [NASTY, "string"]], "label": "late", "task": "binary"}
    (tmp_path / "model" / "model.json").write_text(json.dumps({"signature": signature, "flavour": "xgboost"}))
    raw = registry.record_table(ws, "flights", 3, rows=336776, schema={}, operation="ingest")
    registry.add_lineage(ws, [Node("file", NASTY)], [raw.node])
    tags = {"environment": {"git": {"commit": "c" * 40, "dirty": True}, "libraries": {"xgboost": "3.2"}}}
    run = registry.start_run(ws, "train", NASTY, inputs=[raw.node], params={"depth": 6, NASTY: NASTY}, tags=tags)
    metrics = {"auc": 0.74, "auc/origin=EWR": 0.71, "train_seconds": 3.0, "seconds": 4.0}
    run = registry.finish_run(ws, run.id, metrics=metrics, artifact=registry.put_folder(ws, tmp_path / "model"))
    made = registry.register(ws, run, name="delay", alias="champion", description=NASTY)
    url = "http://127.0.0.1:8000/models/delays/predict"
    registry.record_deployment(ws, "delays", made, target="delay@champion", url=url)
    for share in (0.25, float("nan")):
        registry.record_drift_report(
            ws, "delays", model=made, window=WINDOW, reference=made.node, current=raw.node, share=share,
            columns={"distance": {"drifted": True}, "carrier": {"drifted": False}},
        )  # fmt: skip
    return made


def test_it_says_what_is_recorded(ws: Workspace, version: registry.ModelVersion) -> None:
    text = registry.model_card(ws, "delay@champion").to_markdown()
    parts = dict(re.findall(r"^## (.+?)\n\n(.*?)(?=\n## |\Z)", text, re.MULTILINE | re.DOTALL))
    assert "the probability of “late”" in parts["Purpose"]
    assert "| auc | 0.74 |" in parts["Quality"] and "| origin | EWR | auc | 0.71 |" in parts["Quality"]
    assert "seconds" not in parts["Quality"]
    assert "| main.flights | 3 | 336,776 | ingest |" in parts["Data"].replace("336776", "336,776")
    assert "From 1 source file." in parts["Data"]
    assert "| distance | double |" in parts["Features"]
    assert f"{'c' * 40} with uncommitted changes" in parts["Training"] and "xgboost 3.2" in parts["Training"]
    assert "flowchart LR" in parts["Lineage"]
    assert "delay@champion" in parts["Deployments"]
    assert "25%" in parts["Drift since"] and "unknown" in parts["Drift since"]
    assert "| distance |" in parts["Drift since"]
    assert "champion" in parts["Aliases"]
    assert "train.open_model" in parts["How to call it"] and "curl http://127.0.0.1:8000" in parts["How to call it"]


def test_the_page_stands_alone_and_nothing_runs(ws: Workspace, version: registry.ModelVersion, tmp_path: Path) -> None:
    card = registry.model_card(ws, version)
    page = card.save(tmp_path / "card.html").read_text(encoding="utf-8")
    found = Tags()
    found.feed(page)
    assert not found.tags & {"script", "img", "iframe", "link", "object", "a"}
    assert found.suspicious == []
    assert "Content-Security-Policy" in page and "<svg" in page
    assert "&lt;script&gt;" in page
    inside = Tags()
    inside.feed(card._repr_html_())
    assert "script" not in inside.tags and inside.suspicious == []


def test_markdown_shows_what_people_wrote_as_it_is(ws: Workspace, version: registry.ModelVersion) -> None:
    from markdown_it import MarkdownIt

    card = registry.model_card(ws, version)
    text = card.save(Path(ws.root) / "card.md").read_text(encoding="utf-8")
    shown = Tags()
    shown.feed(MarkdownIt("commonmark").enable("table").render(text))
    assert not shown.tags & {"script", "img", "a"}
    assert "em" not in shown.tags
    rows = [line for line in text.splitlines() if line.startswith("|") and "script" in line]
    assert rows and all(len(re.findall(r"(?<!\\)\|", row)) in (3, 7) for row in rows)


def test_a_model_that_no_run_made_and_whose_folder_is_gone(ws: Workspace) -> None:
    registry.register_artifact(ws, "0" * 64, name="foreign", metrics={"auc": float("nan")})
    card = registry.model_card(ws, "foreign")
    text = card.to_markdown()
    assert "made elsewhere" in text and "NaN" in text
    assert "How to call" not in text and "Deployments" not in text
    assert card.to_html().startswith("<!doctype html>")


def test_unknown(ws: Workspace) -> None:
    with pytest.raises(NotFound):
        registry.model_card(ws, "nothing@1")

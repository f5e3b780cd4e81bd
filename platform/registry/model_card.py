"""The page of a model version: what it is for, what it was made from, how good it is, how it fared since.

After Mitchell et al.: Model Cards for Model Reporting (2019); filled from what is recorded, so that it is never stale.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..core import Node, NotFound, Ref, Workspace
from . import catalog, modelling, operations, tracking
from .lineage_graph import graph_of, lineage_edges
from .model_info import model_info
from .pages import Piece, Rows, Section, Source, Words, html_body, html_page, markdown
from .records import Deployment, DriftReport, ModelVersion, Run
from .show import plain_text

_MOST = 60  # edges of the picture
_SLICE = re.compile(r"(?P<metric>[^/]+)/(?P<column>[^=/]+)=(?P<value>.+)")
_TIME = re.compile(r"(.*_)?seconds")
_EXAMPLE = {"string": "text", "bool": True}


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A page about one model version.

    Attributes:
        version: The version.
        lead: One line below the title.
        sections: Titled parts, with paragraphs, tables, code and the lineage picture.
        made_at: When the card was made; what happened later is not in it.
    """

    version: ModelVersion
    lead: str
    sections: tuple[Section, ...]
    made_at: datetime

    def to_markdown(self) -> str:
        """As Markdown, the lineage as a Mermaid chart."""
        return markdown(str(self.version), self.lead, self.version.aliases, self.sections) + "\n"

    def to_html(self) -> str:
        """As one self-contained HTML page: nothing is loaded, no script runs."""
        foot = f"Made by raylake from the registry, {plain_text(self.made_at)}"
        return html_page(str(self.version), self.lead, self.version.aliases, self.sections, foot)

    def save(self, path: str | Path) -> Path:
        """Write it to a file: HTML when the name ends in ``.html``, Markdown otherwise."""
        file = Path(path)
        file.write_text(self.to_html() if file.suffix in (".html", ".htm") else self.to_markdown(), encoding="utf-8")
        return file

    def _repr_html_(self) -> str:
        from .show import block

        return block(html_body(str(self.version), self.lead, self.version.aliases, self.sections))


def model_card(ws: Workspace, ref: ModelVersion | Ref | str) -> ModelCard:
    """The card of a model version: purpose, data, features, metrics (by slice), lineage, drift since, how to call.

    Metrics named ``auc/origin=EWR`` are shown by slice: metric, column and value.

    Args:
        ws: The workspace.
        ref: ``flight-delay@3``, ``flight-delay@champion`` or ``flight-delay`` (the newest), or the version itself.

    Raises:
        NotFound: The model, version or alias is unknown.

    Example:
        >>> import tempfile
        >>> from raylake.registry import register_artifact
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> made = register_artifact(ws, "0" * 64, name="flight-delay", metrics={"auc": 0.74, "auc/origin=EWR": 0.71})
        >>> card = model_card(ws, "flight-delay@1")
        >>> [section.title for section in card.sections if section.pieces][:2]
        ['Quality', 'Training']
        >>> card.to_markdown().splitlines()[0]
        '# flight-delay@1'
    """
    version = ref if isinstance(ref, ModelVersion) else modelling.model_version(ws, ref)
    info = model_info(ws, version)
    run = None if version.run_id is None else tracking.run(ws, version.run_id)
    edges = lineage_edges(ws, version.node, direction="both", depth=None)
    behind = [edge for edge in edges if edge.target.kind not in ("endpoint", "report")]
    deployed = [
        one for one in operations.deployments(ws) if (one.model, one.version) == (version.name, version.version)
    ]
    sections = (
        Section("Purpose", tuple(_purpose(version, info))),
        Section("Quality", tuple(_quality(version))),
        Section("Data", tuple(_data(ws, dict.fromkeys(edge.source for edge in behind), run))),
        Section("Features", tuple(_features(info))),
        Section("Training", tuple(_training(run))),
        Section("Lineage", (graph_of(ws, version.node, edges, most=_MOST),)),
        Section("Deployments", tuple(_deployments(deployed))),
        Section("Drift since", tuple(_drift(ws, version))),
        Section("Aliases", tuple(_aliases(ws, version))),
        Section("How to call it", tuple(_calls(version, info, deployed))),
    )
    lead = f"Version {version.version}, registered {plain_text(version.created_at)}"
    return ModelCard(version, lead, sections, datetime.now(UTC))


def _purpose(version: ModelVersion, info: Mapping[str, Any]) -> Iterator[Piece]:
    if version.description:
        yield Words(version.description)
    signature = info.get("signature") or {}
    if signature.get("label"):
        task = {"binary": "the probability of", "regression": "the value of"}.get(str(signature.get("task")), "")
        flavour = f" It is a model of the flavour {info['flavour']}." if info.get("flavour") else ""
        yield Words(f"Predicts {task} “{signature['label']}”.{flavour}")


def _quality(version: ModelVersion) -> Iterator[Piece]:
    whole, slices = [], []
    for name, value in version.metrics.items():
        found = _SLICE.fullmatch(name)
        if found:
            slices.append((found["column"], found["value"], found["metric"], value))
        elif not _TIME.fullmatch(name):
            whole.append((name, value))
    if whole:
        yield Rows(("metric", "value"), tuple(whole))
    if slices:
        yield Words("By slice:")
        yield Rows(("column", "slice", "metric", "value"), tuple(sorted(slices)))


def _data(ws: Workspace, sources: Iterable[Node], run: Run | None) -> Iterator[Piece]:
    rows, files = [], 0
    for node in sources:
        files += node.kind in ("file", "dataset")
        if node.kind == "table":
            count, made = _table(ws, node)
            rows.append((node.name, node.version, count, made))
    if rows:
        yield Rows(("table", "version", "rows", "made by"), tuple(rows[::-1]))
    if files:
        yield Words(f"From {files:,} source file{'' if files == 1 else 's'}.")
    start = None if run is None else run.tags.get("validation_start")
    if start:
        yield Words(f"Fitted on rows before {start}, evaluated on those from then on.")


def _table(ws: Workspace, node: Node) -> tuple[int | None, str]:
    try:
        found = catalog.table_version(ws, f"{node.name}@{node.version}" if node.version else node.name)
    except NotFound:  # purged since, or never ours
        return None, ""
    return found.rows, found.operation


def _features(info: Mapping[str, Any]) -> Iterator[Piece]:
    columns = [*_columns(info)]
    if columns:
        yield Rows(("column", "type"), tuple(columns))


def _columns(info: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for column in (info.get("signature") or {}).get("columns") or ():
        name, dtype = column if isinstance(column, list) else (column.get("name"), column.get("type"))
        yield str(name), str(dtype)


def _training(run: Run | None) -> Iterator[Piece]:
    if run is None:
        yield Words("No run is recorded: the model was made elsewhere.")
        return
    environment = run.tags.get("environment")
    known: Mapping[str, Any] = environment if isinstance(environment, Mapping) else {}
    git = known.get("git") or {}
    code = f"{git['commit']}{' with uncommitted changes' if git.get('dirty') else ''}" if git.get("commit") else None
    libraries = ", ".join(f"{name} {number}" for name, number in (known.get("libraries") or {}).items())
    took = None if run.ended_at is None else f"{(run.ended_at - run.created_at).total_seconds():.1f} s"
    what = f"{run.kind} {run.name} ({run.id})"
    facts = [("run", what), ("took", took), ("code", code), ("python", known.get("python")), ("libraries", libraries)]
    yield Rows(("", ""), tuple((name, value) for name, value in facts if value))
    if run.params:
        yield Words("Parameters:")
        yield Source("json", json.dumps(run.params, indent=1, default=str)[:4000])


def _deployments(deployed: list[Deployment]) -> Iterator[Piece]:
    if deployed:
        columns = ("endpoint", "asked for", "status", "from", "until", "url")
        yield Rows(columns, tuple((d.endpoint, d.target, d.status, d.created_at, d.ended_at, d.url) for d in deployed))


def _drift(ws: Workspace, version: ModelVersion) -> Iterator[Piece]:
    reports = [r for r in operations.drift_reports(ws) if (r.model, r.version) == (version.name, version.version)]
    if reports:
        columns = ("endpoint", "traffic from", "until", "columns that drifted", "which")
        yield Rows(columns, tuple(_report(report) for report in reports[:20]))


def _report(report: DriftReport) -> tuple[Any, ...]:
    start, end = (plain_text(moment) for moment in report.window)
    share = "unknown" if report.share != report.share else f"{report.share:.0%}"
    drifted = [name for name, figures in report.columns.items() if figures.get("drifted")]
    return report.endpoint, start, end, share, ", ".join(drifted[:8]) + (", …" if len(drifted) > 8 else "")


def _aliases(ws: Workspace, version: ModelVersion) -> Iterator[Piece]:
    known = next((model.aliases for model in modelling.models(ws) if model.name == version.name), {})
    moves = [
        (since, alias, number) for alias in known for number, since in modelling.alias_history(ws, version.name, alias)
    ]
    if moves:
        yield Rows(("since", "alias", "pointed at version"), tuple(sorted(moves, key=lambda move: move[0])))


def _calls(version: ModelVersion, info: Mapping[str, Any], deployed: list[Deployment]) -> Iterator[Piece]:
    if info:
        yield Source(
            "python",
            "from raylake import registry, train\n\n"
            f'model = train.open_model(ws, registry.model_version(ws, "{version}"))\n'
            "scores = model.predict(rows)  # a pyarrow.Table with the columns above",
        )
    urls = [one.url for one in deployed if one.status == "running" and one.url]
    if not urls:
        return
    if info and not info.get("feature_set"):
        row = {name: _EXAMPLE.get(dtype, 1) for name, dtype in _columns(info)}
        yield Source("bash", f"curl {urls[0]} -H 'content-type: application/json' -d '{json.dumps({'rows': [row]})}'")
    yield Words(f"Fields and an example that works when pasted: {urls[0].removesuffix('/predict')}/docs")

"""What logged models were made with and what was measured of them; removing them for good."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import delete
from sqlmodel import col, select

from ..core import Conflict, Workspace
from .artifact_paths import SCHEME
from .artifact_tree import remove_artifact
from .engine import now, reading, writing
from .logged_models import LoggedMetric, logged_model_records, logged_model_row, values_of, write_values
from .model_admin import check_tags
from .rows import upsert
from .schema import LoggedModelMetricRow, LoggedModelParamRow, LoggedModelRow

_KEY = ["model_id", "key", "dataset", "dataset_digest"]


def log_model_params(ws: Workspace, model_id: str, params: Mapping[str, str]) -> None:
    """Record what a logged model was made with. A parameter never changes its value.

    Raises:
        NotFound: It is unknown.
        Conflict: A parameter has another value already.

    Example:
        >>> import tempfile
        >>> from raylake.registry import create_logged_model, delete_logged_model, logged_model
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> made = create_logged_model(ws, "0", params={"depth": "3"})
        >>> log_model_params(ws, made.id, {"eta": "0.3"})
        >>> logged_model(ws, made.id).params
        {'depth': '3', 'eta': '0.3'}
    """
    values = check_tags(params)
    with writing(ws) as session:
        logged_model_row(session, model_id)
        known = values_of(session, LoggedModelParamRow, [model_id]).get(model_id, {})
        for key in known.keys() & values.keys():
            if known[key] != values[key]:
                raise Conflict(f"parameter {key!r} of logged model {model_id} is {known[key]!r:.200} and stays so")
        write_values(session, LoggedModelParamRow, model_id, values)


def log_model_metrics(ws: Workspace, model_id: str, metrics: Iterable[LoggedMetric]) -> None:
    """Record what was measured of a logged model; of each metric and data set the newest value stays.

    Raises:
        NotFound: It is unknown.

    Example:
        >>> import tempfile
        >>> from raylake.registry import create_logged_model, delete_logged_model, logged_model
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> made = create_logged_model(ws, "0")
        >>> log_model_metrics(ws, made.id, [LoggedMetric("auc", 0.7, dataset="2013")])
        >>> logged_model(ws, made.id).metrics[0].value
        0.7
    """
    with writing(ws) as session:
        logged_model_row(session, model_id)
        table, newest = LoggedModelMetricRow, dict[tuple[str, str, str], LoggedMetric]()
        rows = session.exec(select(table).where(table.model_id == model_id)).all()
        known = {(row.key, row.dataset, row.dataset_digest): (row.step, row.logged_at) for row in rows}
        for metric in metrics:
            place, moment = (metric.key, metric.dataset, metric.dataset_digest), (metric.step, metric.timestamp)
            if known.get(place, moment) <= moment:
                known[place], newest[place] = moment, metric
        values = [_values(model_id, metric) for metric in newest.values()]
        upsert(session, table, values, key=_KEY, changed=[*values[0].keys() - {*_KEY}] if values else [])


def purge_logged_models(ws: Workspace, *, older_than: timedelta = timedelta(0)) -> int:
    """Remove logged models deleted at least `older_than` ago, for good, with their files in the artifact tree.

    Returns:
        How many.

    Example:
        >>> import tempfile
        >>> from raylake.registry import create_logged_model, delete_logged_model
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> delete_logged_model(ws, create_logged_model(ws, "0").id)
        >>> purge_logged_models(ws)
        1
    """
    before = now() - older_than
    with reading(ws) as session:
        gone = select(LoggedModelRow).where(
            col(LoggedModelRow.deleted_at).is_not(None), col(LoggedModelRow.deleted_at) <= before
        )
        found = logged_model_records(session, session.exec(gone).all())
    for model in found:
        if model.artifact_uri.startswith(SCHEME):  # elsewhere we remove nothing
            remove_artifact(ws, model.folder.removesuffix("/artifacts"))
    with writing(ws) as session:
        for model in found:
            session.execute(delete(LoggedModelRow).where(col(LoggedModelRow.id) == model.id))
    return len(found)


def _values(model_id: str, metric: LoggedMetric) -> dict[str, Any]:
    return {
        "model_id": model_id,
        "key": metric.key,
        "dataset": metric.dataset,
        "dataset_digest": metric.dataset_digest,
        "run_id": metric.run_id,
        "value": metric.value,
        "step": metric.step,
        "logged_at": metric.timestamp,
    }

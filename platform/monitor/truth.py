"""Ground truth: labels that arrive later, kept exactly once per prediction, joined to the prediction log."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .. import data, registry
from ..core import DataError, Node, Ref, SchemaMismatch, Workspace, exclusive
from ..registry import TableVersion
from .traffic import INSTANT, Window, captured, newest_per_id

SCHEMA = pa.schema([("id", pa.string()), ("label", pa.float64()), ("known_at", INSTANT)])


def truth_ref(endpoint: str) -> Ref:
    """Where an endpoint's labels are kept: ``truth.<endpoint>``.

    Example:
        >>> str(truth_ref("delays"))
        'truth.delays'
    """
    return Ref(endpoint, namespace="truth")


def add_labels(ws: Workspace, endpoint: str, labels: pa.Table) -> TableVersion:
    """Store labels, each exactly once: repeating a call, or a part of it, changes nothing.

    A label that differs from the stored one and was known later is a correction and wins; one that is not newer
    than what is stored is ignored. A label may arrive before its prediction: it is kept and joined later.
    An event ``labels-added`` counts what was new, corrected, repeated and ignored.

    Args:
        ws: The workspace.
        endpoint: Name of the endpoint.
        labels: Columns ``id`` (string, the prediction's id), ``label`` (number or boolean, not null) and
            ``known_at`` (timestamp, UTC; default now); other columns are ignored.

    Returns:
        The version of ``truth.<endpoint>`` that holds them all.

    Raises:
        SchemaMismatch: A column is missing or has a type that does not fit.
        DataError: An id, label or time is null; or one id has two labels known at the same moment.
        WorkspaceBusy: Another process adds labels to this endpoint right now: call again.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> labels = pa.table({"id": ["a", "b"], "label": [0, 1]})
        >>> add_labels(ws, "delays", labels).rows
        2
        >>> add_labels(ws, "delays", labels).rows
        2
    """
    rows = newest_per_id(_consistent(_checked(labels)), "known_at")
    ref = truth_ref(endpoint)
    with exclusive(ws, f"labels-{endpoint}"):
        known = data.table(ws, str(ref)) if data.exists(ws, ref) else SCHEMA.empty_table()
        fresh, counts = _fresh(rows, newest_per_id(known, "known_at"))
        if known.num_rows and not fresh.num_rows:
            version = data.sync_table(ws, ref)
        else:
            version = data.write(ws, str(ref), fresh, app=(_batch(fresh), 1), operation="labels")
    if rows.num_rows:
        registry.record_event(ws, "labels-added", Node("endpoint", endpoint), counts)
    return version


def scored(ws: Workspace, endpoint: str, window: Window | None = None, *, as_of: datetime | None = None) -> pa.Table:
    """Predictions whose label is known, one row each, with the label.

    Args:
        ws: The workspace.
        endpoint: Name of the endpoint.
        window: Start (included) and end (excluded) of the requests' event time; default all.
        as_of: Use only labels known at this moment; default all.

    Returns:
        The columns of the prediction log, then ``label`` (float64) and ``known_at``.

    Raises:
        NotFound: The endpoint has captured nothing yet.

    Example:
        >>> july = datetime(2013, 7, 1, tzinfo=UTC), datetime(2013, 8, 1, tzinfo=UTC)
        >>> rows = scored(ws, "flight-delay", july)
        >>> rows.num_rows, rows.column_names[-2:]
        (100, ['label', 'known_at'])
        >>> scored(ws, "flight-delay", july, as_of=july[0]).num_rows  # no label was known yet
        0
    """
    _, rows = captured(ws, endpoint, window)
    return with_labels(rows, truth(ws, endpoint, as_of=as_of))


def truth(ws: Workspace, endpoint: str, *, as_of: datetime | None = None) -> pa.Table:
    """The labels in force at `as_of`, one row per id: columns ``id``, ``label``, ``known_at``.

    Example:
        >>> import tempfile
        >>> truth(Workspace.open(tempfile.mkdtemp()), "delays").num_rows
        0
    """
    ref = truth_ref(endpoint)
    if not data.exists(ws, ref):
        return SCHEMA.empty_table()
    known = None if as_of is None else pc.field("known_at") <= pa.scalar(as_of, INSTANT)
    return newest_per_id(data.table(ws, str(ref), filter=known).select(SCHEMA.names), "known_at")


def with_labels(rows: pa.Table, labels: pa.Table) -> pa.Table:
    """The rows whose ``id`` has a label, in their order, with ``label`` and ``known_at`` (replaced if present).

    Example:
        >>> rows = pa.table({"id": ["a", "b"], "prediction": [0.1, 0.9]})
        >>> with_labels(rows, pa.table({"id": ["b"], "label": [1.0], "known_at": [None]}))["prediction"].to_pylist()
        [0.9]
    """
    places = pc.index_in(rows["id"].cast(pa.string()), value_set=labels["id"].combine_chunks())
    found = pc.is_valid(places)
    rows, places = rows.filter(found), pc.drop_null(places)
    rows = rows.drop_columns([name for name in ("label", "known_at") if name in rows.column_names])
    return rows.append_column("label", labels["label"].take(places)).append_column(
        "known_at", labels["known_at"].take(places)
    )


def _checked(labels: pa.Table) -> pa.Table:
    for name in ("id", "label"):
        if name not in labels.column_names:
            raise SchemaMismatch(
                f"labels lack the column {name!r}; they have {', '.join(labels.column_names)}: "
                "give id, label and known_at"
            )
    if "known_at" not in labels.column_names:
        moment = pa.scalar(datetime.now(UTC), INSTANT)
        labels = labels.append_column("known_at", pa.repeat(moment, labels.num_rows))
    chosen = labels.select(SCHEMA.names)
    for name in SCHEMA.names:
        if chosen[name].null_count:
            raise DataError(f"{chosen[name].null_count} labels have no {name}: leave such rows out until it is known")
    if pa.types.is_boolean(chosen["label"].type):
        chosen = chosen.set_column(1, "label", chosen["label"].cast(pa.int8()))
    try:
        return chosen.cast(SCHEMA)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SchemaMismatch(
            f"labels do not fit {dict(zip(SCHEMA.names, SCHEMA.types, strict=True))}: {error}"
        ) from error


def _consistent(rows: pa.Table) -> pa.Table:
    """Refuse two labels of one id known at the same moment: nothing could say which is right."""
    distinct = rows.group_by(["id", "known_at"]).aggregate([("label", "min"), ("label", "max")])
    clash = distinct.filter(pc.field("label_min") != pc.field("label_max"))
    if clash.num_rows:
        raise DataError(
            f"id {clash['id'][0].as_py()!r} has two different labels known at {clash['known_at'][0].as_py()}: "
            "give a correction a later known_at"
        )
    return rows


def _fresh(rows: pa.Table, known: pa.Table) -> tuple[pa.Table, dict[str, int]]:
    """The rows that change something, and how many of each kind there were."""
    places = pc.index_in(rows["id"], value_set=known["id"].combine_chunks())
    seen = pc.is_valid(places).to_numpy()
    old_label, old_time = known["label"].take(places), known["known_at"].take(places)
    differs = pc.fill_null(pc.not_equal(rows["label"], old_label), True).to_numpy()
    later = pc.fill_null(pc.greater(rows["known_at"], old_time), True).to_numpy()
    wanted = ~seen | (differs & later)
    counts = {
        "rows": rows.num_rows,
        "new": int((~seen).sum()),
        "corrected": int((seen & differs & later).sum()),
        "repeated": int((seen & ~differs).sum()),
        "ignored": int((seen & differs & ~later).sum()),
    }
    return rows.filter(pa.array(np.asarray(wanted, dtype=bool))), counts


def _batch(rows: pa.Table) -> str:
    """A name for the content of a batch, so that a repeated commit of it is recognised by the table itself."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_table(rows.combine_chunks())
    return f"labels-{sha256(sink.getvalue()).hexdigest()[:32]}"

"""Profile a table version, and remember the result with its lineage."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from ... import registry
from ...core import Node, Ref, SchemaMismatch, Workspace
from ...registry import Run
from ..delta_log import arrow_schema, require
from ..read import fragments as fragments_of
from ..scan import scan
from .derive import correlations, derive_column
from .records import Profile

RUN_KIND = "profile"


def profile(ws: Workspace, ref: Ref | str, *, columns: Sequence[str] | None = None, record: bool = True) -> Profile:
    """What a table version holds: types, missing and distinct values, quantiles, histograms, correlations, outliers.

    One pass, in threads of this process up to 256 MiB of files and in Ray tasks beyond; memory does not grow with
    the table. Quantiles come from KLL sketches (within 0.7 % of rank), numbers of distinct values are exact up to
    1,024 of them and within 1.6 % beyond.

    Args:
        ws: The workspace.
        ref: ``flights`` (newest) or ``flights@3``.
        columns: Which columns; all by default.
        record: Whether the result is kept: a run of kind ``profile`` with JSON and HTML as its artifact, and
            lineage from the version. `profiles` lists them.

    Raises:
        NotFound: There is no such table or version.
        SchemaMismatch: A column does not exist.

    Example:
        >>> import tempfile
        >>> import pyarrow as pa
        >>> from raylake.data import profile, write
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> version = write(ws, "flights", pa.table({"origin": ["EWR", "EWR", None], "delay": [5.0, -1.0, 90.0]}))
        >>> found = profile(ws, version.ref)
        >>> found.rows, found.columns["origin"].top, found.columns["delay"].high
        (3, (('EWR', 2),), 90.0)
    """
    started = time.perf_counter()
    parsed = Ref.parse(ref) if isinstance(ref, str) else ref
    opened = require(ws, parsed)
    pinned = Ref(parsed.name, namespace=parsed.namespace).at(opened.version())
    schema = arrow_schema(opened)
    wanted = _chosen(columns, schema.names, pinned)
    summary = scan(ws, pinned, fragments_of(opened, ws.table_url(pinned), None), schema, wanted)
    found = Profile(
        table=str(pinned),
        rows=summary.rows,
        columns={name: derive_column(column) for name, column in summary.columns.items()},
        correlations=correlations(summary.together),
        seconds=round(time.perf_counter() - started, 3),
    )
    if record:
        _record(ws, found)
    return found


def profiles(ws: Workspace, ref: Ref | str, *, limit: int | None = 100) -> list[Run]:
    """The recorded profiles of a table, newest first; each one's folder holds ``profile.json`` and ``profile.html``.

    Example:
        >>> import tempfile
        >>> profiles(Workspace.open(tempfile.mkdtemp()), "flights")
        []
    """
    parsed = Ref.parse(ref) if isinstance(ref, str) else ref
    return registry.runs(ws, kind=RUN_KIND, name=parsed.qualified, limit=limit)


def _chosen(columns: Sequence[str] | None, known: Sequence[str], ref: Ref) -> list[str]:
    unknown = [name for name in columns or () if name not in known]
    if unknown:
        raise SchemaMismatch(f"table {str(ref)!r} has no columns {unknown}; it has {list(known)}")
    return list(known if columns is None else columns)


def _record(ws: Workspace, found: Profile) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "profile.json").write_text(found.to_json(), encoding="utf-8")
        (Path(folder) / "profile.html").write_text(found.to_html(), encoding="utf-8")
        digest = registry.put_folder(ws, folder)
    node = Node("table", found.ref.qualified, str(found.ref.version))
    run = registry.start_run(ws, RUN_KIND, found.ref.qualified, params={"table": found.table}, inputs=[node])
    missing = sum(column.missing for column in found.columns.values())
    cells = max(1, found.rows * len(found.columns))
    figures = {"rows": found.rows, "columns": len(found.columns), "missing_share": missing / cells}
    registry.finish_run(ws, run.id, metrics={**figures, "seconds": found.seconds}, artifact=digest)

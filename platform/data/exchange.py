"""Tables to and from single files: Parquet, CSV, Arrow; memory stays flat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset as pds
import pyarrow.parquet as pq

from ..core import ConfigError, DataError, Node, Ref, SourceError, Workspace, urls
from ..registry import TableVersion
from .commits import Mode, SchemaMode
from .delta_log import arrow_schema, require
from .read import Filter, as_expression, check_columns, fragments
from .storage_errors import storage_errors
from .write import write

FileFormat = Literal["parquet", "csv", "arrow"]
_BATCH_ROWS = 131_072
_ENDINGS: dict[str, FileFormat] = {".parquet": "parquet", ".csv": "csv", ".arrow": "arrow", ".feather": "arrow"}


def export(
    ws: Workspace,
    ref: Ref | str,
    to: str | Path,
    *,
    columns: Sequence[str] | None = None,
    filter: Filter = None,  # noqa: A002
    format: FileFormat | None = None,  # noqa: A002
) -> int:
    """Write a table, or a version of it, to one file, which appears whole or not at all.

    Args:
        ws: The workspace.
        ref: ``flights`` (newest) or ``flights@3``.
        to: A local path or URL.
        columns: Which columns, in this order; all by default.
        filter: Which rows, as for `table`.
        format: ``parquet``, ``csv`` or ``arrow`` (IPC file); by default what the name ends in.

    Returns:
        How many rows were written.

    Raises:
        NotFound: There is no such table or version.
        ConfigError: The format cannot be told from the name.
        DataError: The format cannot hold a column (CSV and nested columns).
        StorageError: `to` cannot be written.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> _ = write(ws, "numbers", pa.table({"n": [1, 2]}))
        >>> export(ws, "numbers@1", f"{ws.root}/numbers.csv"), str(load(ws, "copy", f"{ws.root}/numbers.csv"))
        (2, 'copy@1')
    """
    wanted = Ref.parse(ref) if isinstance(ref, str) else ref
    kind = _format(str(to), format)
    table = require(ws, wanted)
    schema = arrow_schema(table)
    names = check_columns(columns, schema, wanted)
    expression = as_expression(filter)
    url = ws.table_url(wanted)
    dataset = pds.FileSystemDataset(fragments(table, url, expression), schema, pds.ParquetFileFormat())
    scanner = dataset.scanner(columns=names, filter=expression, batch_size=_BATCH_ROWS)
    store, path = urls.filesystem(urls.normalise(to))
    partial = f"{path}.{uuid4().hex}"
    rows = 0
    with storage_errors(str(to)):
        try:
            with store.open_output_stream(partial) as out, _writer(kind, out, scanner.projected_schema) as writer:
                for batch in scanner.to_batches():
                    writer.write_batch(batch)
                    rows += batch.num_rows
            store.move(partial, path)
        except pa.ArrowInvalid as error:
            raise DataError(f"table {str(ref)!r} does not fit into a {kind} file: {error}. Use parquet") from error
        finally:
            if store.get_file_info(partial).is_file:
                store.delete_file(partial)
    return rows


def load(
    ws: Workspace,
    name: str,
    path: str | Path | Sequence[str],
    *,
    mode: Mode = "append",
    app: tuple[str, int] | None = None,
    schema_mode: SchemaMode = "enforce",
    format: FileFormat | None = None,  # noqa: A002
) -> TableVersion:
    """Write files that hold typed rows to a table as one version; types are taken as they are.

    For files that come again and again, with rows to check, declare a `Source` and `ingest` it.

    Args:
        ws: The workspace.
        name: ``name`` or ``namespace.name``.
        path: A file, a folder or several files.
        mode: As for `write`.
        app: Application transaction (id, version), as for `write`.
        schema_mode: As for `write`.
        format: ``parquet``, ``csv`` or ``arrow``; by default what the first name ends in.

    Raises:
        SourceError: A file is missing or cannot be read in this format.
        SchemaMismatch: Columns or types do not fit the table.

    Example: see `export`.

        >>> import tempfile, pyarrow.parquet
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> pyarrow.parquet.write_table(pa.table({"n": [1, 2]}), f"{ws.root}/a.parquet")
        >>> load(ws, "numbers", f"{ws.root}/a.parquet").rows
        2
    """
    listed = [str(path)] if isinstance(path, str | Path) else [str(one) for one in path]
    files = [Node("file", one.replace("@", "%40")) for one in listed]
    reader = _reader(listed, format)
    return write(ws, name, reader, mode=mode, app=app, schema_mode=schema_mode, inputs=files, operation="load")


def read_file(path: str | Path, *, format: FileFormat | None = None) -> pa.Table:  # noqa: A002
    """A file of typed rows in memory, for `merge`, `replace` or `scd2`.

    Args:
        path: A file or folder, local or URL.
        format: As for `load`.

    Raises:
        SourceError: It is missing or cannot be read in this format.

    Example:
        >>> import tempfile, pyarrow.parquet
        >>> file = f"{tempfile.mkdtemp()}/a.parquet"
        >>> pyarrow.parquet.write_table(pa.table({"n": [1, 2]}), file)
        >>> read_file(file).num_rows
        2
    """
    try:
        return _reader([str(path)], format).read_all()
    except (OSError, pa.ArrowInvalid) as error:
        raise SourceError(f"{path} cannot be read: {error}. Name an existing file") from error


def _reader(listed: Sequence[str], format: FileFormat | None) -> pa.RecordBatchReader:  # noqa: A002
    kind = _format(listed[0], format) if listed else "parquet"
    try:
        store, _ = urls.filesystem(urls.normalise(listed[0]))
        inside = [urls.filesystem(urls.normalise(one))[1] for one in listed]
        dataset = pds.dataset(inside if len(inside) > 1 else inside[0], format=kind, filesystem=store)
        return pa.RecordBatchReader.from_batches(dataset.schema, dataset.to_batches(batch_size=_BATCH_ROWS))
    except (OSError, IndexError, pa.ArrowInvalid) as error:
        raise SourceError(f"{listed} cannot be read as {kind}: {error}. Name existing files of one format") from error


def _format(name: str, given: FileFormat | None) -> FileFormat:
    found = given or next((kind for ending, kind in _ENDINGS.items() if name.endswith(ending)), None)
    if found not in ("parquet", "csv", "arrow"):
        raise ConfigError(
            f"the format of {name!r} is not known: end the name in .parquet, .csv or .arrow, or set format"
        )
    return found


def _writer(kind: FileFormat, out: Any, schema: pa.Schema) -> Any:
    makers: dict[str, Callable[[], Any]] = {
        "parquet": lambda: pq.ParquetWriter(out, schema, compression="zstd"),
        "csv": lambda: pa.csv.CSVWriter(out, schema),
        "arrow": lambda: pa.ipc.new_file(out, schema),
    }
    return makers[kind]()

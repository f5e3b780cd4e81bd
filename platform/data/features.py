"""Delta's table features: which tables raylake may read and write, and a clear word about the others."""

from __future__ import annotations

from deltalake import DeltaTable

from ..core import SchemaMismatch

_UNREADABLE = {"deletionVectors", "v2Checkpoint", "variantType", "variantType-preview", "typeWidening"}
# Features whose rules a writer must keep up and raylake does not.
_UNWRITABLE = {"rowTracking", "identityColumns", "icebergCompatV1", "icebergCompatV2", "clustering", "domainMetadata"}
_RULES_OF_COLUMNS = {
    "delta.invariants": "invariants",
    "delta.generationExpression": "generated columns",
    "delta.identity.start": "identity columns",
}


def check_readable(table: DeltaTable, url: str) -> None:
    """Raise `SchemaMismatch` when the table uses a feature that would be read wrongly."""
    protocol = table.protocol()
    features = {*(protocol.reader_features or ()), *(protocol.writer_features or ())}
    mapped = table.metadata().configuration.get("delta.columnMapping.mode", "none") != "none"
    used = features & _UNREADABLE | ({"columnMapping"} if mapped else set())
    if used:
        raise SchemaMismatch(
            f"table {url} uses Delta features that raylake cannot read: {', '.join(sorted(used))}. "
            "Rewrite the table without them"
        )


def check_writable(table: DeltaTable, url: str, *, removes: bool = False) -> None:
    """Raise `SchemaMismatch` when the table has rules that raylake's commit would not keep up.

    Args:
        table: The table.
        url: Its folder.
        removes: Whether rows are to be replaced or deleted.
    """
    configuration = table.metadata().configuration
    used = set(table.protocol().writer_features or ()) & _UNWRITABLE
    used |= {f"the constraint {key[18:]}" for key in configuration if key.startswith("delta.constraints.")}
    told = {key for field in table.schema().fields for key in field.metadata}
    used |= {name for key, name in _RULES_OF_COLUMNS.items() if key in told}
    if removes and configuration.get("delta.appendOnly") == "true":
        used.add("appendOnly")
    if used:
        raise SchemaMismatch(
            f"table {url} has rules that raylake does not keep up: {', '.join(sorted(used))}. "
            "Nothing was written; write it with the program that made it, or copy it to a new table"
        )

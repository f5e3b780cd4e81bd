"""Text logs to columns, by a pattern with named groups."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

import pyarrow as pa

from ...core import ConfigError, SchemaMismatch

_CLIENT = (
    r"(?P<host>\S+) (?P<ident>\S+) (?P<user>\S+) \[(?P<at>[^\]]+)\] "
    r'"(?P<request>[^"]*)" (?P<status>\d{3}) (?P<bytes>\S+)'
)
# Apache's and nginx's access logs; syslog of RFC 3164; Python's logging in its basic form.
LOG_PATTERNS: Mapping[str, str] = {
    "common": _CLIENT,
    "combined": _CLIENT + r' "(?P<referer>[^"]*)" "(?P<agent>[^"]*)"',
    "syslog": r"(?:<(?P<priority>\d{1,3})>)?(?P<at>[A-Z][a-z]{2} [ \d]\d [\d:]{8}) (?P<host>\S+) "
    r"(?P<program>[^\s\[:]+)(?:\[(?P<pid>\d+)\])?: (?P<message>.*)",
    "python": r"(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[,.]?\d*) ?-? ?(?P<logger>[\w.]+) ?-? ?(?P<level>[A-Z]+) ?[-:]? ?"
    r"(?P<message>.*)",
}


@lru_cache(maxsize=256)
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """A pattern, or a known one's name, compiled.

    Raises:
        ConfigError: It is no regular expression or has no named group.

    Example:
        >>> tuple(compile_pattern("syslog").groupindex)
        ('priority', 'at', 'host', 'program', 'pid', 'message')
    """
    try:
        compiled = re.compile(LOG_PATTERNS.get(pattern, pattern), re.DOTALL)
    except re.error as error:
        raise ConfigError(f"pattern {pattern!r} is no regular expression: {error}") from error
    if not compiled.groupindex:
        raise ConfigError(
            f"pattern {pattern!r} names no column: use groups such as (?P<level>[A-Z]+), or one of "
            f"{', '.join(LOG_PATTERNS)}"
        )
    return compiled


def split_lines(table: pa.Table, pattern: str, *, column: str = "line") -> pa.Table:
    """Replace a text column by the named groups of a pattern; lines that do not match give nulls.

    Args:
        table: Any table with the text column.
        pattern: As for `raylake.data.Text`.
        column: The text column.

    Returns:
        The other columns, then one string column per group, same length.

    Raises:
        SchemaMismatch: The column does not exist.
        ConfigError: The pattern cannot be used.

    Example:
        >>> split_lines(pa.table({"line": ["WARN disk", "?"]}), r"(?P<level>[A-Z]+) (?P<what>.*)").to_pydict()
        {'level': ['WARN', None], 'what': ['disk', None]}
    """
    if column not in table.column_names:
        raise SchemaMismatch(f"there is no column {column!r} to split; columns: {table.column_names}")
    compiled = compile_pattern(pattern)
    found = [compiled.fullmatch(text) if text is not None else None for text in table.column(column).to_pylist()]
    rest = table.drop_columns([column])
    for name in compiled.groupindex:
        rest = rest.append_column(name, pa.array([one[name] if one else None for one in found], pa.string()))
    return rest

"""How far a view's values in the online store are: kept beside the values, so that both are lost or both are there."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import orjson

from .codec import RANK_BYTES, ViewCodec
from .online import OnlineStore

_PREFIX = b"\1cursor\0"  # no key of a view begins so
_ALWAYS = b"\xff" * RANK_BYTES


@dataclass(frozen=True, slots=True)
class OnlineCursor:
    """What a view's online values were made from.

    Attributes:
        versions: The version of each source table, by qualified name.
        newest_event: Event time of the newest value, µs since 1970, or None when there is none.
        at: When that was written, ISO 8601.
    """

    versions: dict[str, int]
    newest_event: int | None
    at: str


def read_cursor(store: OnlineStore, codec: ViewCodec) -> OnlineCursor | None:
    """The cursor of a view, or None when it was never filled whole."""
    (found,) = store.get_many([_PREFIX + codec.prefix])
    return None if found is None else OnlineCursor(**orjson.loads(found[RANK_BYTES:]))


def write_cursor(
    store: OnlineStore, codec: ViewCodec, versions: dict[str, int], newest_event: int | None
) -> OnlineCursor:
    """Note how far a view is; what was noted before is replaced."""
    made = OnlineCursor(versions, newest_event, datetime.now(UTC).isoformat())
    value = bytes(RANK_BYTES) + orjson.dumps(asdict(made))
    store.amend([(_PREFIX + codec.prefix, _ALWAYS, value)])
    return made


def remove_cursor(store: OnlineStore, codec: ViewCodec) -> None:
    """Forget how far a view is: the next materialisation is a full one."""
    store.amend([(_PREFIX + codec.prefix, _ALWAYS, None)])

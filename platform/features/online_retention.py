"""What the online store does not keep: values past their time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from .. import registry
from ..core import Workspace, duration
from .codec import ViewCodec, rank
from .dtypes import micros
from .materialise import kept, online_view
from .online import open_online


def set_online_retention(ws: Workspace, view: str, keep: str | timedelta | None) -> None:
    """Keep the online values of a view for another time than its `retention` says; None: as that says.

    Redis forgets values written from now on by itself; `clean_up_online` removes the others.

    Args:
        ws: Workspace.
        view: Name of a view that is online.
        keep: Such as ``"90d"``, after a value's event time.

    Raises:
        NotFound: No view of that name is online.
        ConfigError: `keep` is not a span.

    Example:
        >>> import tempfile
        >>> set_online_retention(Workspace.open(tempfile.mkdtemp()), "weather", "90d")
        Traceback (most recent call last):
        ...
        raylake.core.errors.NotFound: view 'weather' is not online; online are: none. Run features.materialise first
    """
    registry.set_online_keep(ws, view, None if keep is None else duration(keep, "keep"))


def clean_up_online(ws: Workspace, *, now: datetime | None = None) -> dict[str, int]:
    """Remove online values that are older than their view keeps; to run regularly, like `raylake.data.clean_up`.

    Args:
        ws: Workspace.
        now: The instant that counts as now.

    Returns:
        For each view that has a retention, ``name@version``, how many values were removed.

    Example:
        >>> import tempfile
        >>> clean_up_online(Workspace.open(tempfile.mkdtemp()))
        {}
    """
    moment = now or datetime.now(UTC)
    removed = {}
    with open_online(ws) as store:
        for stored in registry.online_definitions(ws, "view"):
            view = online_view(stored)
            keep = kept(view, stored)
            if keep is not None:
                limit = rank(micros(moment - keep, "now"), 0)
                prefix = ViewCodec(view).prefix
                removed[f"{stored.name}@{stored.version}"] = store.drop(prefix, below=limit[:8] + bytes(8))
    return removed

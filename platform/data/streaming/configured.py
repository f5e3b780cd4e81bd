"""Sources that are added, changed, paused and removed while everything runs."""

from __future__ import annotations

from ... import registry
from ...core import Workspace
from ...registry import SourceRecord
from ..definitions import source_from_plain, source_to_plain
from ..source import Source
from .scheduled import schedule_source, unschedule_source


def save_source(ws: Workspace, source: Source) -> SourceRecord:
    """Add a source, or change it. With `Source.every` its pipeline is scheduled, and a first run is queued.

    What runs (`supervise`, or the scheduler of pipelines) acts on it within a second.

    Args:
        ws: The workspace.
        source: Its connector must be of a known kind; secrets are written ``${NAME}``.

    Raises:
        ConfigError: The source cannot be stored as plain data.

    Example:
        >>> import tempfile
        >>> from raylake.data import Csv
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> save_source(ws, Source("trips", Csv("*.csv"), every="5m")).revision
        1
        >>> configured_source(ws, "trips").every
        '5m'
    """
    return _scheduled(ws, registry.save_source(ws, source.name, source_to_plain(source)))


def configured_source(ws: Workspace, name: str) -> Source:
    """The source as it is configured now.

    Raises:
        NotFound: There is none; the message lists those that exist.
        ConfigError: Its connector's package is no longer installed.

    Example: see `save_source`.

        >>> import tempfile
        >>> configured_source(Workspace.open(tempfile.mkdtemp()), "trips")
        Traceback (most recent call last):
        ...
        raylake.core.errors.NotFound: source 'trips' is not configured; sources: none
    """
    return source_from_plain(registry.source_record(ws, name).definition)


def configured_sources(ws: Workspace) -> list[SourceRecord]:
    """All configured sources, by name.

    Example:
        >>> import tempfile
        >>> configured_sources(Workspace.open(tempfile.mkdtemp()))
        []
    """
    return registry.source_records(ws)


def pause_source(ws: Workspace, name: str) -> SourceRecord:
    """Let a source rest: what it is reading now is finished, then nothing more is read.

    Raises:
        NotFound: It is not configured.

    Example:
        >>> import tempfile
        >>> from raylake.data import Csv
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> _ = save_source(ws, Source("trips", Csv("*.csv")))
        >>> pause_source(ws, "trips").status, resume_source(ws, "trips").status
        ('paused', 'active')
    """
    return _scheduled(ws, registry.set_source_status(ws, name, "paused"))


def resume_source(ws: Workspace, name: str) -> SourceRecord:
    """Let a paused source go on where it stopped.

    Raises:
        NotFound: It is not configured.

    Example: see `pause_source`.

        >>> import tempfile
        >>> resume_source(Workspace.open(tempfile.mkdtemp()), "trips")
        Traceback (most recent call last):
        ...
        raylake.core.errors.NotFound: source 'trips' is not configured; sources: none
    """
    return _scheduled(ws, registry.set_source_status(ws, name, "active"))


def remove_source(ws: Workspace, name: str) -> None:
    """Forget a source; its table stays. Added again under its name, it goes on where it stopped.

    Raises:
        NotFound: It is not configured.

    Example:
        >>> import tempfile
        >>> from raylake.data import Csv
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> _ = save_source(ws, Source("trips", Csv("*.csv")))
        >>> remove_source(ws, "trips")
        >>> configured_sources(ws)
        []
    """
    registry.delete_source(ws, name)
    unschedule_source(ws, name)


def _scheduled(ws: Workspace, record: SourceRecord) -> SourceRecord:
    schedule_source(ws, record)
    return record

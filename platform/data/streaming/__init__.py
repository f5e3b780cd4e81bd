"""Sources that run by themselves: micro-batches in supervised actors, schedules, and push with a durable log."""

from .configured import (
    configured_source,
    configured_sources,
    pause_source,
    remove_source,
    resume_source,
    save_source,
)
from .loop import SourceLoop, Step, run_once
from .scheduled import source_pipeline
from .supervisor import source_status, supervise

__all__ = [
    "SourceLoop",
    "Step",
    "configured_source",
    "configured_sources",
    "pause_source",
    "remove_source",
    "resume_source",
    "run_once",
    "save_source",
    "source_pipeline",
    "source_status",
    "supervise",
]

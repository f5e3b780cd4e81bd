"""Pipelines on Ray: steps, schedules, events."""

__all__: list[str] = []

"""Pipelines on Ray: steps wired by ordinary Python calls, durable runs, schedules, diagrams.

Example:
    >>> from raylake import pipelines
    >>> @pipelines.step
    ... def load(day: str) -> list[int]:
    ...     return [1, 2, 3]
    >>> @pipelines.step(cpus=0.5, retries=2)
    ... def square(n: int) -> int:
    ...     return n * n
    >>> @pipelines.step
    ... def total(parts: list[int]) -> int:
    ...     return sum(parts)
    >>> @pipelines.pipeline
    ... def squares(day: str = "2026-01-01"):
    ...     return total(square.map(load(day)))
    >>> print(squares.mermaid())
    flowchart LR
        n0["load"]
        n1["square x n"]
        n2["total"]
        n0 --> n1
        n1 --> n2
"""

from .bindings import Output
from .comparison import Difference, compare
from .context import StepContext, context
from .control import cancel, drive, pause, resume, retry_step, run, run_step, submit
from .delivery import deliver_due, notifications
from .graph import Graph
from .notebook import load_notebook
from .notification import Email, Notify, Slack, Webhook
from .outcomes import logs, output, result, runs, show
from .pipeline import Parameter, Pipeline, pipeline
from .records import Attempt, Failure, PipelineRun, StepRun
from .run_page import draw
from .scheduler import Turn, tick
from .scheduler_actor import schedulers, start_scheduler, stop_scheduler
from .schedules import backfill, enable, schedule, schedules, set_pool, signal, unschedule
from .step import Step, StepOptions, step
from .store.deliveries import Delivery
from .store.heartbeats import Beat
from .store.schedules import StoredSchedule
from .trace import either, unless, when
from .triggers import Cron, Every, OnAlert, Once, OnEvent, OnFiles, OnModel, OnPipeline, OnTable
from .yaml_file import load_yaml

__all__ = [
    "Attempt",
    "Beat",
    "Cron",
    "Delivery",
    "Difference",
    "Email",
    "Every",
    "Failure",
    "Graph",
    "Notify",
    "OnAlert",
    "OnEvent",
    "OnFiles",
    "OnModel",
    "OnPipeline",
    "OnTable",
    "Once",
    "Output",
    "Parameter",
    "Pipeline",
    "PipelineRun",
    "Slack",
    "Step",
    "StepContext",
    "StepOptions",
    "StepRun",
    "StoredSchedule",
    "Turn",
    "Webhook",
    "backfill",
    "cancel",
    "compare",
    "context",
    "deliver_due",
    "draw",
    "drive",
    "either",
    "enable",
    "load_notebook",
    "load_yaml",
    "logs",
    "notifications",
    "output",
    "pause",
    "pipeline",
    "result",
    "resume",
    "retry_step",
    "run",
    "run_step",
    "runs",
    "schedule",
    "schedulers",
    "schedules",
    "set_pool",
    "show",
    "signal",
    "start_scheduler",
    "step",
    "stop_scheduler",
    "submit",
    "tick",
    "unless",
    "unschedule",
    "when",
]

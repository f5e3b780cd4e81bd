"""Training as steps of pipelines, and the pipeline of one model: fit, gate, register."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .. import pipelines, registry
from ..core import Workspace, check_name
from ..pipelines import Pipeline, StepContext
from ..registry import ModelVersion, Run
from ..registry.columns import plain
from .fit import fit
from .spec import Spec

SpecMaker = Callable[[Workspace], Spec]


@dataclass(frozen=True, slots=True)
class Bar:
    """What the metrics of a run must reach before its model is registered; to compare it with a champion, `judge`.

    Attributes:
        least: Metric to its smallest value.
        most: Metric to its greatest value.

    Example:
        >>> Bar(least={"auc": 0.7}).missed({"auc": 0.65})
        ['auc is 0.65, less than 0.7']
    """

    least: Mapping[str, float] = field(default_factory=dict)
    most: Mapping[str, float] = field(default_factory=dict)

    def missed(self, metrics: Mapping[str, float]) -> list[str]:
        """Why the gate is closed, in words; empty when it is open. A metric that is missing or NaN closes it."""
        found = []
        for name, bound in self.least.items():
            if not metrics.get(name, float("nan")) >= bound:
                found.append(f"{name} is {metrics.get(name, 'missing')}, less than {bound:g}")
        for name, bound in self.most.items():
            if not metrics.get(name, float("nan")) <= bound:
                found.append(f"{name} is {metrics.get(name, 'missing')}, more than {bound:g}")
        return found


@pipelines.step(name="specify", cpus=0)
def specify_step(make: SpecMaker, ws: Workspace) -> Spec:
    """What is to be fitted now: builds the training set of the newest data."""
    return make(ws)


@pipelines.step(name="fit", cpus=0, retries=1)
def fit_step(spec: Spec, ws: Workspace, context: StepContext) -> Run:
    """Fit a Spec; a run of this pipeline's run that had finished before an interruption is found, not fitted again."""
    context.reads(spec.training.version.node)
    started, wanted = pipelines.show(ws, context.run_id).created_at, plain(spec.to_dict(), "params")
    if not context.generation:  # a step that is retried on purpose fits anew
        for known in registry.runs(ws, kind="train", name=spec.run_name, status="finished"):
            if known.created_at >= started and known.params == wanted:
                return known
    return fit(ws, spec)


@pipelines.step(name="gate", cpus=0)
def gate_step(run: Run, gate: Bar) -> bool:
    """Whether the run's metrics reach the gate; what they miss is in the step's log."""
    missed = gate.missed(run.metrics)
    for reason in missed:
        print(reason)  # noqa: T201 - the log of the step
    return not missed


@pipelines.step(name="register", cpus=0, retries=1)
def register_step(run: Run, model: str, alias: str, ws: Workspace) -> ModelVersion:
    """Register the run's model, and move the alias to it when one is given."""
    return registry.register(ws, run, name=model, alias=alias or None)


def training(
    spec: Spec | SpecMaker, model: str, *, alias: str = "", gate: Bar | None = None, name: str = ""
) -> Pipeline:
    """The pipeline of one model: fit, and register what passes the gate; to be run, scheduled and looked at.

    Args:
        spec: What to fit, or an importable or picklable function that makes it of the newest data when the pipeline
            runs.
        model: The name under which the model is registered.
        alias: An alias to move to the new version, such as ``champion``.
        gate: What its metrics must reach; without it every model is registered.
        name: Name of the pipeline; by default ``train-`` and the model's.

    Example:
        >>> from raylake import pipelines
        >>> daily = training(spec, "flight-delay", gate=Bar(least={"auc": 0.7}))
        >>> daily.name, daily.graph.keys
        ('train-flight-delay', ('fit', 'gate', 'register'))
        >>> made = pipelines.schedule(ws, "train-daily", daily, pipelines.OnTable("flights"))
        >>> pipelines.unschedule(ws, "train-daily")
    """
    check_name(model, "model name")

    @pipelines.pipeline(name=name or f"train-{model}", concurrency=1)
    def train_pipeline():  # type: ignore[no-untyped-def]
        """Fit, gate, register."""
        wanted = spec if isinstance(spec, Spec) else specify_step(spec)
        run = fit_step(wanted)
        if gate is None:
            return register_step(run, model, alias)
        with pipelines.when(gate_step(run, gate)):
            version = register_step(run, model, alias)
        return pipelines.either(version, None)

    return train_pipeline

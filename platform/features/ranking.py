"""Which features matter: ranked, the weak ones discarded, feature sets ranked by the models that used them."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .. import data, registry
from ..core import ConfigError, Node, Workspace, ensure_ray
from .catalogue import remember
from .feature_set import FeatureSet
from .impact import METHODS, Sample, sample_of, score, scores_of
from .training import TrainingSet

Method = Literal["mutual_information", "permutation", "gain", "shap"]
RANKING, ELIMINATION, DISCARDED = "ranking", "elimination", "features-discarded"
IN_PROCESS_CELLS = 2_000_000


@dataclass(frozen=True, slots=True)
class Impact:
    """What one feature is worth.

    Attributes:
        name: The column.
        score: Mean over the repeats; its unit is the method's (nats of information; loss of the model's score when
            the column is shuffled; mean gain of a split, as a share; mean absolute SHAP value).
        spread: Standard deviation over the repeats.
    """

    name: str
    score: float
    spread: float = 0.0


@dataclass(frozen=True, slots=True)
class Ranking:
    """The features of a training set, strongest first. In a notebook it shows itself as bars.

    Attributes:
        table: The training set, pinned.
        method: How they were measured.
        impacts: All features.
        run: Id of the run that recorded it.
    """

    table: str
    method: str
    impacts: tuple[Impact, ...]
    run: str

    def keep(self, *, count: int | None = None, threshold: float | None = None) -> tuple[str, ...]:
        """Names of the `count` strongest, of those that reach `threshold`, or of those that do both.

        Raises:
            ConfigError: Neither is given, or nothing would be left.
        """
        if count is None and threshold is None:
            raise ConfigError("say which features stay: count=10, threshold=0.01, or both")
        kept = [one.name for one in self.impacts[:count] if threshold is None or one.score >= threshold]
        if not kept:
            raise ConfigError(f"no feature is left with count={count} and threshold={threshold}: lower them")
        return tuple(kept)

    def _repr_html_(self) -> str:
        highest = max((one.score for one in self.impacts), default=0.0) or 1.0
        lines = []
        for place, one in enumerate(self.impacts):
            width, y = max(0.0, one.score / highest) * 300, place * 20
            lines.append(
                f'<text x="195" y="{y + 14}" text-anchor="end">{html.escape(one.name)}</text>'
                f'<rect x="200" y="{y + 3}" width="{width:.1f}" height="14" fill="#4c78a8"/>'
                f'<text x="{205 + width:.1f}" y="{y + 14}">{one.score:.4g}</text>'
            )
        title = f"<p>{html.escape(self.method)} on {html.escape(self.table)}</p>"
        size = f'width="600" height="{20 * len(self.impacts)}" font-size="12" fill="currentColor"'
        return f"{title}<svg {size}>{''.join(lines)}</svg>"


@dataclass(frozen=True, slots=True)
class Elimination:
    """What recursive elimination found.

    Attributes:
        rounds: For each round the features that were there and the score on the newest quarter of the rows.
        feature_set: The set that is left.
        run: Id of the run that recorded it.
    """

    rounds: tuple[tuple[tuple[str, ...], float], ...]
    feature_set: FeatureSet
    run: str


@dataclass(frozen=True, slots=True)
class RankedSet:
    """A feature set and the best model that used it.

    Attributes:
        feature_set: ``name@version`` (the version's hash).
        model: ``name@version``.
        score: The model's metric.
        models: How many model versions used the set.
    """

    feature_set: str
    model: str
    score: float
    models: int


def rank(
    ws: Workspace,
    training: TrainingSet,
    method: Method = "permutation",
    *,
    repeats: int = 5,
    sample: int = 200_000,
    seed: int = 0,
    engine: Literal["auto", "process", "ray"] = "auto",
) -> Ranking:
    """Measure how much each feature of a training set tells about its label; recorded as a run of kind ``ranking``.

    Models (for all methods but ``mutual_information``) are boosted trees, fitted on the oldest three quarters of the
    rows; ``permutation`` and ``shap`` look at the newest quarter.

    Args:
        ws: Workspace.
        training: The training set.
        method: ``mutual_information``, ``permutation``, ``gain`` or ``shap``.
        repeats: How often ``permutation`` shuffles each column.
        sample: At most so many rows, drawn at random.
        seed: Of the sample, the model and the shuffles: the same seed gives the same ranking.
        engine: ``process``, ``ray`` (tasks by columns, repeats or rows), or ``auto``: by the number of cells.

    Raises:
        ConfigError: There is no such method or engine.
        DataError: Too few rows with a label, one class only, or a class that the oldest rows lack.

    Example:
        >>> import tempfile
        >>> from raylake.testing.learnable import label_frame, make_training
        >>> fresh = Workspace.open(tempfile.mkdtemp())
        >>> made = make_training(fresh, label_frame(400))
        >>> found = rank(fresh, made, "gain")
        >>> found.impacts[0].name, len(found.impacts)
        ('carrier', 4)
    """
    if method not in METHODS:
        raise ConfigError(f"method {method!r} is not known: use one of {', '.join(METHODS)}")
    drawn = _draw(ws, training, training.columns, sample, seed)
    params = {"method": method, "seed": seed, "repeats": repeats}
    with _recorded(ws, RANKING, training, params) as run:
        impacts = _sorted(drawn.columns, scores_of(drawn, method, repeats, seed, _runner(ws, drawn, engine)))
        registry.log_metrics(ws, run, {f"impact.{one.name}": one.score for one in impacts})
    return Ranking(str(training.version), method, impacts, run)


def discard(
    ws: Workspace,
    training: TrainingSet,
    ranking: Ranking,
    *,
    count: int | None = None,
    threshold: float | None = None,
) -> FeatureSet:
    """The training set's feature set without its weak features; registered, with an event that says what went and why.

    Args:
        ws: Workspace.
        training: The training set that was ranked.
        ranking: Its ranking.
        count: Only so many strongest features stay.
        threshold: Only features with this score or more stay.

    Raises:
        ConfigError: Neither is given, nothing would be left, or the ranking is another training set's.

    Example:
        >>> import tempfile
        >>> from raylake.testing.learnable import label_frame, make_training
        >>> fresh = Workspace.open(tempfile.mkdtemp())
        >>> made = make_training(fresh, label_frame(400))
        >>> len(discard(fresh, made, rank(fresh, made, "gain"), count=1).columns)
        1
    """
    if ranking.table != str(training.version):
        raise ConfigError(f"the ranking is of {ranking.table}, not of {training.version}: rank this training set")
    kept = ranking.keep(count=count, threshold=threshold)
    dropped = [name for name in training.columns if name not in kept]
    told = {"ranking": ranking.run, "method": ranking.method, "count": count, "threshold": threshold}
    return _without(ws, training, dropped, told)


def eliminate(
    ws: Workspace,
    training: TrainingSet,
    *,
    count: int,
    step: int = 1,
    method: Method = "gain",
    sample: int = 200_000,
    seed: int = 0,
    engine: Literal["auto", "process", "ray"] = "auto",
) -> Elimination:
    """Rank, drop the `step` weakest features, and again until `count` are left; with the model's score of each round.

    Recursive feature elimination (Guyon and others 2002) by any of the methods of `rank`; recorded as a run of kind
    ``elimination`` whose metric ``score`` has one step per round.

    Raises:
        ConfigError: `count` or `step` is below 1, or an argument of `rank` is not valid.
        DataError: See `rank`.

    Example:
        >>> import tempfile
        >>> from raylake.testing.learnable import label_frame, make_training
        >>> fresh = Workspace.open(tempfile.mkdtemp())
        >>> made = make_training(fresh, label_frame(400))
        >>> done = eliminate(fresh, made, count=1)
        >>> [len(columns) for columns, score in done.rounds][-1], len(done.feature_set.columns)
        (1, 1)
    """
    if method not in METHODS or count < 1 or step < 1:
        raise ConfigError(f"eliminate(count={count}, step={step}, method={method!r}) is not valid: see rank()")
    params = {"method": method, "count": count, "step": step, "seed": seed}
    columns = tuple(training.columns)
    rounds: list[tuple[tuple[str, ...], float]] = []
    whole = _draw(ws, training, columns, sample, seed)
    with _recorded(ws, ELIMINATION, training, params) as run:
        while True:
            drawn = _chosen(whole, columns)
            rounds.append((columns, score(drawn, seed)))
            registry.log_metrics(ws, run, {"score": rounds[-1][1], "features": len(columns)}, step=len(rounds))
            if len(columns) <= count:
                break
            impacts = _sorted(columns, scores_of(drawn, method, 3, seed, _runner(ws, drawn, engine)))
            weak = {one.name for one in impacts[max(count, len(columns) - step) :]}
            columns = tuple(name for name in columns if name not in weak)
    dropped = [name for name in training.columns if name not in columns]
    return Elimination(tuple(rounds), _without(ws, training, dropped, {**params, "elimination": run}), run)


def rank_sets(ws: Workspace, metric: str = "auc", *, lower_is_better: bool = False) -> list[RankedSet]:
    """Feature sets by the best model version that used each, best first.

    Args:
        ws: Workspace.
        metric: Metric of the registered model versions; versions without it do not count.
        lower_is_better: For losses and errors.

    Example:
        >>> import tempfile
        >>> rank_sets(Workspace.open(tempfile.mkdtemp()))
        []
    """
    found: dict[str, list[tuple[float, str]]] = {}
    for model in registry.models(ws):
        for version in registry.model_versions(ws, model.name):
            value = version.metrics.get(metric)
            if value is None or value != value:
                continue
            for used in _sets_of(ws, version.node):
                found.setdefault(used, []).append((value, str(version)))
    best = min if lower_is_better else max
    ranked = [RankedSet(name, best(used)[1], best(used)[0], len(used)) for name, used in found.items()]
    return sorted(ranked, key=lambda one: one.score if lower_is_better else -one.score)


@contextmanager
def _recorded(ws: Workspace, kind: str, training: TrainingSet, params: dict[str, Any]) -> Iterator[str]:
    """A run around the work; its id."""
    tags = registry.marked()
    run = registry.start_run(ws, kind, training.name, params=params, tags=tags, inputs=[training.node])
    try:
        yield run.id
    except BaseException as error:
        registry.finish_run(ws, run.id, status="failed", error=str(error) or type(error).__name__)
        raise
    registry.finish_run(ws, run.id)


def _sets_of(ws: Workspace, model: Node) -> set[str]:
    """Feature sets of the training sets on the way to a model (not those of training sets further up)."""
    above = registry.upstream(ws, model)
    return {f"{e.source.name}@{e.source.version}" for e in above if e.source.kind == "feature-set"}


def _without(ws: Workspace, training: TrainingSet, dropped: list[str], told: dict[str, Any]) -> FeatureSet:
    left = training.feature_set.without(*dropped) if dropped else training.feature_set
    remember(ws, left)
    kept = list(left.columns)
    registry.record_event(
        ws, DISCARDED, left.node, {**told, "from": str(training.node), "dropped": dropped, "kept": kept}
    )
    registry.add_lineage(ws, [training.node], [left.node])
    return left


def _draw(ws: Workspace, training: TrainingSet, columns: tuple[str, ...], most: int, seed: int) -> Sample:
    names = list(dict.fromkeys([*columns, training.label, training.event_time]))
    rows = data.table(ws, str(training.version), columns=names)
    return sample_of(rows, columns, training.label, training.event_time, most, seed)


def _chosen(sample: Sample, columns: tuple[str, ...]) -> Sample:
    places = [sample.columns.index(name) for name in columns]
    return Sample(columns, sample.inputs[:, places], sample.discrete[places], sample.label, sample.classes)


def _sorted(columns: tuple[str, ...], scores: Any) -> tuple[Impact, ...]:
    means, spreads = np.mean(scores, axis=0), np.std(scores, axis=0)
    impacts = [Impact(name, float(m), float(s)) for name, m, s in zip(columns, means, spreads, strict=True)]
    return tuple(sorted(impacts, key=lambda one: -one.score))


def _runner(ws: Workspace, sample: Sample, engine: str) -> Callable[..., list[Any]]:
    if engine not in ("auto", "process", "ray"):
        raise ConfigError(f"engine {engine!r} is not known: use auto, process or ray")
    if engine == "process" or (engine == "auto" and sample.inputs.size <= IN_PROCESS_CELLS):
        return lambda work, given, calls: [work(given, *call) for call in calls]

    def by_ray(work: Callable[..., Any], given: Sample, calls: list[tuple[Any, ...]]) -> list[Any]:
        import ray

        from ..data.ray_tasks import task_errors  # loads Ray

        ensure_ray(ws)
        shared, task = ray.put(given), ray.remote(work)
        with task_errors("the ranking"):
            return list(ray.get([task.remote(shared, *call) for call in calls]))

    return by_ray

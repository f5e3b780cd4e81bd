"""Train/serve skew: do requests get, from the offline path, the features that they were answered with?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .. import data
from ..core import SchemaMismatch, Workspace
from ..registry.show import STYLE, Shown, escape
from .build import build_view, conform_values
from .dtypes import require_columns
from .feature_set import FeatureSet
from .training import join_features
from .view import FeatureView

_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class FeatureSkew:
    """How one feature as it was served differs from the offline path.

    Attributes:
        name: The feature.
        differing: Rows in which it differs, those with a null on one side included.
        only_online: Rows that had a value when they were served, and have none offline.
        only_offline: Rows that had none when they were served, and have one offline.
        largest: Largest difference of two numbers, or None.
        examples: Up to three of ``(id, online, offline)``.
    """

    name: str
    differing: int
    only_online: int
    only_offline: int
    largest: float | None
    examples: tuple[tuple[str, Any, Any], ...]


@dataclass(frozen=True, slots=True)
class SkewReport(Shown):
    """Logged requests beside the offline path.

    Attributes:
        feature_set: ``name@version`` of the feature set.
        rows: Rows that were compared.
        differing: Rows in which at least one feature differs.
        features: Each feature that was compared, the most different first.
    """

    feature_set: str
    rows: int
    differing: int
    features: tuple[FeatureSkew, ...]

    @property
    def share(self) -> float:
        """Share of the rows in which at least one feature differs, 0 to 1; 0 without rows."""
        return self.differing / self.rows if self.rows else 0.0

    @property
    def sentence(self) -> str:
        """The report in one sentence."""
        worst = [each for each in self.features if each.differing]
        if not worst:
            return f"{len(self.features)} features of {self.rows:,} rows are online what they are offline"
        told = ", ".join(f"{each.name} in {each.differing / self.rows:.1%}" for each in worst[:3])
        more = f" and {len(worst) - 3} more" if len(worst) > 3 else ""
        return f"{self.differing:,} of {self.rows:,} rows were served other features than offline: {told}{more}"

    def _repr_html_(self) -> str:
        head = "".join(
            f"<th>{name}</th>" for name in ("feature", "rows", "only online", "only offline", "largest", "examples")
        )
        lines = []
        for each in self.features:
            shown = "; ".join(f"{i}: {online} / {offline}" for i, online, offline in each.examples)
            figures = [each.differing, each.only_online, each.only_offline]
            cells = "".join(f'<td class="n">{figure:,}</td>' for figure in figures)
            largest = "" if each.largest is None else f"{each.largest:.4g}"
            lines.append(
                f"<tr><td>{escape(each.name)}</td>{cells}<td class='n'>{largest}</td><td>{escape(shown)}</td></tr>"
            )
        title = f'<div class="t">{escape(self.feature_set)}<small>{escape(self.sentence)}</small></div>'
        return f'{STYLE}<div class="rl">{title}<table><tr>{head}</tr>{"".join(lines)}</table></div>'


def skew(
    ws: Workspace, feature_set: FeatureSet, logged: pa.Table, *, id_column: str = "id", tolerance: float = 1e-6
) -> SkewReport:
    """Replay logged requests through the offline path, and compare each feature with what was served.

    The offline path is the one of training sets: views built from the newest source versions and joined as of each
    row's event time, then the on-demand functions. What differs was stale online when the request came, was changed or
    deleted since, or is computed in another way: rows that become known late need a created time to be told apart. A
    feature that the request itself gave counts as a difference as well.

    Args:
        ws: Workspace.
        feature_set: What was served.
        logged: Rows with the set's request columns and its features, as in ``predictions.<endpoint>``.
        id_column: Column that names a row in examples; without it rows are numbered.
        tolerance: Numbers differ when they are further apart than this, relative to the greater one.

    Raises:
        SchemaMismatch: A request column is missing or of another type.
        NotFound: A view's source table does not exist.

    Example:
        >>> import tempfile
        >>> from datetime import datetime, timezone
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> seen = datetime(2013, 1, 1, tzinfo=timezone.utc)
        >>> _ = data.write(ws, "weather", pa.table({"origin": ["EWR"], "at": [seen], "temp": [39.0]}))
        >>> view = FeatureView("weather", "origin", event_time="at", table="weather", columns=["temp"])
        >>> served = pa.table({"id": ["r1"], "event_time": [seen], "origin": ["EWR"], "temp": [38.0]})
        >>> skew(ws, FeatureSet("delay", [view]), served).sentence
        '1 of 1 rows were served other features than offline: temp in 100.0%'
    """
    node = f"{feature_set.name}@{feature_set.version}"
    moments = feature_set.event_time
    require_columns(logged, [moments], "logged requests")
    logged = logged.filter(pc.is_valid(logged[moments]))
    made = set(feature_set.columns) - set(feature_set.passthrough)
    names = [name for name in feature_set.columns if name in made and name in logged.column_names]
    if not names:
        raise SchemaMismatch(f"logged requests hold no feature of {node}; there are {', '.join(logged.column_names)}")
    if not logged.num_rows:
        return SkewReport(node, 0, 0, ())
    request = feature_set.cast_request(logged, "logged requests")
    tables = {view.name: _values(ws, view, request) for view in feature_set.views}
    offline = join_features(request, feature_set, tables)
    if id_column in logged.column_names:
        ids = [str(one) for one in logged[id_column].to_pylist()]
    else:
        ids = [str(row) for row in range(logged.num_rows)]
    wrong = np.zeros(logged.num_rows, bool)
    found = []
    for name in names:
        differs, one = _compared(name, logged[name], offline[name], ids, tolerance)
        wrong |= differs
        found.append(one)
    found.sort(key=lambda each: -each.differing)
    return SkewReport(node, logged.num_rows, int(wrong.sum()), tuple(found))


def _values(ws: Workspace, view: FeatureView, request: pa.Table) -> pa.Table:
    """The view's values of the entities that were asked for."""
    built = build_view(ws, view)
    among = None
    for key in view.entity.keys:
        one = pc.field(key).isin(pc.unique(request[key]).drop_null())
        among = one if among is None else among & one
    return conform_values(view, data.table(ws, str(built), columns=view.schema.names, filter=among))


def _compared(
    name: str, online: pa.ChunkedArray, offline: pa.ChunkedArray, ids: list[str], tolerance: float
) -> tuple[np.ndarray, FeatureSkew]:
    here, there = _missing(online), _missing(offline)
    both = ~here & ~there
    largest = None
    if _numeric(online.type) and _numeric(offline.type):
        left, right = _numbers(online), _numbers(offline)
        gap = np.where(both, np.abs(left - right), 0.0)
        apart = both & (gap > tolerance * np.maximum(np.abs(left), np.abs(right)))
        largest = float(gap[apart].max()) if apart.any() else None
    else:
        left, right = (column.cast(pa.string()).to_numpy(False) for column in (online, offline))
        apart = both & (left != right)
    differs = apart | (here != there)
    rows = np.flatnonzero(differs)[:_EXAMPLES].tolist()
    examples = tuple((ids[row], online[row].as_py(), offline[row].as_py()) for row in rows)
    only_online, only_offline = int((~here & there).sum()), int((here & ~there).sum())
    return differs, FeatureSkew(name, int(differs.sum()), only_online, only_offline, largest, examples)


def _numeric(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_integer(dtype) or pa.types.is_floating(dtype) or pa.types.is_boolean(dtype))


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    filled = column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column
    numbers: np.ndarray = np.nan_to_num(filled.cast(pa.float64(), safe=False).to_numpy())
    return numbers


def _missing(column: pa.ChunkedArray) -> np.ndarray:
    """Null, or no number."""
    missing: np.ndarray = pc.is_null(column, nan_is_null=True).to_numpy().astype(bool)
    return missing

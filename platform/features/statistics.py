"""Statistics of a version of a view or training set: for people, and to compare versions by."""

from __future__ import annotations

from .. import data
from ..core import Workspace
from ..registry import TableVersion
from .build import build_view
from .training import TrainingSet
from .view import FeatureView


def statistics(ws: Workspace, of: FeatureView | TrainingSet | TableVersion | str) -> data.Profile:
    """Missing and distinct values, quantiles, histograms and correlations of one version's columns.

    In a notebook the answer shows itself with a small plot per column. The first call for a version records it with
    its lineage (`raylake.data.profiles` lists them); a version never changes, so neither does the answer.

    Args:
        ws: Workspace.
        of: A view or a reference to a registered one (built when it is not up to date), a training set, or a version
            that `build_view` returned.

    Raises:
        NotFound: There is no such view, or its source is missing.

    Example:
        >>> import tempfile
        >>> import pyarrow as pa
        >>> from datetime import datetime, timezone
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> seen = datetime(2013, 1, 1, tzinfo=timezone.utc)
        >>> source = data.write(ws, "weather", pa.table({"origin": ["A"] * 50, "at": [seen] * 50, "temp": range(50)}))
        >>> view = FeatureView("weather", "origin", event_time="at", table="weather", columns=["temp"])
        >>> found = statistics(ws, view)
        >>> found.table, found.columns["temp"].high, "<svg" in found._repr_html_()
        ('features.weather@1', 49.0, True)
    """
    of = of.version if isinstance(of, TrainingSet) else of
    version = of if isinstance(of, TableVersion) else build_view(ws, of)
    recorded = {run.params.get("table") for run in data.profiles(ws, version.ref, limit=None)}
    return data.profile(ws, str(version), record=str(version) not in recorded)

"""A batch job for `ray job submit`: ingest the flights, fit a model on January to June, register it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from .. import registry, train
from ..core import Workspace, ray_session
from .options import month_start
from .stages import build_views, ingest_sources, training_set_before


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job and print one JSON line with what it made.

    Example:
        >>> main(["--workspace", "lake", "--rounds", "20"])  # doctest: +SKIP
        0
        >>> parser().parse_args(["--rounds", "20"]).rounds
        20
    """
    options = parser().parse_args(arguments)
    ws = Workspace.open(options.workspace)
    with ray_session(ws):
        ingested = ingest_sources(ws)
        build_views(ws)
        spec = train.Spec(train.XGBoost(rounds=options.rounds, max_depth=6), training_set_before(ws, month_start(7)))
        run = train.fit(ws, spec.replace(compute=train.Compute(workers=options.workers)))
        version = registry.register(ws, run, name="flight-delay-batch")
    rows = sum(table.rows or 0 for table in ingested.versions)
    sys.stdout.write(json.dumps({"rows": rows, "model": str(version), "auc": run.metrics["auc"]}) + "\n")
    return 0


def parser() -> argparse.ArgumentParser:
    """The job's options."""
    made = argparse.ArgumentParser(prog="first_flight", description=__doc__)
    made.add_argument("--workspace", default=None, help="storage root that every node can reach")
    made.add_argument("--rounds", type=int, default=60, help="boosting rounds")
    made.add_argument("--workers", type=int, default=1, help="Ray Train workers")
    return made


if __name__ == "__main__":
    sys.exit(main())

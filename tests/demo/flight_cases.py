"""The flight story of two months; importable, so that drivers of their own processes find it."""

from __future__ import annotations

from raylake import pipelines
from raylake.demo.pipeline import year


@pipelines.pipeline(concurrency=1)
def two_months():
    """Three days of July and of August."""
    return year(True, 0.5, months=(7, 8))

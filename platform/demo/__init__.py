"""The flight story: real data through every layer, written against the public API only."""

from .display import Display, LiveDisplay, Silent
from .options import Options
from .result import DemoResult, Month
from .story import endpoint_reaches_raw, tell

__all__ = [
    "DemoResult",
    "Display",
    "LiveDisplay",
    "Month",
    "Options",
    "Silent",
    "endpoint_reaches_raw",
    "tell",
]

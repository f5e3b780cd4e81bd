"""The frozen values of this layer: how an endpoint scales, what it captures, where it answers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..core import ConfigError, Workspace

PREDICTIONS = "predictions"


@dataclass(frozen=True, slots=True)
class Autoscale:
    """How many replicas an endpoint has.

    Attributes:
        min: Fewest replicas (default 1). With 0 the endpoint stops when idle; the next request waits for it.
        max: Most replicas (default 2).
        target_ongoing: Requests in flight per replica that Serve aims at (default 8).
        upscale_delay: Seconds of load before a replica is added (default 5).
        downscale_delay: Seconds of calm before one is removed (default 60).

    Raises:
        ConfigError: A bound is negative, or `max` is below `min` or 1.

    Example:
        >>> Autoscale(min=0, max=8).max
        8
        >>> Autoscale(min=3, max=2)
        Traceback (most recent call last):
        ...
        raylake.core.errors.ConfigError: Autoscale(min=3, max=2) is not valid: use 0 <= min <= max and ...
    """

    min: int = 1
    max: int = 2
    target_ongoing: float = 8.0
    upscale_delay: float = 5.0
    downscale_delay: float = 60.0

    def __post_init__(self) -> None:
        if not (0 <= self.min <= self.max and self.max >= 1):
            raise ConfigError(
                f"Autoscale(min={self.min}, max={self.max}) is not valid: use 0 <= min <= max and max >= 1"
            )
        if self.target_ongoing <= 0 or self.upscale_delay < 0 or self.downscale_delay < 0:
            raise ConfigError(f"{self} is not valid: target_ongoing must be above 0 and the delays not negative")

    def to_serve(self) -> dict[str, Any]:
        """As Serve's ``autoscaling_config``."""
        return {
            "min_replicas": self.min,
            "initial_replicas": max(self.min, 1),
            "max_replicas": self.max,
            "target_ongoing_requests": self.target_ongoing,
            "upscale_delay_s": self.upscale_delay,
            "downscale_delay_s": self.downscale_delay,
        }


@dataclass(frozen=True, slots=True)
class Capture:
    """What an endpoint writes to ``predictions.<endpoint>``.

    Attributes:
        sample: Share of requests whose rows are captured, 0 to 1 (default 1.0, all of them).
        flush_seconds: Seconds between two Delta commits of a replica (default 1.0). Rows that a replica
            answered less than this (plus the time of one write) ago are lost if the replica is killed with
            SIGKILL or its node dies; a graceful stop, redeploy or scale-down loses none.
        buffer_rows: Rows kept in a replica while storage cannot be written (default 100,000); beyond, new
            rows are dropped and counted in ``raylake_capture_dropped_total``.

    Raises:
        ConfigError: A value is out of its range.

    Example:
        >>> Capture(sample=0.1).sample
        0.1
        >>> Capture(sample=2)
        Traceback (most recent call last):
        ...
        raylake.core.errors.ConfigError: Capture(sample=2) is not valid: use a share from 0 to 1
    """

    sample: float = 1.0
    flush_seconds: float = 1.0
    buffer_rows: int = 100_000

    def __post_init__(self) -> None:
        if not 0 <= self.sample <= 1:
            raise ConfigError(f"Capture(sample={self.sample}) is not valid: use a share from 0 to 1")
        if self.flush_seconds <= 0 or self.buffer_rows < 1:
            raise ConfigError(f"{self} is not valid: flush_seconds must be above 0 and buffer_rows at least 1")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model that answers over HTTP.

    Attributes:
        name: The endpoint's name.
        url: Base URL, ``http://127.0.0.1:PORT``; all endpoints of a cluster share it.
        target: What was deployed, such as ``flight-delay@champion``.
        ws: The workspace.

    Example:
        >>> ws = Workspace("/lake", "sqlite:////lake/registry.db", "lmdb:/lake/online")
        >>> endpoint = Endpoint("flight-delay", "http://127.0.0.1:8000", "flight-delay@champion", ws)
        >>> endpoint.predict_url, endpoint.table
        ('http://127.0.0.1:8000/models/flight-delay/predict', 'predictions.flight-delay')
    """

    name: str
    url: str
    target: str
    ws: Workspace

    @property
    def model_url(self) -> str:
        """Where the model describes itself (GET)."""
        return f"{self.url}/models/{self.name}"

    @property
    def predict_url(self) -> str:
        """Where to POST rows."""
        return f"{self.model_url}/predict"

    @property
    def docs_url(self) -> str:
        """A page with the request's fields and an example that works when pasted."""
        return f"{self.model_url}/docs"

    @property
    def table(self) -> str:
        """Table of the captured requests and answers."""
        return f"{PREDICTIONS}.{self.name}"


def config_of(autoscale: Autoscale, capture: Capture, cpus: float) -> dict[str, Any]:
    """What the registry records of a deployment's settings."""
    return {"autoscale": asdict(autoscale), "capture": asdict(capture), "cpus": cpus}

"""Online prediction: registered models behind HTTP on Ray Serve, with look-up, capture and hot swap."""

from .deploy import deploy, endpoint, endpoints, shutdown, status, undeploy
from .push import push, stop_push
from .skew import check_skew
from .trace import Code, Prediction, Trace, trace
from .values import Autoscale, Capture, Endpoint
from .waiting import wait_captured, wait_for_version

__all__ = [
    "Autoscale",
    "Capture",
    "Code",
    "Endpoint",
    "Prediction",
    "Trace",
    "check_skew",
    "deploy",
    "endpoint",
    "endpoints",
    "push",
    "shutdown",
    "status",
    "stop_push",
    "trace",
    "undeploy",
    "wait_captured",
    "wait_for_version",
]

"""What Ray Train's failures mean: a lost process is worth another try, an error of the code is not."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import ray
from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError

from raylake.train.launch import WorkerLost, _translated

CUT = RuntimeError("[gloo/transport/tcp/pair.cc:538] Connection closed by peer [192.0.2.2]:2906")
DEAD = WorkerHealthCheckFailedError("A worker health check failed.\nThe actor died because its node has died.", None)


@pytest.mark.parametrize(
    ("failures", "lost", "message"),
    [
        ({1: DEAD}, True, "worker 1 died: The actor died because its node has died."),
        ({0: CUT, 1: ray.exceptions.ActorDiedError()}, True, "worker 1 died: .*died"),
        ({0: CUT}, True, "worker 0 lost its peers: .*Connection closed"),
        ({0: CUT, 1: ValueError("no such thing")}, False, "worker 1: ValueError: no such thing"),
        ({0: MemoryError("too much")}, False, "worker 0: MemoryError: too much: the worker ran out of memory"),
        ({}, False, "the controller failed"),
    ],
)
def test_failures_are_told_apart(failures, lost, message):
    error = SimpleNamespace(worker_failures=failures, __str__=lambda: "")
    found = _translated(error if failures else Exception("the controller failed"))
    assert isinstance(found, WorkerLost) == lost
    with pytest.raises(type(found), match=message):
        raise found

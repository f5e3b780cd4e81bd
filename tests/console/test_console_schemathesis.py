"""schemathesis invents requests from our own OpenAPI: whatever it sends, the server never fails (no 5xx)."""

from __future__ import annotations

import tempfile
from functools import lru_cache
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error

from raylake.console import Policy, create_app
from raylake.console.api.mlflow import ENDPOINTS
from raylake.core import Workspace


@lru_cache
def application() -> Any:
    ws = Workspace.open(tempfile.mkdtemp(prefix="raylake-schemathesis-"), registry_url="", online_url="")
    return create_app(ws, policy=Policy(authentication=False))


schema = schemathesis.openapi.from_dict(application().openapi())
schema.app = application()


@schema.parametrize()
@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_invented_request_makes_the_server_fail(case: schemathesis.Case) -> None:
    answer = case.call(base_url="http://127.0.0.1:5000", headers={"host": "127.0.0.1:5000"})
    assert answer.status_code != 401
    case.validate_response(answer, checks=[not_a_server_error])


def test_every_endpoint_is_described() -> None:
    described = application().openapi()["paths"]
    for endpoint in ENDPOINTS:
        path = "/api" + endpoint.path.replace(":path}", "}")
        assert endpoint.method.lower() in described[path], f"{endpoint.method} {path}"
    assert "/api/raylake/tokens" in described

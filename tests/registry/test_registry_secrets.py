"""Secrets of webhooks: never in clear text in the database, and still good for signatures."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text

from raylake import registry
from raylake.core import ConfigError, Workspace
from raylake.registry import secrets
from raylake.registry.delivery import _take
from raylake.registry.engine import reading, writing


@pytest.fixture
def ws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.delenv(secrets.KEY_VARIABLE, raising=False)
    return Workspace.open(tmp_path / "lake")


def hooked(ws: Workspace) -> str:
    return registry.create_webhook(
        ws, "ci", "https://localhost/hook", ["registered_model.created"], secret="hush-hush"
    ).id


def stored(ws: Workspace) -> str:
    with reading(ws) as session:
        return str(session.execute(text("SELECT secret FROM webhook")).scalar_one())


def test_the_database_does_not_hold_the_secret(ws: Workspace) -> None:
    hook = hooked(ws)
    assert "hush" not in stored(ws) and registry.webhook(ws, hook).signed
    assert all(b"hush-hush" not in path.read_bytes() for path in Path(ws.root).glob("registry.db*"))
    key = Path(ws.root) / secrets.KEY_FILE
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    registry.create_model(ws, "m")
    (message,) = _take(ws, 10)
    assert message.secret == "hush-hush"
    registry.update_webhook(ws, hook, secret="other-one")
    assert "other-one" not in stored(ws) and secrets.unseal(ws, stored(ws)) == "other-one"
    registry.update_webhook(ws, hook, secret="")
    assert not registry.webhook(ws, hook).signed


def test_a_secret_of_an_older_raylake_is_used_and_then_encrypted(ws: Workspace) -> None:
    hooked(ws)
    with writing(ws) as session:
        session.execute(text("UPDATE webhook SET secret = 'hush-hush'"))
    registry.create_model(ws, "m")
    assert [message.secret for message in _take(ws, 10)] == ["hush-hush"]
    assert secrets.is_sealed(stored(ws)) and secrets.unseal(ws, stored(ws)) == "hush-hush"


def test_a_lost_key_fails_the_message_and_says_so(ws: Workspace) -> None:
    hook = hooked(ws)
    (Path(ws.root) / secrets.KEY_FILE).unlink()
    registry.create_model(ws, "m")
    assert _take(ws, 10) == []
    (delivery,) = registry.deliveries(ws, hook)
    assert delivery.status == "failed" and "secret.key" in delivery.error
    registry.update_webhook(ws, hook, secret="again")
    registry.create_model(ws, "n")
    assert [message.secret for message in _take(ws, 10)] == ["again"]


def test_keys_of_the_environment_can_be_changed(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    monkeypatch.setenv(secrets.KEY_VARIABLE, old)
    sealed = secrets.seal(ws, "s")
    assert not (Path(ws.root) / secrets.KEY_FILE).exists()
    monkeypatch.setenv(secrets.KEY_VARIABLE, f"{new},{old}")
    assert secrets.unseal(ws, sealed) == "s"
    monkeypatch.setenv(secrets.KEY_VARIABLE, new)
    with pytest.raises(ConfigError, match="another key"):
        secrets.unseal(ws, sealed)
    monkeypatch.setenv(secrets.KEY_VARIABLE, "no key")
    with pytest.raises(ConfigError, match="generate_key") as caught:
        secrets.seal(ws, "hush")
    assert "hush" not in str(caught.value) and "no key" not in str(caught.value)


def test_a_bucket_needs_the_variable(ws: Workspace) -> None:
    with pytest.raises(ConfigError, match=secrets.KEY_VARIABLE):
        secrets.seal(replace(ws, root="s3://lake"), "s")


def test_many_first_secrets_at_once_share_one_key(ws: Workspace) -> None:
    with ThreadPoolExecutor(8) as pool:
        sealed = list(pool.map(lambda n: secrets.seal(ws, f"s{n}"), range(32)))
    assert [secrets.unseal(ws, each) for each in sealed] == [f"s{n}" for n in range(32)]
    assert [path.name for path in Path(ws.root).iterdir() if "secret" in path.name] == [secrets.KEY_FILE]

"""The registry's contract: API tokens and the audit log."""

# ruff: noqa: D102 -- the name of a test is its sentence
from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from ..core import ConfigError, DataError, NotAuthenticated, NotFound, RaylakeError, Workspace
from ..registry import access
from ..registry.access import AuditEntry
from ..registry.engine import raw_engine, writing


class AccessContract:
    """Tokens and the audit log."""

    def test_a_token_is_accepted_until_it_is_revoked(self, ws: Workspace) -> None:
        made = access.create_token(ws, "ann", role="editor", note="laptop")
        assert access.verify(ws, made.secret) == made.token == access.token(ws, made.token.id)
        revoked = access.revoke_token(ws, made.token.id)
        assert revoked.state() == "revoked" and access.revoke_token(ws, made.token.id) == revoked
        with pytest.raises(NotAuthenticated, match=f"{made.token.id} of ann is revoked"):
            access.verify(ws, made.secret)

    def test_tokens_expire(self, ws: Workspace) -> None:
        made = access.create_token(ws, "ann", days=1e-9)
        with pytest.raises(NotAuthenticated, match="is expired"):
            access.verify(ws, made.secret)
        assert access.tokens(ws, active=True) == [] and access.tokens(ws) == [made.token]
        forever = access.create_token(ws, "ann", days=None)
        assert forever.token.expires_at is None and access.verify(ws, forever.secret) == forever.token
        default = access.create_token(ws, "ann").token
        assert default.expires_at is not None
        assert timedelta(days=89) < default.expires_at - datetime.now(UTC) < timedelta(days=91)

    def test_secrets_are_random_and_never_stored(self, ws: Workspace) -> None:
        made = [access.create_token(ws, "ann", note="n") for _ in range(20)]
        assert len({each.secret.rpartition("_")[2] for each in made}) == 20
        assert all(len(each.secret) == 63 for each in made)
        with raw_engine(ws.registry_url, os.getpid()).connect() as connection:
            for table in ("access_token", "audit_entry"):
                stored = repr(connection.execute(text(f"SELECT * FROM {table}")).all())
                assert len(stored) > 1000
                assert not any(each.secret[20:] in stored for each in made)

    def test_only_the_whole_secret_is_accepted(self, ws: Workspace) -> None:
        good = access.create_token(ws, "ann").secret
        other = access.create_token(ws, "bob").secret
        crossed = good[:20] + other[20:]
        flipped = good[:-1] + ("A" if good[-1] != "A" else "B")
        for bad in ("", " ", good[:-1], good + "x", good + "\n", good.upper(), crossed, flipped, "rl_", "\0", "\ud800"):
            with pytest.raises(NotAuthenticated) as caught:
                access.verify(ws, bad)
            assert len(bad) < 20 or bad[20:] not in str(caught.value)

    def test_scopes_narrow_a_role_and_never_widen_it(self, ws: Workspace) -> None:
        made = access.create_token(ws, "ann", role="admin", scopes=["write", "read"]).token
        assert made.scopes == ("read", "write")
        assert [made.allows(each) for each in access.PERMISSIONS] == [True, True, False]
        for role, scopes in (("viewer", ["write"]), ("editor", ["admin"]), ("viewer", []), ("viewer", ["all"])):
            with pytest.raises(DataError, match="scopes"):
                access.create_token(ws, "ann", role=role, scopes=scopes)

    @pytest.mark.parametrize(
        "wrong",
        [
            *({"user": user} for user in ("", " ", "a b", "a\nb", "<script>", "é" * 3, "x" * 129, "../x")),
            *({"role": role} for role in ("", "root", "Admin")),
            *({"days": days} for days in (0, -1, float("nan"), float("inf"), 1e9)),
        ],
        ids=repr,
    )
    def test_what_is_not_valid_makes_no_token(self, ws: Workspace, wrong: dict[str, object]) -> None:
        with pytest.raises(DataError, match="is not valid"):
            access.create_token(ws, **{"user": "ann", **wrong})  # type: ignore[arg-type]
        assert access.tokens(ws) == [] and access.audit(ws) == []

    def test_a_token_that_does_not_exist(self, ws: Workspace) -> None:
        for call in (access.token, access.revoke_token):
            with pytest.raises(NotFound, match="'0f0f'"):
                call(ws, "0f0f")
        secret = access.create_token(ws, "ann").secret
        with pytest.raises(NotFound) as caught:
            access.revoke_token(ws, secret)
        assert secret not in str(caught.value)

    def test_making_and_revoking_tokens_is_audited(self, ws: Workspace) -> None:
        made = access.create_token(ws, "ann", role="editor").token
        access.revoke_token(ws, made.id, by=AuditEntry("root", "0f", "10.0.0.7", "", {}, 200))
        revoke, create = access.audit(ws)
        assert (create.action, create.address) == ("token.create", "local") and create.user == made.created_by
        assert create.subject == {"token_id": made.id, "user": "ann", "role": "editor", "scopes": ["read", "write"]}
        assert (revoke.user, revoke.token, revoke.address, revoke.action) == ("root", "0f", "10.0.0.7", "token.revoke")

    def test_the_log_is_searched_and_paged(self, ws: Workspace) -> None:
        entries = [AuditEntry("ann" if n % 2 else "bob", "", "local", f"do 100%_{n}", {"name": n}) for n in range(9)]
        access.record_changes(ws, entries)
        access.record_changes(ws, [])
        found = access.audit(ws, limit=4)
        assert [entry.action for entry in found] == [f"do 100%_{n}" for n in (8, 7, 6, 5)]
        assert [entry.id for entry in access.audit(ws, before=found[-1].id)] == [found[-1].id - n for n in range(1, 6)]
        assert {entry.user for entry in access.audit(ws, user="ann")} == {"ann"}
        assert [entry.subject for entry in access.audit(ws, action="100%_3")] == [{"name": 3}]
        assert access.audit(ws, action="100__3") == []
        assert access.audit(ws, since=datetime.now(UTC) + timedelta(hours=1)) == []
        assert len(access.audit(ws, since=entries[0].at, limit=None)) == 9

    @pytest.mark.parametrize("statement", ["UPDATE audit_entry SET action = 'x'", "DELETE FROM audit_entry"])
    def test_the_log_cannot_be_changed(self, ws: Workspace, statement: str) -> None:
        access.record_changes(ws, [AuditEntry("ann", "", "local", "did", {})])
        with pytest.raises(RaylakeError, match="append-only"), writing(ws) as session:
            session.execute(text(statement))
        assert [entry.action for entry in access.audit(ws)] == ["did"]

    def test_old_entries_expire_and_that_is_recorded(self, ws: Workspace) -> None:
        old = datetime.now(UTC) - timedelta(days=100)
        entries = [AuditEntry("ann", "", "local", f"did {n}", {}, at=old + timedelta(days=n)) for n in (0, 5, 20, 99)]
        access.record_changes(ws, entries)
        by = AuditEntry("root", "0f", "10.0.0.7", "", {}, 200)
        assert access.expire_audit(ws, "90d", by=by) == 2
        last, *rest = access.audit(ws)
        assert [entry.action for entry in rest] == ["did 99", "did 20"]
        assert (last.user, last.token, last.action, last.subject["removed"]) == ("root", "0f", "audit.expire", 2)
        for statement in ("UPDATE audit_entry SET action = 'x'", "DELETE FROM audit_entry"):
            with pytest.raises(RaylakeError, match="append-only"), writing(ws) as session:
                session.execute(text(statement))
        with pytest.raises(ConfigError, match="keep"):
            access.expire_audit(ws, "soon")
        assert access.expire_audit(ws, "90d") == 0

    def test_threads_that_make_tokens_at_once(self, ws: Workspace) -> None:
        with ThreadPoolExecutor(8) as pool:
            made = list(pool.map(lambda n: access.create_token(ws, f"u{n}"), range(24)))
        assert {token.id for token in access.tokens(ws)} == {each.token.id for each in made}
        assert len(access.audit(ws)) == 24

    def test_a_token_is_valid_in_its_own_workspace_only(self, ws: Workspace, tmp_path: object) -> None:
        other = Workspace.open(f"{tmp_path}/other", registry_url="", online_url="")
        with pytest.raises(NotAuthenticated, match="not known in this workspace"):
            access.verify(other, access.create_token(ws, "ann").secret)

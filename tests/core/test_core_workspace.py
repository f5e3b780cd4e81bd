"""Workspaces: precedence of settings, clear errors, pickling, locking."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from raylake.core import ConfigError, StorageError, Workspace, WorkspaceBusy, exclusive


def test_arguments_win_over_environment_over_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "raylake.toml").write_text('name = "file"\nhttp_port = 1\nroot = "here"\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAYLAKE_HTTP_PORT", "2")
    ws = Workspace.open(name="argument")
    assert (ws.name, ws.http_port, ws.root) == ("argument", 2, str(tmp_path / "here"))


def test_a_file_inside_the_root_is_read(tmp_path: Path) -> None:
    (tmp_path / "raylake.toml").write_text("http_port = 9000\n", encoding="utf-8")
    assert Workspace.open(tmp_path).http_port == 9000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("http_port = 'many'", ["http_port", "many"]),
        ("htp_port = 1", ["htp_port", "http_port"]),
        ("http_port = ", ["raylake.toml"]),
    ],
)
def test_a_wrong_file_is_explained(tmp_path: Path, text: str, words: list[str]) -> None:
    (tmp_path / "raylake.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        Workspace.open(tmp_path)
    assert all(word in str(caught.value) for word in words)


def test_an_unknown_setting_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="registry"):
        Workspace.open(tmp_path, registry="sqlite://")


def test_a_remote_root_asks_for_a_registry() -> None:
    with pytest.raises(ConfigError, match="registry_url"):
        Workspace.open("s3://lake/x")


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(StorageError, match="is a file"):
        Workspace.open(tmp_path / "file")


def test_a_folder_that_cannot_be_made() -> None:
    with pytest.raises(StorageError, match="cannot be created"):
        Workspace.open("/proc/nowhere/lake")


def test_a_workspace_is_a_value(ws: Workspace) -> None:
    copy = pickle.loads(pickle.dumps(ws))
    assert copy == ws
    assert hash(copy) == hash(ws)
    with pytest.raises(AttributeError):
        ws.root = "elsewhere"  # type: ignore[misc]


HOLD = """
import sys
from raylake.core import Workspace, exclusive
with exclusive(Workspace.open(sys.argv[1]), "demo"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_lock_names_its_holder_and_dies_with_it(ws: Workspace) -> None:
    command = [sys.executable, "-c", HOLD, ws.root]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == "held"
        with pytest.raises(WorkspaceBusy, match=str(holder.pid)), exclusive(ws, "demo"):
            pass
        with exclusive(ws, "other"):
            pass
        os.kill(holder.pid, signal.SIGKILL)
    with exclusive(ws, "demo"):
        pass

"""Artifacts: whole or absent, stored once, checked when read."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fsspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import fs

from raylake import registry
from raylake.core import ArtifactCorrupt, DataError, InvalidName, NotFound, StorageError, Workspace, urls
from raylake.registry import artifacts

BIG = os.urandom(3 * artifacts.CHUNK + 17)
NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="/\\\0", exclude_categories=["Cs"]), min_size=1, max_size=8
)


def stored(ws: Workspace) -> list[str]:
    """Every file below the artifacts' root, finished or not."""
    return sorted(path.name for path in Path(ws.artifacts_url).rglob("*") if path.is_file())


def a_folder(base: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_bytes(content)
    return base


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_file_is_named_by_its_content(ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(BIG)
    digest = registry.put_file(ws, tmp_path / "model.bin")
    assert digest == hashlib.sha256(BIG).hexdigest()
    assert registry.locate(ws, digest) == f"{ws.root}/artifacts/sha256/{digest[:2]}/{digest}"
    assert Path(registry.locate(ws, digest)).read_bytes() == BIG == registry.get_bytes(ws, digest)
    assert registry.fetch_file(ws, digest, tmp_path / "new" / "copy.bin").read_bytes() == BIG
    assert contents(tmp_path / "new") == {"copy.bin": BIG}


def test_equal_content_is_stored_once(ws: Workspace, tmp_path: Path) -> None:
    digest = registry.put_bytes(ws, BIG)
    inode = Path(registry.locate(ws, digest)).stat().st_ino
    (tmp_path / "same").write_bytes(BIG)
    with ThreadPoolExecutor(4) as pool:
        again = {
            future.result() for future in [pool.submit(registry.put_file, ws, tmp_path / "same") for _ in range(8)]
        }
    assert again == {digest} and stored(ws) == [digest]
    assert Path(registry.locate(ws, digest)).stat().st_ino == inode


def test_writers_of_the_same_new_content_at_once(ws: Workspace) -> None:
    with ThreadPoolExecutor(8) as pool:
        digests = set(pool.map(lambda _: registry.put_bytes(ws, BIG), range(8)))
    assert stored(ws) == [*digests]


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: b"x" + data[1:], lambda data: b""])
def test_changed_content_is_noticed(ws: Workspace, tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    digest = registry.put_bytes(ws, b"weights")
    (tmp_path / "dest").write_bytes(b"before")
    Path(registry.locate(ws, digest)).write_bytes(change(b"weights"))
    with pytest.raises(ArtifactCorrupt, match="has content with hash"):
        registry.get_bytes(ws, digest)
    with pytest.raises(ArtifactCorrupt, match=digest):
        registry.fetch_file(ws, digest, tmp_path / "dest")
    assert (tmp_path / "dest").read_bytes() == b"before"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["dest"]


def test_a_truncated_file_is_healed_by_storing_it_again(ws: Workspace) -> None:
    digest = registry.put_bytes(ws, b"weights")
    Path(registry.locate(ws, digest)).write_bytes(b"wei")
    registry.put_bytes(ws, b"weights")
    assert registry.get_bytes(ws, digest) == b"weights"


def test_the_missing_is_named(ws: Workspace, tmp_path: Path) -> None:
    with pytest.raises(ArtifactCorrupt, match="is missing at"):
        registry.get_bytes(ws, "0" * 64)
    with pytest.raises(NotFound, match="nothing"):
        registry.put_file(ws, tmp_path / "nothing")
    with pytest.raises(NotFound):
        registry.put_file(ws, tmp_path)
    with pytest.raises(NotFound):
        registry.put_folder(ws, tmp_path / "nothing")


@pytest.mark.parametrize("bad", ["", "../../etc/passwd", "0" * 63, "G" * 64, "0" * 64 + "\n", "0" * 65, None, 7])
def test_a_digest_is_checked_before_a_path_is_built(ws: Workspace, tmp_path: Path, bad: Any) -> None:
    for call in (registry.locate, registry.get_bytes):
        with pytest.raises(InvalidName, match="64 hexadecimal digits"):
            call(ws, bad)
    with pytest.raises(InvalidName):
        registry.fetch_file(ws, bad, tmp_path / "x")
    with pytest.raises(InvalidName):
        registry.fetch_folder(ws, bad, tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_a_full_disk_leaves_nothing_half_written(ws: Workspace, tmp_path: Path, disk: SimpleNamespace) -> None:
    (tmp_path / "big").write_bytes(BIG)
    kept = registry.put_bytes(ws, b"kept")
    with disk.full(65536), pytest.raises(StorageError, match="has free space"):
        registry.put_file(ws, tmp_path / "big")
    assert stored(ws) == [kept]
    digest = registry.put_file(ws, tmp_path / "big")
    (tmp_path / "dest").write_bytes(b"before")
    with disk.full(65536), pytest.raises(StorageError):
        registry.fetch_file(ws, digest, tmp_path / "dest")
    assert (tmp_path / "dest").read_bytes() == b"before"
    assert {path.name for path in tmp_path.iterdir()} == {"big", "dest", "lake"}


def test_a_read_only_disk(open_ws: Workspace, disk: SimpleNamespace) -> None:
    digest = registry.put_bytes(open_ws, b"kept")
    with disk.read_only(Path(open_ws.root)):
        with pytest.raises(StorageError, match="writable"):
            registry.put_bytes(open_ws, b"new")
        with pytest.raises(StorageError):
            registry.fetch_file(open_ws, digest, Path(open_ws.root) / "copy")
        assert registry.get_bytes(open_ws, digest) == b"kept"
    assert stored(open_ws) == [digest]


def test_a_writer_that_is_killed_leaves_no_file_under_the_digest(ws: Workspace) -> None:
    child = multiprocessing.get_context("fork").Process(target=_put_and_die, args=(ws,))
    child.start()
    child.join(30)
    assert child.exitcode == -9
    digest = hashlib.sha256(BIG).hexdigest()
    assert not Path(registry.locate(ws, digest)).exists()
    assert registry.put_bytes(ws, BIG) == digest
    assert registry.get_bytes(ws, digest) == BIG


class _Dying(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        if self.tell() >= artifacts.CHUNK:
            os.kill(os.getpid(), 9)
        return super().read(size)


def _put_and_die(ws: Workspace) -> None:
    artifacts._store(ws, hashlib.sha256(BIG).hexdigest(), len(BIG), _Dying(BIG))


def test_a_file_that_changes_while_it_is_stored_is_refused(ws: Workspace) -> None:
    with pytest.raises(StorageError, match="changed while it was stored"):
        artifacts._store(ws, hashlib.sha256(b"before").hexdigest(), 6, io.BytesIO(b"behind"))
    assert stored(ws) == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.dictionaries(NAMES.filter(lambda name: name not in (".", "..")), st.binary(max_size=50), max_size=4))
def test_any_folder_comes_back(
    ws: Workspace, tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]
) -> None:
    base = tmp_path_factory.mktemp("folders")
    nested = files | {f"sub/dir/{name}": data[::-1] for name, data in files.items()}
    (base / "source").mkdir()
    digest = registry.put_folder(ws, a_folder(base / "source", nested))
    assert contents(registry.fetch_folder(ws, digest, base / "copy")) == nested
    assert registry.put_folder(ws, base / "copy") == digest


def test_the_manifest_is_plain_json(ws: Workspace, tmp_path: Path) -> None:
    digest = registry.put_folder(ws, a_folder(tmp_path / "m", {"b/x.ubj": b"12", "a.json": b""}))
    assert json.loads(registry.get_bytes(ws, digest)) == {
        "a.json": {"sha256": hashlib.sha256(b"").hexdigest(), "size": 0},
        "b/x.ubj": {"sha256": hashlib.sha256(b"12").hexdigest(), "size": 2},
    }


def test_a_folder_joins_what_is_there(ws: Workspace, tmp_path: Path) -> None:
    digest = registry.put_folder(ws, a_folder(tmp_path / "m", {"a": b"new", "s/b": b"b"}))
    dest = a_folder(tmp_path / "dest", {"a": b"old", "other": b"stays"})
    registry.fetch_folder(ws, digest, dest)
    assert contents(dest) == {"a": b"new", "s/b": b"b", "other": b"stays"}
    assert {path.name for path in tmp_path.iterdir()} == {"m", "dest", "lake"}


def test_a_folder_with_a_corrupt_file_changes_nothing(ws: Workspace, tmp_path: Path) -> None:
    digest = registry.put_folder(ws, a_folder(tmp_path / "m", {"a": b"new", "z": b"weights"}))
    Path(registry.locate(ws, hashlib.sha256(b"weights").hexdigest())).unlink()
    dest = a_folder(tmp_path / "dest", {"a": b"old"})
    for target in (dest, tmp_path / "fresh"):
        with pytest.raises(ArtifactCorrupt, match="is missing"):
            registry.fetch_folder(ws, digest, target)
    assert contents(dest) == {"a": b"old"}
    assert {path.name for path in tmp_path.iterdir()} == {"m", "dest", "lake"}


def test_readers_that_fetch_to_the_same_folder_at_once(ws: Workspace, tmp_path: Path) -> None:
    files = {f"f{n}": BIG[: n * 1000] for n in range(5)}
    digest = registry.put_folder(ws, a_folder(tmp_path / "m", files))
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: registry.fetch_folder(ws, digest, tmp_path / "cache" / "model"), range(6)))
    assert contents(tmp_path / "cache") == {f"model/{name}": data for name, data in files.items()}


@pytest.mark.parametrize(
    "name", ["../evil", "/tmp/evil", "a/../../evil", "..", ".", "", "a//b", "a\\..\\evil", "a\0", "./a"]
)
def test_a_manifest_cannot_reach_outside(ws: Workspace, tmp_path: Path, name: str) -> None:
    entry = {"sha256": registry.put_bytes(ws, b"evil"), "size": 4}
    digest = registry.put_bytes(ws, json.dumps({name: entry}).encode())
    with pytest.raises(ArtifactCorrupt, match="is not a manifest"):
        registry.fetch_folder(ws, digest, tmp_path / "in" / "dest")
    assert {path.name for path in tmp_path.iterdir()} == {"lake"}


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"[]", b"null", b'{"a": 1}', b'{"a": {}}', b'{"a": {"sha256": "../x"}}']
)
def test_what_is_not_a_manifest(ws: Workspace, tmp_path: Path, data: bytes) -> None:
    with pytest.raises(ArtifactCorrupt, match="is not a manifest"):
        registry.fetch_folder(ws, registry.put_bytes(ws, data), tmp_path / "dest")


def test_links_are_refused(ws: Workspace, tmp_path: Path) -> None:
    a_folder(tmp_path / "m", {"a": b"1"})
    (tmp_path / "m" / "link").symlink_to("/etc/passwd")
    with pytest.raises(DataError, match=r"'link' in .* is neither a file nor a folder"):
        registry.put_folder(ws, tmp_path / "m")


@pytest.fixture
def bucket_ws(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A workspace on a store without folders (fsspec's memory, seen through pyarrow as S3 would be)."""
    memory = fsspec.filesystem("memory")
    store = fs.PyFileSystem(fs.FSSpecHandler(memory))
    monkeypatch.setattr(urls, "filesystem", lambda url: (store, url.removeprefix("s3://")))
    yield dataclasses.replace(ws, root="s3://bucket/lake")
    memory.store.clear()


def test_an_object_store(bucket_ws: Workspace, tmp_path: Path) -> None:
    files = {"a": BIG, "s/b": b"b"}
    digest = registry.put_folder(bucket_ws, a_folder(tmp_path / "m", files))
    assert registry.put_folder(bucket_ws, tmp_path / "m") == digest
    assert contents(registry.fetch_folder(bucket_ws, digest, tmp_path / "copy")) == files
    names = [path.removeprefix("/bucket/lake/artifacts/") for path in fsspec.filesystem("memory").find("/")]
    assert len(names) == 3 and all(name.startswith("sha256/") for name in names)
    with pytest.raises(ArtifactCorrupt, match="is missing at s3://bucket/lake/artifacts/sha256/00/"):
        registry.get_bytes(bucket_ws, "0" * 64)

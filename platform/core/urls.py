"""Storage URLs: local paths, `s3://`, `gs://`, `abfs://`, all handled through pyarrow's file systems."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import ConfigError

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_REMOTE = ("s3", "gs", "gcs", "abfs", "abfss")


def normalise(url: str | Path) -> str:
    """Return an absolute local path, or the URL without a trailing slash.

    Raises:
        ConfigError: The scheme is not supported.

    Example:
        >>> normalise("s3://lake/prod/")
        's3://lake/prod'
        >>> normalise("ftp://host/x")
        Traceback (most recent call last):
        ...
        raylake.core.errors.ConfigError: storage URL 'ftp://host/x' has scheme 'ftp': use a local path, s3://, ...
    """
    text = str(url)
    scheme, mark, rest = text.partition("://")
    if not mark:
        return str(Path(text).expanduser().absolute())
    if scheme == "file":
        return str(Path("/" + rest.lstrip("/")))
    if scheme not in _REMOTE:
        raise ConfigError(f"storage URL {text!r} has scheme {scheme!r}: use a local path, s3://, gs:// or abfs://")
    return text.rstrip("/")


def join(url: str, *parts: str) -> str:
    """Append checked path segments to a storage URL.

    Example:
        >>> join("s3://lake", "tables", "main")
        's3://lake/tables/main'
    """
    return "/".join((url.rstrip("/"), *parts))


def is_local(url: str) -> bool:
    """Whether `url` is on the local disk.

    Example:
        >>> is_local("/data"), is_local("s3://lake")
        (True, False)
    """
    return "://" not in url


def writable_folder(url: str) -> tuple[FileSystem, str]:
    """As `filesystem`, with the folder made on the local disk; object stores have no folders.

    Example:
        >>> import tempfile
        >>> writable_folder(tempfile.mkdtemp() + "/a/b")[1].endswith("/a/b")
        True
    """
    store, path = filesystem(url)
    if is_local(url):
        store.create_dir(path, recursive=True)
    return store, path


def filesystem(url: str) -> tuple[FileSystem, str]:
    """The pyarrow file system of `url`, and the path inside it.

    S3 endpoints other than Amazon's are taken from ``AWS_ENDPOINT_URL``, as deltalake does, so that one set of
    environment variables serves both.

    Example:
        >>> filesystem("/data/x")[1]
        '/data/x'
    """
    from pyarrow import fs

    if is_local(url):
        return fs.LocalFileSystem(), url
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    if url.startswith("s3://") and endpoint:
        scheme = "http" if endpoint.startswith("http://") else "https"
        store = fs.S3FileSystem(endpoint_override=endpoint.split("://")[-1], scheme=scheme, allow_delayed_open=True)
        return store, url.removeprefix("s3://")
    store, path = fs.FileSystem.from_uri(url)
    return store, path

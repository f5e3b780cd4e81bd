"""Paths in the artifact tree, checked where they enter.

A path is a key of the registry and never becomes a path of a file system: files are stored by their digest. It is
checked all the same, as attackers count on the next program that joins it (CVE-2023-1177, CVE-2023-2356,
CVE-2023-2780, CVE-2023-6831, CVE-2024-1483, CVE-2024-1558, CVE-2024-1560, CVE-2025-11201).
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from ..core import DataError, InvalidName
from .columns import clean

LONGEST = 1024  # characters of a path
LONGEST_NAME = 255
_DECODINGS = 10
SCHEME = "mlflow-artifacts:/"
_TREE = re.compile(r"mlflow-artifacts:(?:///|/)(?!/)(.*)", re.DOTALL)
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f\\#?]")
_DRIVE_OR_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def check_path(path: str, what: str = "artifact path") -> str:
    """Return `path` if it is a relative path that stays inside, however often somebody decodes it; else raise.

    Raises:
        InvalidName: It is absolute, has a drive or scheme, an empty, ``.`` or ``..`` segment, a backslash, ``#``,
            ``?`` or a control character, now or after percent-decoding, or it is too long.

    Example:
        >>> check_path("0/abc/artifacts/model.ubj")
        '0/abc/artifacts/model.ubj'
        >>> check_path("a/%252e%252e/b")
        Traceback (most recent call last):
        ...
        raylake.core.errors.InvalidName: artifact path 'a/%252e%252e/b' is not valid: use a relative path of at ...
    """
    if not isinstance(path, str) or not all(map(_is_inside, _decodings(path))):
        raise InvalidName(
            f"{what} {path!r:.200} is not valid: use a relative path of at most {LONGEST} characters, "
            "without '..', '\\', '#', '?' and control characters"
        )
    return path


def tree_path(uri: str) -> str:
    """The path of an ``mlflow-artifacts:/path`` URI.

    Raises:
        DataError: It is another URI, or names a host.
        InvalidName: The path is not valid.

    Example:
        >>> tree_path("mlflow-artifacts:/0/abc/artifacts")
        '0/abc/artifacts'
    """
    found = _TREE.fullmatch(uri)
    if found is None:
        raise DataError(f"{uri!r:.300} is not in this server's store: use {SCHEME}path")
    return check_path(found[1].rstrip("/"), "artifact URI")


def split(path: str) -> tuple[str, str]:
    """Folder and name of a checked path.

    Example:
        >>> split("0/model/a.ubj"), split("a")
        (('0/model', 'a.ubj'), ('', 'a'))
    """
    folder, _, name = path.rpartition("/")
    return folder, name


def parents(path: str) -> list[str]:
    """The folders above a checked path, nearest last.

    Example:
        >>> parents("0/model/a.ubj")
        ['0', '0/model']
    """
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]


def _decodings(path: str) -> list[str]:
    found = [path]
    while len(found) < _DECODINGS and (decoded := unquote(found[-1])) != found[-1]:
        found.append(decoded)
    return found


def _is_inside(path: str) -> bool:
    parts = path.split("/")
    return (
        len(path) <= LONGEST
        and all(parts)
        and not {".", ".."}.intersection(parts)
        and max(map(len, parts)) <= LONGEST_NAME
        and not _FORBIDDEN.search(path)
        and not _DRIVE_OR_SCHEME.match(path)
        and clean(path) == path
    )

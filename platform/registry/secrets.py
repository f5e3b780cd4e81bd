"""Secrets that must be given back, kept encrypted in the registry: who reads the database alone cannot use them.

Fernet (AES-128 in CBC mode with HMAC-SHA256, https://github.com/fernet/spec) of the library `cryptography`. The key is
``RAYLAKE_SECRET_KEY``; without it, for a workspace on the local disk, the file ``secret.key`` in its root, which only
its owner can read and which is made at the first secret.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..core import ConfigError, StorageError, Workspace
from ..core.urls import is_local

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

KEY_VARIABLE = "RAYLAKE_SECRET_KEY"
KEY_FILE = "secret.key"
_SEALED = "fernet:"
_MAKE = "python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'"


def seal(ws: Workspace, secret: str) -> str:
    """The encrypted form of a secret; that of no secret is ``""``.

    Raises:
        ConfigError: There is no key, and none can be made, or it is not valid.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> sealed = seal(ws, "hush")
        >>> "hush" in sealed, unseal(ws, sealed)
        (False, 'hush')
    """
    if not secret:
        return ""
    return _SEALED + _cipher(ws, make=True).encrypt(secret.encode()).decode()


def unseal(ws: Workspace, stored: str) -> str:
    """The secret again. What was stored before secrets were encrypted is returned as it is.

    Raises:
        ConfigError: There is no key, or it is another one than the secret was encrypted with.
    """
    from cryptography.fernet import InvalidToken

    if not is_sealed(stored):
        return stored
    try:
        return _cipher(ws, make=False).decrypt(stored.removeprefix(_SEALED)).decode()
    except InvalidToken:
        raise ConfigError(
            f"a secret in the registry was encrypted with another key: bring back {KEY_VARIABLE} or {KEY_FILE} of that "
            "time, or set the secret again"
        ) from None


def is_sealed(stored: str) -> bool:
    """Whether a stored text is encrypted."""
    return stored.startswith(_SEALED)


def _cipher(ws: Workspace, *, make: bool) -> MultiFernet:
    from cryptography.fernet import Fernet, MultiFernet

    # Several keys, the newest first: so that a key can be changed while old secrets are still read.
    keys = [each for each in os.environ.get(KEY_VARIABLE, "").split(",") if each] or [_kept_key(ws, make=make)]
    try:
        return MultiFernet([Fernet(key) for key in keys])
    except ValueError:
        raise ConfigError(f"the key of secrets is not valid: make one with {_MAKE}") from None


def _kept_key(ws: Workspace, *, make: bool) -> str:
    if not is_local(ws.root):
        raise ConfigError(f"secrets need a key, and {ws.root} is no local disk: set {KEY_VARIABLE}, made with {_MAKE}")
    path = Path(ws.root) / KEY_FILE
    try:
        if make and not path.exists():
            _make_key(path)
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        raise ConfigError(f"the key of secrets is missing: bring back {path}, or set {KEY_VARIABLE}") from None
    except OSError as error:
        raise StorageError(f"the key of secrets {path} cannot be used: {error.strerror}") from error


def _make_key(path: Path) -> None:
    """Write a new key, whole or not at all; whoever comes first at the same time wins."""
    from cryptography.fernet import Fernet

    own = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        with os.fdopen(os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(Fernet.generate_key())
        os.link(own, path)
    except FileExistsError:
        return
    finally:
        own.unlink(missing_ok=True)

"""Evidence recorded with every run: libraries, code, machine."""

from __future__ import annotations

import platform as host
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

LIBRARIES = (
    *("raylake", "ray", "xgboost", "lightgbm", "scikit-learn", "skops", "torch", "pytorch-lightning", "safetensors"),
    *("onnx", "onnxruntime", "optuna", "deltalake", "pyarrow", "pandas", "numpy"),
)
_GIT_SECONDS = 5


def environment(folder: Path | None = None) -> dict[str, Any]:
    """Library versions, Python, platform, and the git commit of `folder` (default: the current folder).

    Returns:
        ``libraries`` (name to version, installed ones only), ``python``, ``platform``, ``argv``, and ``git``
        (``{"commit", "dirty"}``, or ``None`` outside a checkout).

    Example:
        >>> sorted(environment())
        ['argv', 'git', 'libraries', 'platform', 'python']
    """
    return {
        "libraries": versions(),
        "python": host.python_version(),
        "platform": host.platform(),
        "argv": list(sys.argv),
        "git": git_state(folder or Path.cwd()),
    }


def versions() -> dict[str, str]:
    """Installed versions of the libraries that shape a model.

    Example:
        >>> "xgboost" in versions()
        True
    """
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit and dirty flag of the checkout around `folder`, or ``None``.

    Example:
        >>> git_state(Path("/")) is None
        True
    """
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    status = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": bool(status)}


def _git(folder: Path, *arguments: str) -> str | None:
    # --no-optional-locks: looking must not write into somebody's checkout.
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None

"""Peers in virtual environments of their own, so that their versions never bend ours nor ours theirs.

A peer is one pinned file `peers/<name>.txt` (every line `package==version`, dependencies included) and, beside it, the
scripts `peers/<name>*.py` that run there. A script imports `figures` and the peer, never raylake, and ends with
`figures.emit([...])`:

    figures = peer_figures("polars", "polars_as_of.py", labels_file, values_file)

A peer that is a server runs as `subprocess.Popen([peer_python("mlflow"), "-m", "mlflow", "server", ...])`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from figures import Figure, read_emitted

HERE = Path(__file__).resolve().parent
PINNED = HERE / "peers"
ENVIRONMENTS = HERE.parents[1] / ".venvs"


def peer_python(name: str) -> Path:
    """The Python of the peer's own environment, made on first use and made anew when its pinned file changes.

    Args:
        name: Stem of a file in `tests/bench/peers/`.

    Returns:
        Absolute path of an interpreter that sees the pinned packages and nothing of ours.
    """
    pinned, home = PINNED / f"{name}.txt", ENVIRONMENTS / name
    if not pinned.is_file():
        known = ", ".join(sorted(path.stem for path in PINNED.glob("*.txt")))
        raise SystemExit(f"no peer {name!r}: {pinned} does not exist; known peers: {known}")
    wanted = hashlib.sha256(f"{sys.version} {pinned.read_text(encoding='utf-8')}".encode()).hexdigest()
    python, stamp = home / "bin" / "python", home / "made-from"
    with _alone(name):
        if not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted:
            shutil.rmtree(home, ignore_errors=True)
            print(f"making {home} for the peer {name} (once)", file=sys.stderr, flush=True)
            _run([sys.executable, "-m", "venv", "--without-pip", str(home)])
            _run([sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "-r", str(pinned)])
            stamp.write_text(wanted, encoding="utf-8")
    return python


def peer_figures(name: str, script: str, *args: object) -> list[Figure]:
    """Run a script of `tests/bench/peers/` in the peer's environment; the figures that it emits.

    Args:
        name: The peer, as for `peer_python`.
        script: File name in `tests/bench/peers/`.
        args: Passed on as text: paths of files that both sides read, addresses, sizes.
    """
    done = _run([str(peer_python(name)), str(PINNED / script), *map(str, args)])
    return read_emitted(done)


def peer_environment() -> dict[str, str]:
    """Environment variables for a peer's process: `figures` can be imported, the project's packages cannot."""
    hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    return {**{key: value for key, value in os.environ.items() if key not in hidden}, "PYTHONPATH": str(HERE)}


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=peer_environment())
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-1000:]}{done.stderr[-3000:]}")
    return done.stdout


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Two benchmarks that want one environment make it once."""
    ENVIRONMENTS.mkdir(exist_ok=True)
    with (ENVIRONMENTS / f"{name}.lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

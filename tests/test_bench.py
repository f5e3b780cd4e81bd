"""The benchmarks' own machinery: peers pinned in environments of their own, figures that cross a process."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parent / "bench"
sys.path.insert(0, str(BENCH))

import figures  # noqa: E402
import peers  # noqa: E402


@pytest.mark.parametrize("pinned", sorted((BENCH / "peers").glob("*.txt")), ids=lambda path: path.stem)
def test_every_package_of_a_peer_is_pinned(pinned: Path) -> None:
    loose = [line for line in pinned.read_text().splitlines() if not re.fullmatch(r"[\w.\[\]-]+==[\w.+!]+", line)]
    assert loose == []


def test_an_environment_is_made_once_and_anew_when_its_pins_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "PINNED", tmp_path)
    monkeypatch.setattr(peers, "ENVIRONMENTS", tmp_path / "made")
    pinned = tmp_path / "nothing.txt"
    pinned.write_text("")
    python = peers.peer_python("nothing")
    mark = python.parent / "mark"
    mark.touch()
    assert peers.peer_python("nothing") == python
    assert mark.exists()
    (tmp_path / "look.py").write_text(
        "import sys, figures\n"
        "assert not any('raylake' in path or '/src' in path for path in sys.path), sys.path\n"
        "figures.emit([figures.Figure(sys.argv[1], sys.prefix, 1.0, 's', 'lower')])\n"
    )
    (found,) = peers.peer_figures("nothing", "look.py", "work")
    assert found == figures.Figure("work", str(tmp_path / "made" / "nothing"), 1.0, "s", "lower")
    pinned.write_text("# nothing at all\n")
    peers.peer_python("nothing")
    assert not mark.exists()


def test_an_unknown_peer_is_named_with_the_known_ones() -> None:
    with pytest.raises(SystemExit, match=r"no peer 'duckbd'.*duckdb.*polars"):
        peers.peer_python("duckbd")
